"""What the report of a run of chaos counts and draws, from histories that are written here."""
import collections
import types
import xml.dom.minidom

import pytest

from chaos import Chaos, Event, merged
from dice import DICE
from figures import Figures, bucket, percentile, seconds_of
from lookout import Lookout
from report import Report


def test_times_are_kept_in_buckets_and_spans_are_merged():
    for seconds in (1e-6, 0.0001, 0.02, 7.5, 60):
        assert abs(seconds_of(bucket(seconds)) / seconds - 1) < 0.05
    assert bucket(0) == 0
    times = collections.Counter({bucket(n): 1 for n in (1, 2, 3, 4)})
    assert [round(percentile(times, p)) for p in (0, 50, 75, 99, 100)] == [1, 3, 4, 4, 4]
    assert percentile({}, 50) == 0
    assert merged([(0, 2), (1, 3), (3, 4), (5, 9), (6, 7)]) == [(0, 4), (5, 9)]


def test_no_term_has_two_leaders(tmp_path):
    def seat(number, *terms):
        text = "".join(f"1:M 22 Nov * Leads since term {term}\n" for term in terms)
        return types.SimpleNamespace(number=number, log=lambda: text)
    lookout = Lookout([])
    lookout.seats += [seat(1, 3, 12), seat(2, 4)]
    lookout.read_logs()
    assert lookout.leaders == {(3, 1), (12, 1), (4, 2)}
    lookout.seats.append(seat(3, 12))
    with pytest.raises(AssertionError, match="wrong: one leader: both 1 and 3 led term 12"):
        lookout.read_logs()


@pytest.fixture(name="history")
def _history(tmp_path):
    """From 100 s on: a write each tenth of a second, but for three seconds; each takes 10 ms."""
    path = tmp_path / "history"
    lines = [f"1 k set v ok {at} {at + 10_000}" for at in range(100_000_000, 110_000_000, 100_000)
             if not 104_000_000 < at < 107_000_000]
    lines += ["2 k get - =v 105000000 105500000", "2 k incr - unknown 105000000 106000000",
              "2 k incr - fail 105000000 106000000", "2 k incr"]
    path.write_text("\n".join(lines))
    return str(path)


def test_operations_are_counted_by_what_became_of_them(history):
    found = Figures(100)
    found.take(history, lambda at: 5 < at < 6)
    assert found.outcomes == {("set", "done"): 71, ("get", "done"): 1, ("incr", "unknown"): 1,
                              ("incr", "fail"): 1}
    silence, at = found.silence
    assert (round(silence, 3), round(at, 3)) == (3.0, 4.01)
    assert found.calm == {bucket(0.5): 1} and sum(found.trouble.values()) == 71
    found.take(history, lambda at: False)
    assert found.outcomes["set", "done"] == 142 and round(found.silence[0], 3) == 3.0


def test_a_picture_has_so_many_spans_at_most(history):
    found = Figures(100)
    found.take(history, lambda at: True)
    bins = list(found.bins(5, 10))
    assert [(at, rate) for at, rate, _ in bins] == [(1, 10), (3, 10), (5, 1), (7, 5), (9, 10)]
    assert sum(sum(times.values()) for _, _, times in found.bins(400, 10)) == 72


def test_a_report_tells_calm_from_trouble_and_draws_a_picture(history, tmp_path):
    Seat = collections.namedtuple("Seat", "number")
    seats = [Seat(1), Seat(2)]
    lookout = Lookout(seats)
    lookout.leaders = {(1, 1), (2, 2)}
    lookout.seen = {seats[0]: [(100, "leader", 1), (104, "stopped", 0), (107, "follower", 2)],
                    seats[1]: [(100, "follower", 1), (106, "leader", 2)]}
    chaos = types.SimpleNamespace(
        began=100.0, seed=7, partitions=4, drawn={"stop", "cut"},
        strategies={"reg": ("STRATEGY", "raft"), "loc": ("STRATEGY", "primary", "ACK", "LOCAL")},
        seats=seats, lookout=lookout,
        load=types.SimpleNamespace(figures=Figures(100)),
        counted={(1, 2): collections.Counter(offered=9), (2, 1): collections.Counter(offered=4)},
        events=[Event(104.0, 107.0, "stop", "stop 1"), Event(107.0, 107.5, "note", "all is well"),
                Event(104.5, 105.0, "cut", 'cut 1 from <2> & "3"')])
    is_calm = Chaos.calm(chaos)
    assert is_calm(3.9) and not is_calm(4) and not is_calm(8.9) and is_calm(9.1)
    chaos.load.figures.take(history, is_calm)
    report = Report(chaos, 10, None, "AssertionError: it <broke>")
    report.write(str(tmp_path / "out"))
    text = (tmp_path / "out/report.txt").read_text()
    for words in (f"seed {DICE}.7", "BROKEN", "it <broke>", "leaders seen: 2", "offered 13",
                  "in this run: 4 partitions, cut, stop", "1 stop, 3 s",
                  "  loc: STRATEGY primary ACK LOCAL",
                  "acknowledged write: 3.0 s, from 4.0 s", "calm p50 10.0 ms",
                  "4.0 to      7.0  stop 1"):
        assert words in text, f"{words}\n{text}"
    picture = xml.dom.minidom.parse(str(tmp_path / "out/timeline.svg"))
    titles = [node.firstChild.data for node in picture.getElementsByTagName("title")]
    assert "node 1: stopped, term 0, 4.0 to 7.0 s" in titles
    assert 'cut 1 from <2> & "3": 4.5 to 5.0 s' in titles
    assert len(titles) == 7
