"""What chaos knows of keyspaces with STRATEGY primary, and what it takes for wrong there: without a
cluster."""
import random
import types

import pytest

import loners
from backups import LOOSE_NAME, SAFE, Backups
from chaos import KEYSPACES, Chaos
from client import Answer
from clients import World, Zoned
from loners import LEFT, Journals, Loner
from resp import Closed, Error

OK, REFUSED, UNKNOWN = Answer("done", "OK"), Answer("fail", None), Answer("unknown", None)


def loner(*outcomes):
    made = Loner(types.SimpleNamespace(ended=False), 7, 1)
    made.ask_all = lambda commands: list(outcomes)
    made.act()
    return made


# --- Writers --------------------------------------------------------------------------------------


def test_a_loner_writes_each_key_once_and_knows_what_it_was_told(monkeypatch):
    monkeypatch.setattr("loners.PAUSE_S", 0)
    made = loner(OK, REFUSED, UNKNOWN, OK)
    assert (made.told, made.vain) == ({0, 3}, {1})
    assert (made.in_pipelines, made.refused, made.uncertain) == (2, 1, 1)
    made.ask_all = lambda commands: asked.extend(commands)
    asked = []
    made.act()  # nobody could be reached
    assert asked[0] == ("SET", "loc:7-4", 4) and made.told == {0, 3}


@pytest.mark.parametrize("held, gone", [
    ({0: b"0", 3: b"3"}, set()), ({0: b"0"}, {"loc:7-3"}), ({0: b"0", 2: b"2", 3: b"3"}, set()),
    ({0: b"0", 1: b"1", 3: b"3"}, "1 was refused"), ({0: b"9", 3: b"3"}, "0 is b'9'")])
def test_what_was_told_is_there_or_gone_and_what_was_refused_is_not(monkeypatch, held, gone):
    monkeypatch.setattr("loners.PAUSE_S", 0)
    made = loner(OK, REFUSED, UNKNOWN, OK)
    held = {made.key(serial): value for serial, value in held.items()}
    if isinstance(gone, set):
        assert made.gone(held) == gone
    else:
        with pytest.raises(AssertionError, match=f"wrong: alone: loc:7-{gone}"):
            made.gone(held)


def entry(*words, state=b"discarded", acknowledged=b"maybe"):
    return ["state", state, "acknowledged", acknowledged, "command", list(words)]


class Journal:
    """The connection to a node that has one."""

    def __init__(self, entries, blind):
        self.entries, self.blind = entries, blind

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, *words):
        if "STATS" in words:
            return ["blind-slots", self.blind]
        at = int(words[4])
        after = str(at + 1) if at + 1 < len(self.entries) else "0"
        return [after.encode(), self.entries[at:at + 1]]


def journals_of(monkeypatch, *nodes):
    """Each a Journal, or what comes instead of one."""
    def connect(port, _host, timeout):
        assert timeout
        if isinstance(nodes[port], Exception):
            raise nodes[port]
        return nodes[port]
    monkeypatch.setattr(loners, "Connection", connect)
    monkeypatch.setattr(loners, "FINAL_S", 0)
    places = [types.SimpleNamespace(port=i, host="h") for i in range(len(nodes))]
    made = Journals(places)
    made.before = 0
    return made


@pytest.mark.parametrize("entries, blind, excuse, says", [
    ([entry(b"SET", b"loc:7-0", b"0")], 0, "", None),
    ([entry(), entry(b"DEL", b"x", b"SET", b"a", b"9", b"SET", b"loc:7-0", b"0")], 0, "", None),
    ([entry(b"SET", b"loc:7-1", b"0")], 0, "", "1 of 1 that are gone have no name"),
    ([entry(b"SET", b"loc:7-0", b"0", state=b"regained")], 0, "", "have no name"),
    ([entry(b"DEL", b"loc:7-0")], 0, "", "have no name"),
    ([entry(b"SET", b"loc:7-0", b"0", acknowledged=b"no")], 0, "", "nobody was told"),
    ([entry(b"SET", b"loc:7-0", b"0", acknowledged=b"yes")], 0, "", None),
    ([], 1, "", None), ([], 0, "a disk was lost", None)])
def test_what_is_gone_has_a_name_or_an_excuse(monkeypatch, entries, blind, excuse, says):
    made = journals_of(monkeypatch, OSError(), Journal(entries or [entry()], blind),
                       Error("LOADING"), Closed())
    if says is None:
        made.explain({"loc:7-0"}, excuse)
    else:
        with pytest.raises(AssertionError, match=f"wrong: alone: .*{says}"):
            made.explain({"loc:7-0"}, excuse)


def test_slots_that_were_counted_before_explain_nothing(monkeypatch):
    made = journals_of(monkeypatch, Journal([entry()], 5))
    made.before = 5
    with pytest.raises(AssertionError, match="have no name, and 0 slots"):
        made.explain({"loc:7-0"}, "")


def test_in_the_end_all_is_read_and_most_is_removed(monkeypatch):
    monkeypatch.setattr("loners.PAUSE_S", 0)
    made, asked = loner(OK, OK, OK, OK), []
    made.serial, made.told = 30, set(range(30))

    def ask_all(commands):
        asked.extend(commands)
        return [Answer("done", key.rpartition("-")[2].encode() if key != "loc:7-5" else None)
                for _, key in commands]
    world = types.SimpleNamespace(clients=[made, object()], excuse="", journals=journals_of(
        monkeypatch, Journal([entry(b"SET", b"loc:7-5", b"5")], 0)))
    assert loners.judge(world, types.SimpleNamespace(ask_all=ask_all)) == 1
    assert [words[0] for words in asked].count("DEL") == 30 - LEFT


@pytest.mark.parametrize("primaries", [False, True])
def test_loners_are_where_there_are_primaries(tmp_path, monkeypatch, primaries):
    monkeypatch.setattr(loners, "Connection", lambda *_, timeout: Journal([entry()], timeout))
    (tmp_path / "progress").write_bytes(bytes(4096))
    world = World(types.SimpleNamespace(
        nodes="h:1", history=str(tmp_path / "history"), seed=1, each=2, round=0, keyspaces=True,
        progress=str(tmp_path / "progress"), primaries=primaries))
    kinds = [type(client) for client in world.clients]
    assert (kinds.count(Loner), kinds.count(Zoned)) == ((4, 0) if primaries else (0, 2))
    world.history.close()


# --- Keyspaces and orders -------------------------------------------------------------------------


def chaos_of(seed=1, backed=True):
    chaos = Chaos.__new__(Chaos)
    chaos.dice, chaos.backed, chaos.partitions, chaos.done = random.Random(seed), backed, 4, []
    chaos.load = types.SimpleNamespace(excuse="")
    chaos.draw_strategies(KEYSPACES)
    return chaos


def test_what_only_loners_may_lose_is_in_a_keyspace_of_its_own():
    assert set(chaos_of(backed=False).strategies.values()) == {("STRATEGY", "raft")}
    loose, logs = set(), set()
    for seed in range(100):
        chaos = chaos_of(seed)
        assert set(chaos.strategies) == {*KEYSPACES, LOOSE_NAME}
        assert set(chaos.with_primaries()) == {"reg", "own", LOOSE_NAME}
        for name in ("reg", "own"):
            assert chaos.strategies[name][2:4] in SAFE
            logs.add(chaos.strategies[name][-1])
        loose.add(chaos.strategies[LOOSE_NAME][3:6])
        assert chaos.received == ("received" in chaos.strategies[LOOSE_NAME][3])
    assert len(loose) == 3 and logs == {"statement", "logical"}


class Seat:
    """That has a digest."""

    def __init__(self, number, digest):
        self.number, self.digest = number, digest

    def call(self, *words):
        assert words == ("DEBUG", "DIGEST", 9)
        return self.digest


def with_answer(chaos, answer):
    def call(*words, timeout):
        assert timeout
        chaos.asked = words
        if isinstance(answer, Exception):
            raise answer
        return answer
    seat = Seat(1, None)
    seat.call = call
    chaos.alive, chaos.members = lambda: [seat], lambda: {seat: {"id": 4}}


@pytest.mark.parametrize("answer, holds", [
    ("OK", True), (Closed(), True), (OSError(), True), (Error("TRYAGAIN not applied"), True),
    (Error("ERR FAILOVER timed out and was called off"), True),
    (Error("ERR it is so, nothing was changed"), True), (Error("ERR unknown subcommand"), False)])
@pytest.mark.parametrize("kind", Backups.OF_PRIMARIES)
def test_orders_may_be_refused_by_words_that_say_what_came_of_them(kind, answer, holds):
    for seed in range(20):
        chaos = chaos_of(seed)
        with_answer(chaos, answer)
        if not holds:
            with pytest.raises(AssertionError, match="unknown subcommand"):
                getattr(chaos, kind)()
            continue
        getattr(chaos, kind)()
        assert chaos.done and chaos.asked[0] == "KEYSPACE"
        assert kind != "force" or (chaos.asked[2] == LOOSE_NAME and "FORCE" in chaos.asked)
        assert kind != "hand_over" or "FORCE" not in chaos.asked
        weak = {"LOCAL", "async", "ANY 1 ON received"} & set(chaos.asked)
        assert not weak or chaos.asked[2] == LOOSE_NAME
        assert bool(chaos.load.excuse) == (kind == "force" and chaos.received)


def test_a_round_that_spares_disks_loses_none(monkeypatch):
    monkeypatch.setattr("campaign_members.MemberCampaign.lose",
                        lambda _: types.SimpleNamespace(number=3))
    chaos = chaos_of()
    chaos.spares = True
    assert chaos.lose() is None and not chaos.load.excuse
    chaos.spares = False
    assert chaos.lose().number == 3 and chaos.load.excuse == "a disk was lost, of seat 3"


@pytest.mark.parametrize("view, received, well, forced", [
    ("settled", True, True, 0), ("beginning", True, False, 0), ("choosing", False, False, 0),
    ("choosing", True, False, 1), ("fallen back", False, False, 0)])
def test_only_where_memory_was_lost_a_choice_is_forced(monkeypatch, view, received, well, forced):
    monkeypatch.setattr("backups.PATIENT_S", -1)
    chaos = chaos_of()
    chaos.received, chaos.strategies = received, {LOOSE_NAME: ("STRATEGY", "primary")}
    with_answer(chaos, "OK")
    monkeypatch.setattr("backups.places", lambda *_: [{"partition": 2, "view": view.encode()}])
    assert chaos.are_primaries_well(chaos.alive()[0]) == well
    assert chaos.forced == forced and bool(chaos.load.excuse) == bool(forced)


@pytest.mark.parametrize("digests, equal", [
    ({1: "a", 2: "a", 3: "a"}, True), ({1: "a", 2: "b", 3: "a"}, False), ({1: "a", 2: "a"}, False)])
def test_replicas_are_equal_in_the_end(monkeypatch, digests, equal):
    monkeypatch.setattr("backups.wait_for", lambda condition, *_: bool(condition()) or 1 / 0)
    monkeypatch.setattr("backups.places", lambda *_: [{"group": 9, "nodes": b"1,2,3"}])
    chaos = chaos_of()
    made = {Seat(number, digest): {"id": str(number)} for number, digest in digests.items()}
    chaos.members, chaos.leader = lambda: made, lambda: next(iter(made))
    if equal:
        chaos.wait_equal()
    else:
        with pytest.raises(ZeroDivisionError):
            chaos.wait_equal()
