"""What the clients of chaos judge themselves, and what the report counts: without a cluster."""
import collections
import os
import random
import subprocess
import sys
import types
import xml.dom.minidom

import pytest

from chaos import Chaos, Event, merged
from campaign_sessions import ELEMENTS_MAX
from clients import (IN_FORCE, KEY_OPERATIONS, KEY_UNKNOWN, KEYS, LEASE_S, SEVERAL, Answer, Claims,
                     Client, Lessee, Lists, Retrier, Rotation, Several, Zoned)
from cluster import wait_for
from dice import DICE
from figures import Figures, bucket, percentile, seconds_of
from load import Load
from lookout import Lookout
from report import Report
from scribes import DEPTH, UNKNOWN as TALLY_UNKNOWN, Scribe, Tally

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
    ("b", [("b", NO), ("a", UNKNOWN)], False), (None, [("a", UNKNOWN), ("b", NO)], False),
    ("a", [("a", UNKNOWN), ("b", NO)], True)])
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
    made.dice = types.SimpleNamespace(random=lambda: 1.0, randrange=lambda a, b: a)
    return made


def test_a_retrier_sends_again_what_was_answered_long_ago():
    made = retrier([Answer("done", 1), Answer("done", 1), UNKNOWN, None, Answer("done", 2)])
    made.act()
    made.dice.random = lambda: 0.0
    for _ in range(3):
        made.act()
        assert made.words[3:5] == ("retrier-1-0", 1) and made.told == 1
    with pytest.raises(AssertionError, match="wrong: once: own:1: 1 was sent again"):
        made.act()


def lessee(answers):
    made = Lessee(types.SimpleNamespace(ended=False), 7, 1)
    asked = iter(answers)
    made.ask = lambda *words: next(asked)
    return made


@pytest.mark.parametrize("word, reply, holds", [
    ("GET", b"1", True), ("GET", None, False), ("GET", b"2", False), ("PTTL", 1, True),
    ("PTTL", LEASE_S * 1000, True), ("PTTL", LEASE_S * 1000 + 1, False), ("PTTL", -2, False),
    ("PTTL", -1, False), ("PTTL", 0, False)])
def test_a_lease_is_there_as_long_as_it_must(word, reply, holds):
    made = lessee([None, UNKNOWN, OK, Answer("done", reply), Answer("done", reply)])
    made.dice.choice = lambda _: word
    made.begin()
    made.begin()
    assert made.left == 0  # nobody was told that it is there
    made.leases = 0
    made.begin()
    if holds:
        made.look()
    else:
        with pytest.raises(AssertionError, match="wrong: lease"):
            made.look()
    made.until = 0
    made.look()  # it may be over by now


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


# --- Who writes in pipelines, in zones, to several keys -------------------------------------------


@pytest.mark.parametrize("told, holds", [
    ([1, 2, 3], True), ([1, 2, 2], False), ([1, 3], False), ([1, None, 2, 3], True),
    ([1, None, 3, 4], True), ([1, None, 4], False), ([1, None, 3, 3], False),
    ([1, "no", 2], True), ([1, "no", 3], False), ([None, None, 3, 4, 5], True),
    ([None, None, 3, 3], False), ([0], False)])
def test_what_is_counted_is_between_two_numbers(told, holds):
    tally = Tally("k")

    def take():
        for number in told:
            tally.answered(UNKNOWN if number is None else REFUSED if number == "no" else
                           Answer("done", number))
    if holds:
        take()
    else:
        with pytest.raises(AssertionError, match="wrong: counted: k is"):
            take()


def test_what_may_have_been_counted_may_be_there_in_the_end():
    tally = Tally("k")
    for answer in (Answer("done", 1), UNKNOWN, UNKNOWN):
        tally.answered(answer)
    for number in (1, 2, 3):
        tally.take(number)
    for number in (2, 4):
        with pytest.raises(AssertionError, match="by 1 writes that were told, and 2 to 2 others"):
            tally.take(number)


def test_a_scribe_sends_many_at_once_and_leaves_what_it_is_not_sure_of():
    made = Scribe(types.SimpleNamespace(), 3, 1)
    counts = collections.Counter()

    def ask_all(commands):
        assert len(commands) == DEPTH and {word for word, _ in commands} == {"INCR"}
        counts.update(key for _, key in commands)
        so_far = collections.Counter(counts)
        so_far.subtract(key for _, key in commands)
        return [Answer("done", (so_far.update([key]), so_far[key])[1]) for _, key in commands]
    made.ask_all = ask_all
    for _ in range(3):
        made.act()
    assert made.in_pipelines == sum(counts.values()) == 3 * DEPTH and made.acknowledged == 0
    assert set(counts) == {"own:3-0", "own:3-1"} and min(counts.values()) > 0
    made.ask_all = lambda commands: None
    made.act()
    assert [tally.maybe for tally in made.tallies] == [0, 0]
    made.ask_all = lambda commands: [UNKNOWN] * len(commands)
    while len(made.tallies) == 2:
        made.act()
    left = [tally for tally in made.tallies if tally not in made.now]
    assert all(tally.maybe >= TALLY_UNKNOWN for tally in left) and len(made.now) == 2
    assert made.uncertain % DEPTH == 0 and made.tallies[2].key == "own:3-2"


@pytest.mark.parametrize("text, outcome", [
    (f"UNCERTAIN the write {IN_FORCE}, but it is not known yet", "done"),
    ("UNCERTAIN who knows", "unknown"), (None, "unknown")])
def test_a_write_that_is_said_to_be_in_force_is(monkeypatch, text, outcome):
    asked = []
    monkeypatch.setattr(Client, "ask", lambda self, *words: asked.append(words) or
                        Answer("unknown", text))
    made = Zoned(types.SimpleNamespace(), 1, 1)
    assert made.ask("SET", "k", "v").outcome == outcome
    assert asked[0][:4] == ("WITH", 4, "ACK", "EACH zone") and asked[0][6:] == ("SET", "k", "v")
    assert made.in_force == (outcome == "done")
    assert made.ask("DEL", "k").outcome == "unknown" and asked[1] == ("DEL", "k")


@pytest.mark.parametrize("values, shown", [
    ([b"a"] * SEVERAL, "=a"), ([None] * SEVERAL, "nil"), ([1, 1], "=1"), ([0, 0.0], "=0"),
    ([0, 1 / SEVERAL], None), ([b"a", b"a", b"b"], None), ([b"a", None, b"a"], None)])
def test_several_keys_are_one(values, shown):
    if shown is None:
        with pytest.raises(AssertionError, match="wrong: one of several: k"):
            Several.all_of("k", values)
    else:
        assert Several.all_of("k", values) == shown


# --- Nodes that end by themselves -----------------------------------------------------------------


@pytest.mark.parametrize("says, full, freed, holds", [
    ("disk full", True, False, True), ("disk full", False, True, True),
    ("disk full", False, False, False), ("panic: no", True, False, False),
    ("panic: no", False, True, False)])
def test_a_node_may_end_where_its_disk_is_full_at_that_time(says, full, freed, holds):
    chaos = Chaos.__new__(Chaos)
    seat = types.SimpleNamespace(
        number=1, stopped=False, process=types.SimpleNamespace(poll=lambda: 1, returncode=1),
        disk=types.SimpleNamespace(is_full=lambda: full), log=lambda: f"is the {says}?")
    other = types.SimpleNamespace(**{**vars(seat), "process": None})
    chaos.seats, chaos.done = [seat, other], []
    if holds:
        chaos.check_lives([seat] if freed else [])
        assert seat.stopped and not other.stopped and chaos.done == ["1 ended: its disk is full"]
    else:
        with pytest.raises(AssertionError, match="seat 1 ended with 1"):
            chaos.check_lives([seat] if freed else [])


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


def test_keys_of_another_round_are_others():
    assert Rotation("k", 70).all() == ["k:70", "k:71", "k:72"]
    lists = Lists(70)
    names = [f"{prefix}list:{n}" for prefix in ("", "cnt:") for n in (70, 71, 72)]
    assert {lists.some(random.Random(n)) for n in range(90)} == set(names)
    assert lists.all() == names
    assert {lists.group(name) for name in names} == {"group=zero", *(
        f"group={name}" for name in names[3:])}
    lists.counts = {"cnt:list:71": ELEMENTS_MAX}
    lists.element("cnt:list:71")
    assert lists.numbers == [70, 73, 72]
    assert Claims(70).some() in range(70, 74)


@pytest.fixture(name="load")
def _load(tmp_path):
    made = Load.__new__(Load)
    made.figures, made.verdicts, made.problem = Figures(0), [], None
    made.history = str(tmp_path / "history-0")
    return made


def write_history(load, *lines):
    with open(load.history, "w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_the_history_of_a_round_that_was_clean_is_removed(load):
    write_history(load, "1 k set a ok 1000000 2000000", "2 k get - =a 3000000 4000000")
    load.judge_round(load.history, lambda at: True)
    assert load.problem is None and "linearizable" in load.verdicts[0]
    assert not os.path.exists(load.history)
    assert load.figures.outcomes == {("set", "done"): 1, ("get", "done"): 1}


def test_the_history_of_a_round_that_was_not_stays_and_ends_the_run(load):
    write_history(load, "1 k set a ok 1000000 2000000", "2 k get - nil 3000000 4000000")
    load.judge_round(load.history, lambda at: True)
    assert "NOT linearizable" in load.problem and load.verdicts == []
    assert os.path.exists(load.history)
    load.clients = types.SimpleNamespace(check=lambda: None)
    with pytest.raises(AssertionError, match="check-history of history-0"):
        load.check()


def test_in_a_hush_nobody_asks(load):
    with subprocess.Popen(["sleep", "60"]) as process:
        load.clients = types.SimpleNamespace(process=process)

        def state():
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                return file.read().split(") ")[1][0]
        with load.hush():
            wait_for(lambda: state() == "T", "it stands still")
        wait_for(lambda: state() == "S", "it goes on")
        process.kill()


@pytest.mark.parametrize("seed, says", [
    (f"{DICE + 1}.7", f"here they are of version {DICE}"), (f"{DICE - 1}.7", "another kind of run"),
    ("seven", "'seven' is no seed"), (f"{DICE}.", "is no seed"), (".7", "is no seed")])
def test_a_seed_of_another_version_says_so(seed, says, tmp_path):
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
    done = subprocess.run([sys.executable, run, "--seed", seed, str(tmp_path)], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and says in done.stderr, done


def test_a_trouble_that_nobody_knows_is_told_so(tmp_path):
    (tmp_path / "quorate").touch()
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
    done = subprocess.run([sys.executable, run, "--often", "rain", str(tmp_path)], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "'rain' is no kind of trouble" in done.stderr, done
    assert all(Chaos.knows(kind) for kind in ("cut", "kill", "join", "grow_from_one", "zones"))


# --- The report -----------------------------------------------------------------------------------


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
        began=100.0, seed=7, partitions=4, drawn={"stop", "cut"}, seats=seats, lookout=lookout,
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
                  "acknowledged write: 3.0 s, from 4.0 s", "calm p50 10.0 ms",
                  "4.0 to      7.0  stop 1"):
        assert words in text, f"{words}\n{text}"
    picture = xml.dom.minidom.parse(str(tmp_path / "out/timeline.svg"))
    titles = [node.firstChild.data for node in picture.getElementsByTagName("title")]
    assert "node 1: stopped, term 0, 4.0 to 7.0 s" in titles
    assert 'cut 1 from <2> & "3": 4.5 to 5.0 s' in titles
    assert len(titles) == 7
