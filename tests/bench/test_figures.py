"""What the bench makes of numbers: medians, bests, ratios, verdicts and the report, for numbers
whose outcome is known."""
import pytest

import figures
import gaps
import load
import musts
import processes
import report
import session
import writers
from processes import BenchError
from rows import CELLS, ROWS


def run(row="quorate", operation="set", cell="c64", ops=1000, p50=100, p99=500, cpu=1.0,
        noisy=False, number=0):
    return {"operation": operation, "row": row, "cell": cell, "pass": number, "ops_per_s": ops,
            "p50_us": p50, "p99_us": p99, "max_us": 2 * p99, "server_cpu_s_per_100k": cpu,
            "client_cpu_s_per_100k": 0.5, "foreign_percent": 40 if noisy else 3, "noisy": noisy,
            "answers": ops, "seconds": 1, "tries": 1, "failures": []}


def must(text):
    return next(m for m in musts.MUSTS if m.text == text)


SET_FLOOR = "SET, 64 connections / floor"
P99_ETCD = "SET, 64 connections: p99 / etcd"


def test_a_line_has_the_median_the_range_and_the_best_of_the_passes():
    line = figures.summarise([run(ops=300, p99=30), run(ops=100, p99=10), run(ops=110, p99=20)],
                             "set", "quorate", "c64")
    assert (line["ops_per_s"], line["slowest"], line["fastest"]) == (110, 100, 300)
    assert line["best_ops_per_s"] == 300
    assert (line["p99_us"], line["best_p99_us"]) == (20, 10)  # less is better
    assert line["passes"] == 3 and not line["noisy"]


def test_a_line_takes_only_its_own_cell_row_and_operation():
    others = [run(cell="c1", ops=9), run(row="floor", ops=9), run(operation="get", ops=9)]
    assert figures.summarise(others + [run(ops=5)], "set", "quorate", "c64")["fastest"] == 5
    assert figures.summarise(others, "set", "quorate", "c64") is None


def test_the_client_is_shown_in_percent_of_a_core():
    line = figures.summarise([run(ops=100_000)], "set", "quorate", "c64")
    assert line["client_percent"] == pytest.approx(50)  # 0.5 s for what takes a second


def test_busy_passes_count_only_where_none_was_quiet():
    runs = [run(ops=100), run(ops=900, noisy=True, number=1), run(ops=200, number=2)]
    line = figures.summarise(runs, "set", "quorate", "c64")
    assert (line["passes"], line["fastest"], line["noisy"]) == (2, 200, False)
    assert "; 2 of 3)" in report.cell_table(runs, "set", "c64")[1][1]
    line = figures.summarise(runs[1:2], "set", "quorate", "c64")
    assert (line["passes"], line["fastest"], line["noisy"]) == (1, 900, True)


def test_a_ratio_to_nothing_says_nothing():
    assert figures.ratio(3, 0) is None
    assert figures.ratio(3, 2) == 1.5


@pytest.mark.parametrize("ours, floor, verdict", [
    ([60, 60, 60], [100, 100, 100], "reached"),
    ([54, 54, 54], [100, 100, 100], "NOT reached"),
    ([40, 70, 40], [100, 100, 100], "NOT reached"),  # our best would, the median does not
    ([60, 60, 60], [90, 90, 130], "NOT reached"),  # the median would, their best says otherwise
    ([55, 55, 55], [100, 100, 100], "reached"),
    ([], [100], "not decided"),
    ([100], [], "not decided"),
])
def test_a_bound_needs_the_medians_and_best_against_best(ours, floor, verdict):
    runs = [run(ops=ops) for ops in ours] + [run("floor", ops=ops) for ops in floor]
    assert musts.judge(must(SET_FLOOR), runs)["verdict"] == verdict


@pytest.mark.parametrize("ours, etcd, verdict", [
    ([10, 10], [50, 60], "reached"), ([11, 11], [50, 60], "NOT reached"),
    ([2, 2], [50, 11], "reached"), ([10, 10], [100, 40], "NOT reached"),
])
def test_for_latencies_less_is_better(ours, etcd, verdict):
    runs = [run(p99=p99) for p99 in ours] + [run("etcd", p99=p99) for p99 in etcd]
    assert musts.judge(must(P99_ETCD), runs)["verdict"] == verdict


def test_the_ratios_of_a_bound_are_shown():
    runs = [run(ops=50), run(ops=60), run(ops=90)] + [run("floor", ops=100), run("floor", ops=120)]
    judged = musts.judge(must(SET_FLOOR), runs)
    assert judged["median"] == pytest.approx(60 / 110)
    assert judged["best"] == pytest.approx(90 / 120)


def test_a_bound_without_another_side_is_absolute():
    absolute = must("SET, 1 connection: p50 in microseconds")
    assert musts.judge(absolute, [run(cell="c1", p50=330)])["verdict"] == "reached"
    assert musts.judge(absolute, [run(cell="c1", p50=331)])["verdict"] == "NOT reached"


def test_every_bound_names_rows_and_cells_that_are_measured():
    measured = {(row.operation, row.name, cell) for row in ROWS for cell in row.cells}
    for m in musts.MUSTS:
        assert (*m.ours, m.cell) in measured
        assert m.theirs is None or (*m.theirs, m.cell) in measured
        assert m.at_least == figures.MORE_IS_BETTER[m.figure]


def test_bounds_that_rest_on_busy_runs_are_marked():
    runs = [run(ops=80), run("floor", ops=100, noisy=True)]
    assert musts.judge(must(SET_FLOOR), runs)["noisy"]
    assert report.MARK in report.must_table(runs)[1][-1]


def test_every_pass_begins_with_another_system():
    assert session.rotated(["a", "b", "c"], 1) == ["b", "c", "a"]
    assert session.rotated(["a", "b", "c"], 3) == ["a", "b", "c"]
    assert session.rotated([], 1) == []


def test_what_is_not_installed_is_left_out_with_a_sentence(monkeypatch):
    monkeypatch.setattr(processes.shutil, "which", lambda name: None if name == "etcdctl" else name)
    found, left_out = session.available(["quorate", "floor", "etcd", "redis-always"])
    assert found == ["quorate", "floor", "redis-always"]
    assert left_out == ["etcd is left out: etcdctl not installed (Debian: etcd-server and "
                        "etcd-client)."]


# --- One measurement -----------------------------------------------------------------------------


class FakeSystem:
    """Leads at the port of the moment."""
    name = "fake"

    def __init__(self, ports=(1,)):
        self.ports = list(ports)

    def locate(self):
        return self.ports.pop(0) if len(self.ports) > 1 else self.ports[0]

    def use(self, row):
        pass

    def check_running(self):
        pass


class FakeLoad(load.Load):
    def __init__(self, foreign, tries=3):
        super().__init__("lbench", 1, noise=15, tries=tries)
        self.foreign = list(foreign)

    def words(self, system, row, cell, fill=False):
        return []


@pytest.fixture
def measure(monkeypatch):
    def measure(foreign, ports=(1,), tries=3):
        fake = FakeLoad(foreign, tries)
        monkeypatch.setattr(load, "run_lbench", lambda *_: run(ops=1 + fake.foreign[0]) | {
            "foreign_percent": fake.foreign.pop(0)})
        return fake.measure(FakeSystem(ports), ROWS[0], "c64")
    return measure


def test_a_quiet_run_is_not_repeated(measure):
    figure = measure([15, 0])
    assert (figure["tries"], figure["noisy"], figure["foreign_percent"]) == (1, False, 15)


def test_a_busy_run_is_repeated_and_the_quietest_kept(measure):
    figure = measure([90, 20, 40])
    assert (figure["tries"], figure["noisy"], figure["foreign_percent"]) == (3, True, 20)


def test_a_run_in_which_the_leader_changed_is_thrown_away(measure):
    figure = measure([1, 2], ports=(7, 8, 8, 8))
    assert (figure["tries"], figure["foreign_percent"]) == (1, 2)
    assert figure["failures"] == ["set quorate c64: the leader changed"]
    told = report.text(result([figure | {"cell": "c64"}]))
    assert "went wrong, gave no figures and were repeated: 1" in told
    with pytest.raises(BenchError, match="leader changed"):
        measure([1, 1], ports=(1, 2, 3, 4), tries=2)


def test_when_every_run_goes_wrong_there_is_no_figure(monkeypatch):
    asked = []

    def fail(*_):
        asked.append(1)
        raise BenchError("a wrong answer")
    monkeypatch.setattr(load, "run_lbench", fail)
    with pytest.raises(BenchError, match="a wrong answer"):
        FakeLoad([0]).measure(FakeSystem(), ROWS[0], "c64")
    assert len(asked) == 3


@pytest.mark.parametrize("line", ["", "not JSON", "{}", '{"ops_per_s": "fast"}', "[1]"])
def test_a_line_that_is_not_lbench_s_is_refused(line):
    with pytest.raises(BenchError, match="lbench printed"):
        load.parse_line(line, "a cell")


# --- The report ----------------------------------------------------------------------------------


def result(runs):
    return {"machine": {"commit": "abc"}, "settings": {"passes": 1, "seconds": 1, "noise": 15},
            "left_out": ["etcd is left out: not installed."], "runs": runs}


def test_the_report_names_figures_ratios_guarantees_and_what_is_missing():
    runs = [run(ops=50_000), run("floor", ops=100_000)]
    for shown in (report.text(result(runs)), report.markdown(result(runs))):
        assert "50,000" in shown and "0.50x (0.50x)" in shown
        assert "NOT reached" in shown and "not decided" in shown
        assert "2 of 3" in shown and "etcd is left out" in shown


def test_every_row_of_a_table_has_all_columns():
    runs = [run(row.name, row.operation, cell) for row in ROWS for cell in row.cells]
    for _, table in report.tables_of(result(runs)):
        assert len({len(row) for row in table}) == 1
    assert len(report.summaries(runs)) == sum(len(row.cells) for row in ROWS)


def test_the_markdown_goes_between_its_marks(tmp_path):
    path = tmp_path / "page.md"
    begin, end = report.BEGIN.format("x"), report.END.format("x")
    path.write_text(f"above\n{begin}\nold\n{end}\nbelow\n", encoding="utf-8")
    report.write_block(path, "x", "new\n")
    report.write_block(path, "x", "newer\n")
    assert path.read_text(encoding="utf-8") == f"above\n{begin}\nnewer\n{end}\nbelow\n"
    with pytest.raises(ValueError, match="has no lines"):
        report.write_block(path, "y", "new")


def test_cells_are_those_of_the_workload():
    assert CELLS == {"c1": (1, 1), "c16": (16, 1), "c64": (64, 1), "p16": (16, 16)}


# --- Fail-over -----------------------------------------------------------------------------------


def test_gaps_are_summed_up_by_median_worst_and_best():
    summary = gaps.summarise([30.0, 10.0, 20.0, 90.0])
    assert (summary["median"], summary["worst"], summary["best"]) == (25, 90, 10)
    assert summary["runs"] == 4


def test_a_bound_for_gaps_is_on_the_worst():
    assert gaps.verdict([100, 150], 150) == "reached"
    assert gaps.verdict([100, 151], 150) == "NOT reached"
    assert gaps.verdict([100, float("inf")], 150) == "NOT reached"
    assert gaps.verdict([], 150) == "not decided"
    assert gaps.verdict([100, 150, 900], 150, "median") == "reached"
    assert gaps.verdict([100, 151, 152], 150, "median") == "NOT reached"


def test_the_histogram_of_gaps_counts_each_once():
    lines = gaps.histogram([5, 12, 13, 99, float("inf")])
    counts = [int(line.split()[-1]) for line in lines]
    assert sum(counts) == 5
    assert "never" in lines[-1] and counts[-1] == 1


def http(status, body, *fields):
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


@pytest.mark.parametrize("answer, accepted", [
    (http(b"200 OK", b"{}", b"Content-Length: 2"), True),
    (http(b"503 Unavailable", b"{}", b"Content-Length: 2"), False),
    (http(b"200 OK", b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), True),
])
def test_an_answer_of_etcd_is_taken_when_it_is_whole(answer, accepted):
    for n in range(len(answer)):
        assert writers.EtcdHttp.answer(answer[:n]) is None
    assert writers.EtcdHttp.answer(answer + b"HTTP") == (accepted, len(answer))


def test_only_ok_is_an_accepted_write():
    assert writers.Resp.answer(b"+OK\r\n") == (True, 5)
    assert writers.Resp.answer(b"+OK\r") is None
    assert writers.Resp.answer(b"-READONLY no\r\n") == (False, 14)
