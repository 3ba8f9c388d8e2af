"""A pass: every system started anew, filled, and measured in turn."""
import systems
from rows import OPERATIONS, rows_of


def available(wanted):
    """(names of systems that are installed, a sentence about each that is not)."""
    found, left_out = [], []
    for name in wanted:
        kind = systems.CLASSES[name]
        if kind.missing():
            left_out.append(f"{name} is left out: {' and '.join(kind.missing())} not installed "
                            f"(Debian: {kind.package}).")
        else:
            found.append(name)
    return found, left_out


def rotated(rows, number):
    """Another system goes first in each pass."""
    at = number % len(rows) if rows else 0
    return rows[at:] + rows[:at]


class Pass:
    """`run` returns one dictionary per measurement."""

    def __init__(self, number, directory, floor, options, load):
        self.number, self.load = number, load
        self.make = lambda name: systems.make(name, directory, floor, options)
        self.running = {}

    def start(self, names):
        for name in names:
            self.running[name] = self.make(name)
            self.running[name].start()
            self.load.fill(self.running[name])

    def run(self, names, operations, cells):
        runs = []
        try:
            self.start(names)
            for operation in filter(operations.__contains__, OPERATIONS):
                rows = rotated(rows_of(operation, names), self.number)
                for cell in cells:
                    runs += [self.measure(row, cell) for row in rows if cell in row.cells]
        finally:
            for system in self.running.values():
                system.close()
        return runs

    def measure(self, row, cell):
        figures = self.load.measure(self.running[row.system], row, cell)
        print(f"{self.number + 1} {row.operation:5} {cell:4} {row.name:27}"
              f"{figures['ops_per_s']:10,.0f}/s  p50 {figures['p50_us'] / 1000:7.2f} ms  "
              f"p99 {figures['p99_us'] / 1000:7.2f} ms  "
              + ("" if row.fault else f"{figures['server_cpu_s_per_100k']:6.2f} CPU s/100k  ")
              + f"foreign {figures['foreign_percent']:3.0f} %"
              + ("  busy" if figures["noisy"] else ""), flush=True)
        return dict(figures, operation=row.operation, row=row.name, cell=cell,
                    **{"pass": self.number})
