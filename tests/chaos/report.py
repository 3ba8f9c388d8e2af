"""What a run of chaos leaves behind: report.txt for reading, timeline.svg for looking at.

Figures come from the history, which is what the clients were told and when; roles from the lookout,
troubles from the run itself.
"""
import collections
import html
import math
import os
import subprocess

from dice import DICE
from figures import percentile

ROLES = {"leader": "#1b7f3b", "follower": "#a9d8b8", "candidate": "#f2c14e", "learner": "#8fb8de",
         "observer": "#8fb8de", "mute": "#e8e8e8", "gone": "#333333", "stopped": "#b07cc6"}
WIDTH, LEFT, RIGHT, LANE, ROW, CHART = 1200, 140, 25, 18, 11, 110
BINS = 400
PERCENTS = (50, 99, 99.9, 100)


class Report:
    """Made when the run has ended, well or not."""

    def __init__(self, chaos, seconds, summary, problem):
        self.chaos, self.summary, self.problem = chaos, summary, problem
        self.began = chaos.began
        self.events = sorted((a - self.began, b - self.began, kind, what)
                             for a, b, kind, what in chaos.events)
        self.troubles = [event for event in self.events if event[2] != "note"]
        self.figures = chaos.load.figures
        self.end = max([seconds, self.figures.end] + [b for _, b, _, _ in self.events])

    def write(self, directory):
        os.makedirs(directory, exist_ok=True)
        for name, text in [("report.txt", self.text()), ("timeline.svg", self.picture())]:
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)

    # --- In words ---------------------------------------------------------------------------------

    def text(self):
        parts = [self.headline(), "", *self.told(), "", *self.kinds(), "", *self.relay(), ""]
        if self.summary:
            parts += ["what the checkers say:", *("  " + line for line in
                                                  self.summary["verdict"].splitlines()), ""]
        parts += ["what happened, in seconds:"]
        parts += [f"  {a:8.1f} {f'to {b:8.1f}' if b - a > 0.05 else '':11}  {what}"
                  for a, b, _, what in self.events]
        return "\n".join(parts) + "\n"

    def headline(self):
        commit = subprocess.run(["git", "-C", os.path.dirname(__file__), "log", "-1",
                                 "--format=%h %cs"], stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.DEVNULL, check=False).stdout.strip()
        verdict = "clean" if self.problem is None else f"BROKEN\n\n{self.problem}"
        return (f"chaos, seed {DICE}.{self.chaos.seed}, {self.end:.0f} s, "
                f"commit {commit or 'unknown'}: {verdict}")

    def told(self):
        done = self.figures.outcomes
        rows = collections.defaultdict(dict)
        for (kind, outcome), count in sorted(done.items()):
            rows[kind][outcome] = count
        yield f"{'in the history':>16} {'done':>10} {'refused':>10} {'uncertain':>10}"
        for kind, row in sorted(rows.items()):
            yield (f"{kind:>16} {row.get('done', 0):10} {row.get('fail', 0):10} "
                   f"{row.get('unknown', 0):10}")
        if self.summary:
            yield ("and " + ", ".join(f"{name.replace('_', ' ')} {self.summary[name]}" for name in (
                "acknowledged", "in_pipelines", "in_force", "claims", "counted_once", "retried",
                "orders", "hops", "gone")))
        silence, at = self.figures.silence
        yield f"leaders seen: {len(self.chaos.lookout.leaders)}"
        yield f"longest time without an acknowledged write: {silence:.1f} s, from {at:.1f} s"
        for name, times in [("calm", self.figures.calm), ("trouble", self.figures.trouble)]:
            yield f"{name:>16} " + "  ".join(
                f"p{percent:g} {1000 * percentile(times, percent):.1f} ms" for percent in PERCENTS)

    def kinds(self):
        """Which there were."""
        times, lasted = collections.Counter(), collections.Counter()
        for a, b, kind, _ in self.troubles:
            times[kind] += 1
            lasted[kind] += b - a
        where = f"{self.chaos.partitions} partitions, " if self.chaos.partitions else ""
        yield f"in this run: {where}" + ", ".join(sorted(self.chaos.drawn))
        for name, words in self.chaos.strategies.items():
            if words[1] != "raft":
                yield f"  {name}: {' '.join(words)}"
        for kind, count in times.most_common():
            yield f"{count:6} {kind}" + (f", {lasted[kind]:.0f} s" if lasted[kind] > 1 else "")

    def relay(self):
        total = collections.Counter()
        for link in self.chaos.counted.values():
            total.update(link)
        yield "packets: " + ", ".join(f"{name} {count}" for name, count in total.items())

    # --- As a picture -----------------------------------------------------------------------------

    def x(self, seconds):
        return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, min(seconds, self.end)) / self.end

    def bar(self, a, b, y, colour, title, height=LANE - 4):
        width = max(1.5, self.x(b) - self.x(a))
        return (f'<rect x="{self.x(a):.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="{colour}"><title>{html.escape(title)}</title></rect>')

    @staticmethod
    def label(x, y, text, anchor="start"):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'

    def roles(self, y):
        for seat in self.chaos.seats:
            yield self.label(LEFT - 8, y + LANE - 7, f"node {seat.number}", "end")
            seen = self.chaos.lookout.seen[seat]
            ends = [when for when, _, _ in seen[1:]] + [self.began + self.end]
            for (when, what, term), end in zip(seen, ends):
                a, b = when - self.began, end - self.began
                yield self.bar(a, b, y, ROLES.get(what, "#cccccc"),
                               f"node {seat.number}: {what}, term {term}, {a:.1f} to {b:.1f} s")
            y += LANE

    def rows(self, y):
        """A row for each kind of trouble."""
        for kind in sorted({kind for _, _, kind, _ in self.troubles}):
            yield self.label(LEFT - 8, y + 9, kind.replace("_", " "), "end")
            for a, b, _, what in [event for event in self.troubles if event[2] == kind]:
                yield self.bar(a, b, y, "#d1495b", f"{what}: {a:.1f} to {b:.1f} s", ROW - 3)
            y += ROW

    @staticmethod
    def tens(most):
        """The powers of ten up to the first that is not below."""
        values = [1]
        while values[-1] < most:
            values.append(values[-1] * 10)
        return values

    def chart(self, y, name, lines, ticks, share):
        """Lines are (colour, [(seconds, value)]); share(value) is how high it is, 0 to 1."""
        yield self.label(LEFT - 45, y + CHART / 2, name, "end")
        for tick in ticks:
            height = y + CHART - CHART * share(tick)
            yield self.label(LEFT - 8, height + 4, f"{tick:,g}", "end")
            yield (f'<path d="M{LEFT} {height:.1f} H{WIDTH - RIGHT}" stroke="#dddddd" '
                   'fill="none"/>')
        for colour, line in lines:
            path, drawn = "", False
            for at, value in line:
                if value is not None:
                    path += (f"{'L' if drawn else 'M'}{self.x(at):.1f} "
                             f"{y + CHART - CHART * share(value):.1f} h0.1 ")
                drawn = value is not None
            if path:
                yield f'<path d="{path}" stroke="{colour}" fill="none" stroke-width="1.3"/>'

    def answers(self, y, bins):
        most = max([rate for _, rate, _ in bins] + [1])
        step = 10 ** (len(str(int(most))) - 1)
        ticks = range(0, int(most) + 1, step * (1 if most < 5 * step else 2))
        return self.chart(y, "answers/s", [("#00509d", [(at, rate) for at, rate, _ in bins])],
                          ticks, lambda value: value / most)

    def waits(self, y, bins):
        """Times of answers, by powers of ten."""
        lines = [(colour, [(at, 1000 * percentile(took, percent) if took else None)
                          for at, _, took in bins])
                 for colour, percent in [("#e07a1f", 99), ("#00509d", 50)]]
        ticks = self.tens(max([value for _, line in lines for _, value in line if value] + [10]))
        return self.chart(y, "ms", lines, ticks,
                          lambda value: max(0, math.log(max(value, 1), ticks[-1])))

    def picture(self):
        bins, y = list(self.figures.bins(BINS, self.end)), 40
        parts = list(self.roles(y))
        y += LANE * len(self.chaos.seats) + 10
        parts += self.rows(y)
        y += ROW * len({kind for _, _, kind, _ in self.troubles}) + 16
        parts += self.answers(y, bins)
        y += CHART + 20
        parts += self.waits(y, bins)
        y += CHART + 16
        for i in range(11):
            at = self.end * i / 10
            parts.append(self.label(self.x(at), y, f"{at:.0f} s", "middle"))
        parts += self.legend(y + 24)
        return self.frame(parts, y + 36)

    def legend(self, y):
        words = [(role, ROLES[role]) for role in
                 ("leader", "follower", "candidate", "mute", "stopped", "gone")]
        words += [("half are faster", "#00509d"), ("99 % are", "#e07a1f")]
        for i, (word, colour) in enumerate(words):
            x = LEFT + 105 * i
            yield f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
            yield self.label(x + 16, y, word)

    def frame(self, parts, height):
        verdict = "clean" if self.problem is None else "BROKEN"
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
                f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="11">\n'
                f'<rect width="100%" height="100%" fill="#ffffff"/>\n' +
                self.label(10, 22, f"chaos, seed {DICE}.{self.chaos.seed}: {verdict}") + "\n" +
                "\n".join(parts) + "\n</svg>\n")
