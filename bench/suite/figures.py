"""What several passes say together: medians, ranges, bests, and ratios of them. Nothing here looks
at the world, so it is tested with numbers that are known.

`runs` are dictionaries as they stand in the JSON file: operation, row, cell, pass, and lbench's
figures.
"""
import statistics

# Whether more is better.
MORE_IS_BETTER = {"ops_per_s": True, "p50_us": False, "p99_us": False,
                  "server_cpu_s_per_100k": False}


def runs_of(runs, operation, row, cell):
    """Those that count: the quiet ones, or all when none was quiet."""
    own = [run for run in runs
           if (run["operation"], run["row"], run["cell"]) == (operation, row, cell)]
    return [run for run in own if not run["noisy"]] or own


def best(numbers, figure):
    return max(numbers) if MORE_IS_BETTER[figure] else min(numbers)


def summarise(runs, operation, row, cell):
    """The line of a table, or None when it was not measured."""
    own = runs_of(runs, operation, row, cell)
    if not own:
        return None
    speeds = [run["ops_per_s"] for run in own]
    line = {"operation": operation, "row": row, "cell": cell, "passes": len(speeds),
            "slowest": min(speeds), "fastest": max(speeds)}
    for figure in MORE_IS_BETTER:
        numbers = [run[figure] for run in own]
        line[figure] = statistics.median(numbers)
        line["best_" + figure] = best(numbers, figure)
    for figure in ("foreign_percent", "max_us"):
        line[figure] = max(run[figure] for run in own)
    line["client_percent"] = statistics.median(
        run["client_cpu_s_per_100k"] * run["ops_per_s"] / 1000 for run in own)
    line["noisy"] = own[0]["noisy"]
    return line


def ratio(a, b):
    """a / b, or None when that says nothing."""
    return a / b if b > 0 else None


def ratios(ours, theirs, figure):
    """Of the medians, and of our best to their best."""
    return (ratio(ours[figure], theirs[figure]),
            ratio(ours["best_" + figure], theirs["best_" + figure]))
