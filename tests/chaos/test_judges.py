"""What the clients of chaos judge themselves, and how troubles are chosen: without a cluster."""
import collections
import os
import random
import subprocess
import sys
import types

import pytest

import namespaces
from chaos import Chaos
from campaign_sessions import ELEMENTS_MAX
from clients import (IN_FORCE, KEY_OPERATIONS, KEY_UNKNOWN, KEYS, LEASE_S, SEVERAL, Answer, Claims,
                     Client, Lessee, Lists, Retrier, Rotation, Several, World, Zoned)
from cluster import wait_for
from dice import DICE
from figures import Figures
from load import Load
from resp import Closed, Error
from scribes import DEPTH, UNKNOWN as TALLY_UNKNOWN, Scribe, Tally
from seats import ChaosSeat

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
    assert made.uncertain >= DEPTH and made.tallies[2].key == "own:3-2"
    made.ask_all = lambda commands: [REFUSED] * len(commands)
    made.act()
    assert made.refused == DEPTH


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


def test_of_several_keys_all_are_removed_or_none():
    lines = []
    history = types.SimpleNamespace(add=lambda *line: lines.append(line))
    made = Several(types.SimpleNamespace(history=history), 1, 1)
    for count, shown in ((SEVERAL, "=1"), (0, "=0"), (1, None)):
        made.ask = lambda *words, n=count: Answer("done", n)
        if shown is None:
            with pytest.raises(AssertionError, match="one of several"):
                made.delete("several:1")
        else:
            made.delete("several:1")
            assert lines[-1][4] == shown
    one, two = made.names("several:1"), made.names("several:2")
    assert len(set(one + two)) == 2 * SEVERAL and all("{several:1}" in name for name in one)


class Wire:
    """A connection that has these replies, and breaks behind the last one."""

    def __init__(self, replies):
        self.replies, self.closed = replies, False

    def each_of(self, commands):
        yield from self.replies
        if len(self.replies) < len(commands):
            raise Closed("end of stream")

    def close(self):
        self.closed = True


@pytest.mark.parametrize("replies, luck, outcomes, stays", [
    (["OK", Error("UNCERTAIN who knows"), 7], 0.1, ["done", "unknown", "done"], True),
    (["OK", Error("TRYAGAIN no leader")], 0.5, ["done", "fail"], True),
    (["OK", Error("TRYAGAIN no leader")], 0.1, ["done", "fail"], False),
    ([Error("REMOVED this node"), "OK"], 0.5, ["fail", "done"], False),
    ([1, 2], 0.5, ["done", "done", "unknown", "unknown"], False),
    ([], 0.5, ["unknown", "unknown"], False)])
def test_what_a_client_is_told_of_each_of_a_pipeline(replies, luck, outcomes, stays):
    made, wire = Client(types.SimpleNamespace(), 1, 1), Wire(replies)
    made.dice, made.connection = types.SimpleNamespace(random=lambda: luck), wire
    answers = made.ask_all([("PING",)] * len(outcomes))
    assert [answer.outcome for answer in answers] == outcomes
    assert [answer.reply for answer in answers if answer.outcome == "unknown"][:1] in (
        [], ["UNCERTAIN who knows"], [None])
    assert any(isinstance(reply, Error) and reply.kind() == "UNCERTAIN" for reply in replies) == \
        any(answer.reply == "UNCERTAIN who knows" for answer in answers)
    assert (made.connection is wire) == stays != wire.closed
    if stays:
        wire.replies = ["OK"]  # nobody leaves for what was refused before
        made.dice.random = lambda: 0.1
        made.ask("PING")
        assert made.connection is wire


def test_what_nobody_should_answer_ends_a_client():
    made = Client(types.SimpleNamespace(), 1, 1)
    made.connection = Wire([Error("ERR what is that")])
    made.dice = types.SimpleNamespace(random=lambda: 0.5)
    with pytest.raises(Error, match="what is that"):
        made.ask("PING")


# --- The end of a round ---------------------------------------------------------------------------


@pytest.fixture(name="world")
def _world(tmp_path, monkeypatch):
    """Clients that have not begun, and a store that is a dictionary."""
    (tmp_path / "progress").write_bytes(bytes(4096))
    made = World(types.SimpleNamespace(nodes="h:1", history=str(tmp_path / "history"), seed=1,
                                       progress=str(tmp_path / "progress"), round=0, each=1,
                                       keyspaces=False, primaries=False))
    made.store = {f"own:{client.number}": b"0" for client in made.clients
                  if isinstance(client, Retrier)}

    def answer(word, *names):
        values = [made.store.get(name) for name in names]
        if word == "DEL":
            return sum(made.store.pop(name, None) is not None for name in names)
        return values if word == "MGET" else values[0]
    monkeypatch.setattr(Client, "ask_all", lambda self, commands: [
        Answer("done", answer(*command)) for command in commands])
    monkeypatch.setattr("clients.FINAL_SECONDS", 0)
    return made


def test_at_the_end_all_is_read_and_removed(world):
    scribe, = [client for client in world.clients if isinstance(client, Scribe)]
    scribe.now[0].answered(Answer("done", 1))
    scribe.in_pipelines = 1
    world.store.update({scribe.now[0].key: b"1", "reg:0": b"a", "cnt:1": b"3", "list:0": b"1,",
                        "cnt:list:1": b"2,", **{name: b"x" for name in Several.names("several:2")}})
    world.read_all()
    assert [key for key in world.store if not key.startswith("own:")] == []
    assert scribe.now[0].key not in world.store
    world.history.close()
    with open(world.history.file.name, encoding="ascii") as file:
        lines = [line.split()[1:5] for line in file]
    for line in (["reg:0", "get", "-", "=a"], ["cnt:1", "get", "-", "=3"],
                 ["several:2", "get", "-", "=x"], ["several:0", "get", "-", "nil"],
                 ["list:0", "get", "-", "=1,"], ["cnt:list:1", "get", "-", "=2,"]):
        assert line in lines
    found = world.summary()
    assert (found["acknowledged"], found["in_pipelines"]) == (1, 1)


@pytest.mark.parametrize("lost", ["scribe", "retrier", "claim"])
def test_at_the_end_it_is_found_what_is_lost(world, lost):
    for client in world.clients:
        if isinstance(client, Scribe) and lost == "scribe":
            client.now[1].answered(Answer("done", 1))
        if isinstance(client, Retrier) and lost == "retrier":
            client.told = 1
    if lost == "claim":
        world.claims.told(1, "me", OK)
    with pytest.raises(AssertionError, match="counted|once|claim 1: lost"):
        world.read_all()


def test_writes_are_counted_over_rounds_those_in_pipelines_apart(monkeypatch):
    told = {"acknowledged": 5, "in_pipelines": 100}
    monkeypatch.setattr("load.Clients", lambda *_: types.SimpleNamespace(
        told=told.get, check=lambda: None))
    made = Load.__new__(Load)
    made.cluster, made.number, made.each = types.SimpleNamespace(directory="", nodes=[]), 0, 1
    made.dice, made.problem, made.words = random.Random(1), None, []
    made.totals = collections.Counter()
    made.begin()
    assert (made.word("acknowledged"), made.acknowledged()) == (5, 105)
    made.totals.update(acknowledged=1050, in_pipelines=1000)
    assert (made.word("acknowledged"), made.acknowledged()) == (5, 105)  # its round goes on
    made.begin()
    assert (made.word("acknowledged"), made.acknowledged()) == (55, 1155)


# --- Troubles -------------------------------------------------------------------------------------


def test_a_trouble_may_come_more_often():
    chaos = Chaos.__new__(Chaos)
    chaos.partitions, chaos.often, chaos.drawn, given = 0, "join", set(), []
    chaos.dice = types.SimpleNamespace(
        random=lambda: 1.0, choices=lambda names, weights: given.append(dict(zip(names, weights)))
        or names)
    chaos.draw_classes()
    assert chaos.classes == {"join", "kill", "cut", "pause", "kill_all_in_a_hush",
                             "kill_all_that_wait"} == chaos.drawn
    chaos.classes.add("wipe")
    assert chaos.choose(Chaos.OPERATIONS) == "join"
    assert given == [{"join": 20 * Chaos.OPERATIONS["join"], "wipe": Chaos.OPERATIONS["wipe"]}]
    chaos.often = None
    chaos.draw_classes()
    assert "join" not in chaos.classes


@pytest.mark.parametrize("partitions, luck, leader, chosen", [
    (0, 0.0, "a", "a"), (0, 0.0, None, "b"), (4, 0.0, "a", "b"), (4, 0.9, "a", "a")])
def test_where_there_are_partitions_anybody_leads_some(partitions, luck, leader, chosen):
    chaos = Chaos.__new__(Chaos)
    chaos.partitions, chaos.leader, chaos.alive = partitions, lambda: leader, lambda: ["a", "b"]
    chaos.dice = types.SimpleNamespace(random=lambda: luck, choice=lambda names: names[-1])
    assert chaos.some_leader() == chosen


@pytest.mark.parametrize("certain", [True, False])
def test_a_loss_of_power_may_be_certain(certain):
    lost, started = [], []
    seat = types.SimpleNamespace(
        number=3, running=lambda: True, process=types.SimpleNamespace(kill=lambda: None),
        wait=lambda: None, start=lambda: started.append(3),
        lose_power=lambda dice, everything: lost.append(everything) or 4)
    chaos = Chaos.__new__(Chaos)
    chaos.dice = types.SimpleNamespace(random=lambda: 0.99)
    said = chaos.strike([seat], certain=certain)
    assert (lost, started) == ([True] if certain else [], [3])
    assert said == ("[3] by loss of power, 4 writes lost" if certain else "[3]")


@pytest.mark.parametrize("born, hurries, luck, joins", [
    (True, False, 0.1, False), (True, False, 0.9, True), (True, True, 0.9, False),
    (False, True, 0.1, True)])
def test_a_member_may_be_started_without_join(monkeypatch, born, hurries, luck, joins):
    monkeypatch.setattr("campaign_members.Seat.arguments",
                        lambda self, extra: ["server", "--join", "h:1,h:2", "--dir", "d"])
    seat = ChaosSeat.__new__(ChaosSeat)
    seat.host, seat.hurries, seat.is_born = "h", hurries, lambda: born
    seat.dice = types.SimpleNamespace(random=lambda: luck)
    words = seat.arguments()
    assert ("--join" in words) == ("h:1,h:2" in words) == joins
    assert words[words.index("--dir") + 1] == "d"


def test_when_a_disk_has_room_again_it_is_seen_who_ended_for_lack_of_it(monkeypatch):
    monkeypatch.setattr("weather.ENDS_S", 0)
    chaos, freed, seen = Chaos.__new__(Chaos), [], []
    seat = types.SimpleNamespace(disk=types.SimpleNamespace(give_back=lambda: freed.append(1)))
    chaos.check_lives = lambda freed=(): seen.append(list(freed))
    chaos.empty_disks([seat])
    assert freed == [1] and seen == [[seat]]


# --- Nodes that end by themselves -----------------------------------------------------------------


@pytest.mark.parametrize("says, full, freed, holds", [
    ("disk full", True, False, True), ("disk full", False, True, True),
    ("node cannot be written: No space left on device", True, False, True),
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


@pytest.mark.parametrize("lines, says", [
    (["1 k set a ok soon 2000000"], "was not judged: ValueError"),
    (["1 k jump a ok 1000000 2000000"], "not an operation"), ([], "no operation at all")])
def test_a_round_that_cannot_be_judged_is_not_clean(load, lines, says):
    write_history(load, *lines)
    load.judge_round(load.history, lambda at: True)
    assert says in load.problem and load.verdicts == []
    with pytest.raises(AssertionError):
        load.check_judge()


def test_a_round_that_nobody_judged_is_missed(load):
    load.verdicts, load.number, load.totals = ["linearizable"], 1, {}
    load.end_round = lambda is_calm: None
    load.judge = types.SimpleNamespace(join=lambda: None)
    with pytest.raises(AssertionError, match="a round was not judged"):
        load.finish()
    load.verdicts.append("lists")
    assert load.finish()["rounds"] == 2


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


@pytest.mark.parametrize("option, value", [
    ("--minutes", "0"), ("--minutes", "-1"), ("--minutes", "nan"), ("--minutes", "soon"),
    ("--clients", "0"), ("--times", "0"), ("--times", "1.5")])
def test_a_run_of_nothing_is_none(option, value, tmp_path):
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
    done = subprocess.run([sys.executable, run, option, value, str(tmp_path)], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and f"'{value}' is no number above 0" in done.stderr, done


@pytest.mark.parametrize("module, name, there, says", [
    ("shutil", "which", lambda tool, path: None, "nft, of Debian's package nftables"),
    ("os", "access", lambda path, mode: False, "kernel: /dev/net/tun is missing"),
    ("_libc", "unshare", lambda flags: -1, "kernel: no namespaces of networks and mounts here"),
])
def test_what_a_machine_lacks_is_said(module, name, there, says, monkeypatch):
    monkeypatch.setattr(namespaces.shutil, "which", lambda tool, path: tool)
    monkeypatch.setattr(namespaces.os, "access", lambda path, mode: True)
    monkeypatch.setattr(namespaces, "_libc", types.SimpleNamespace(unshare=lambda flags: 0))
    monkeypatch.setattr(namespaces.subprocess, "run", lambda *words, **options: (
        types.SimpleNamespace(returncode=1, stdout="Error: not permitted\nadd table\n")))
    monkeypatch.setattr(namespaces, "write_file", lambda path, text: None)
    monkeypatch.setitem(os.environ, "PATH", os.environ["PATH"])
    with pytest.raises(namespaces.Missing, match="kernel: no mounts of its own: Error: not perm"):
        namespaces.enter()
    monkeypatch.setattr(getattr(namespaces, module), name, there)
    with pytest.raises(namespaces.Missing, match=says):
        namespaces.enter()


def test_a_trouble_that_nobody_knows_is_told_so(tmp_path):
    (tmp_path / "quorate").touch()
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
    done = subprocess.run([sys.executable, run, "--often", "rain", str(tmp_path)], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "'rain' is no kind of trouble" in done.stderr, done
    assert all(Chaos.knows(kind) for kind in ("cut", "kill", "join", "grow_from_one", "zones"))
