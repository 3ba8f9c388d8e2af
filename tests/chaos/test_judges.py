"""What the clients of chaos judge themselves, and what the report counts: without a cluster."""
import collections
import random
import types
import xml.dom.minidom

import pytest

from chaos import Event, Lookout
from clients import KEY_OPERATIONS, KEY_UNKNOWN, KEYS, Answer, Claims, Retrier, Rotation
from report import Operations, Report, merged, percentile

OK, NO, UNKNOWN = Answer("done", "OK"), Answer("done", None), Answer("unknown", None)
REFUSED = Answer("fail", None)


def test_a_claim_has_one_winner():
    claims = Claims()
    claims.told(1, "a", OK)
    claims.told(1, "b", NO)
    claims.judge(1, "a")
    with pytest.raises(AssertionError, match="both b and a|both a and b"):
        claims.told(1, "b", OK)


@pytest.mark.parametrize("value, told, holds", [
    (None, [], True), ("a", [("a", OK)], True), (None, [("a", OK)], False),
    ("b", [("a", OK)], False), ("b", [("a", OK), ("b", UNKNOWN)], False),
    ("b", [("b", UNKNOWN)], True), (None, [("b", UNKNOWN)], True), ("b", [("b", REFUSED)], False),
    ("b", [("b", NO), ("a", UNKNOWN)], False)])
def test_what_is_there_in_the_end_is_what_somebody_was_told(value, told, holds):
    claims = Claims()
    for me, answer in told:
        claims.told(7, me, answer)
    if holds:
        claims.judge(7, value)
    else:
        with pytest.raises(AssertionError, match="claim 7"):
            claims.judge(7, value)


def test_claims_go_on_to_the_next_when_one_is_taken():
    claims = Claims()
    for claim in (0, 1, 3):
        claims.told(claim, "a", NO)
    assert {claims.some() for _ in range(200)} == {2, 3, 4, 5}
    claims.told(2, "a", UNKNOWN)
    claims.some()
    assert claims.first == 2


def retrier(answers):
    made = Retrier(types.SimpleNamespace(ended=False), 1, 1)
    asked = iter(answers)

    def ask(*words):
        made.words = words
        return next(asked)
    made.ask = ask
    return made


def test_a_retrier_asks_again_under_the_same_id_and_counts_once():
    made = retrier([UNKNOWN, None, REFUSED, Answer("done", 1), Answer("done", 2)])
    made.act()
    assert (made.told, made.again) == (1, 1)
    assert made.words[4] == 1
    made.act()
    assert (made.told, made.again, made.words[4]) == (2, 1, 2)
    for wrong in (1, 3):
        made = retrier([Answer("done", 1), Answer("done", wrong)])
        made.act()
        with pytest.raises(AssertionError, match="wrong: once:"):
            made.act()


def test_keys_make_room_for_others():
    keys = Rotation("k")
    for _ in range(KEY_OPERATIONS):
        keys.used("k:0", "done")
    for _ in range(KEY_UNKNOWN):
        keys.used("k:2", "unknown")
    assert sorted(keys.now) == [1, KEYS, KEYS + 1]
    keys.used("k:0", "done")  # somebody who had it still
    assert keys.all() == [f"k:{n}" for n in range(KEYS + 2)]
    assert {keys.some(random.Random(n)) for n in range(50)} == {"k:1", "k:3", "k:4"}


# --- The report -----------------------------------------------------------------------------------


def test_percentiles_and_spans():
    assert [percentile([1, 2, 3, 4], p) for p in (0, 50, 75, 99, 100)] == [1, 3, 4, 4, 4]
    assert percentile([], 50) == 0
    assert merged([(0, 2), (1, 3), (3, 4), (5, 9), (6, 7)]) == [(0, 4), (5, 9)]


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
    found = Operations(history, 100)
    assert found.outcomes == {("set", "done"): 71, ("get", "done"): 1, ("incr", "unknown"): 1,
                              ("incr", "fail"): 1}
    silence, at = found.longest_silence(10)
    assert (round(silence, 3), round(at, 3)) == (3.0, 4.01)
    assert found.took(lambda at: 5 < at < 6) == [0.5]


def test_a_report_tells_calm_from_trouble_and_draws_a_picture(history, tmp_path):
    Seat = collections.namedtuple("Seat", "number")
    seats = [Seat(1), Seat(2)]
    lookout = Lookout(seats)
    lookout.leaders = {(1, 1), (2, 2)}
    lookout.seen = {seats[0]: [(100, "leader", 1), (104, "stopped", 0), (107, "follower", 2)],
                    seats[1]: [(100, "follower", 1), (106, "leader", 2)]}
    chaos = types.SimpleNamespace(
        began=100.0, seed=7, partitions=4, classes={"stop", "cut"}, seats=seats, lookout=lookout,
        load=types.SimpleNamespace(history_path=history),
        counted={(1, 2): collections.Counter(offered=9), (2, 1): collections.Counter(offered=4)},
        events=[Event(104.0, 107.0, "stop", "stop 1"), Event(107.0, 107.5, "note", "all is well"),
                Event(104.5, 105.0, "cut", 'cut 1 from <2> & "3"')])
    report = Report(chaos, 10, None, "AssertionError: it <broke>")
    assert report.is_calm(3.9) and not report.is_calm(4) and not report.is_calm(8.9)
    assert report.is_calm(9.1)
    report.write(str(tmp_path / "out"))
    text = (tmp_path / "out/report.txt").read_text()
    for words in ("seed 7", "BROKEN", "it <broke>", "leaders seen: 2", "offered 13",
                  "in this run: 4 partitions, cut, stop", "1 stop, 3 s",
                  "acknowledged write: 3.0 s, from 4.0 s", "calm p50 10.0 ms",
                  "4.0 to      7.0  stop 1"):
        assert words in text, f"{words}\n{text}"
    picture = xml.dom.minidom.parse(str(tmp_path / "out/timeline.svg"))
    titles = [node.firstChild.data for node in picture.getElementsByTagName("title")]
    assert "node 1: stopped, term 0, 4.0 to 7.0 s" in titles
    assert 'cut 1 from <2> & "3": 4.5 to 5.0 s' in titles
    assert len(titles) == 7
