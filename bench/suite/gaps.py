"""What the gaps of several fail-overs say together. A gap is in milliseconds, infinite when no
write was accepted any more."""
import math
import statistics

BARS = 12
WIDTH = 40


def summarise(gaps):
    return {"runs": len(gaps), "median": statistics.median(gaps), "worst": max(gaps),
            "best": min(gaps)}


def verdict(gaps, bound, which="worst"):
    """Whether that one of them keeps the bound."""
    if not gaps:
        return "not decided"
    return "reached" if summarise(gaps)[which] <= bound else "NOT reached"


def round_up(number):
    """To 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(number))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= number)


def histogram(gaps):
    """One line for each range of equal width: the range, a bar, and how many fell into it."""
    finite = [gap for gap in gaps if math.isfinite(gap)]
    width = round_up(max(finite + [1.0]) / BARS)
    counts = {}
    for gap in finite:
        counts[int(gap // width)] = counts.get(int(gap // width), 0) + 1
    scale = WIDTH / max(max(counts.values(), default=1), 1)
    lines = []
    for step in range(min(counts, default=0), max(counts, default=-1) + 1):
        many = counts.get(step, 0)
        bar = "#" * round(many * min(scale, 1))
        lines.append(f"{step * width:6.0f} to {(step + 1) * width:5.0f} ms  {bar:{WIDTH}} {many}")
    never = len(gaps) - len(finite)
    if never:
        lines.append(f"{'never':>18}  {'#' * min(never, WIDTH):{WIDTH}} {never}")
    return lines
