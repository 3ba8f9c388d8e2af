"""What stewards know of their keyspaces, and what they take for wrong: without a cluster."""
import random
import types

import pytest

from chaos import Chaos
from client import Answer, Client
from clients import Node, Steward, World
from resp import Closed, Error
from stewards import (ABSENT, OPEN_MANY, OPEN_SOME, PATIENCES_S, Book, alter, create, drop, put,
                      put_late)

THERE = create(True, 7)


def told(book, steps):
    """Each step: the outcome and what it does, or what is seen of the key or the keyspace."""
    for outcome, what in steps:
        if outcome == "ok":
            book.came(what, "OK")
        elif outcome == "open":
            book.may_come(what)
        elif outcome == "there":
            book.seen(lambda state, there=what: state.there == there, "it is")
        else:
            book.seen(lambda state, value=what: (
                state.here if state.there and state.prefix else state.zero) == value, "read")


@pytest.mark.parametrize("steps, holds", [
    ([("ok", THERE), ("there", True)], True),
    ([("ok", THERE), ("there", False)], False),
    ([("there", True)], False),
    ([("open", THERE), ("there", False), ("there", True)], True),
    ([("open", THERE), ("there", True), ("there", False)], False),
    ([("ok", THERE), ("ok", THERE)], False),
    ([("open", THERE), ("ok", alter(ops=1))], True),
    ([("ok", alter(ops=1))], False),
    ([("ok", THERE), ("ok", drop()), ("there", True)], False),
    ([("ok", THERE), ("open", drop()), ("ok", alter(ops=1)), ("there", False)], True),
    ([("ok", drop())], False),
    # Once it has come an order does not come again.
    ([("open", THERE), ("ok", drop()), ("there", True)], False),
    ([("open", THERE), ("open", THERE), ("ok", drop()), ("there", True)], True)])
def test_a_keyspace_is_what_it_was_ordered_to_be(steps, holds):
    judge(steps, holds)


@pytest.mark.parametrize("steps, holds", [
    ([("ok", put("a")), ("key", "a")], True),
    ([("ok", put("a")), ("key", None)], False),
    ([("ok", put("a")), ("ok", THERE), ("key", "a")], False),
    ([("ok", put("a")), ("ok", THERE), ("key", None), ("ok", drop()), ("key", "a")], True),
    ([("ok", THERE), ("ok", put("b")), ("ok", alter(prefix=False)), ("key", None)], True),
    ([("ok", THERE), ("ok", put("b")), ("ok", alter(prefix=False)), ("key", "b")], False),
    ([("ok", THERE), ("ok", put("b")), ("open", alter(prefix=False)), ("key", None),
      ("key", "b")], False),
    ([("ok", THERE), ("ok", put("b")), ("ok", drop()), ("ok", THERE), ("key", "b")], False),
    # A write that comes late comes to where its key led when it was sent, if that is still there.
    ([("ok", THERE), ("open", put_late("b")), ("ok", alter(prefix=False)),
      ("ok", alter(prefix=True)), ("key", "b")], True),
    ([("ok", THERE), ("open", put_late("b")), ("ok", alter(prefix=False)), ("key", "b")], True),
    ([("ok", THERE), ("open", put_late("b")), ("key", "b"), ("ok", put("c")), ("key", "b")], False),
    ([("ok", THERE), ("open", put_late("b")), ("ok", put("c")), ("key", "b")], True)])
def test_a_key_is_where_its_prefix_led(steps, holds):
    judge(steps, holds)


@pytest.mark.parametrize("steps, unsure, holds", [
    ([("ok", THERE)], set(), True), ([("ok", THERE), ("ok", put("a"))], set(), False),
    ([("ok", THERE), ("ok", put("a"))], {"a"}, True)])
def test_what_is_in_use_is_not_dropped_without_force(steps, unsure, holds):
    judge([*steps, ("ok", drop(unsure))], holds)


def judge(steps, holds):
    book = Book("s1-0")
    if holds:
        told(book, steps)
    else:
        told(book, steps[:-1])
        with pytest.raises(AssertionError, match="wrong: keyspaces: s1-0"):
            told(book, steps[-1:])


class Nodes:
    """A steward whose nodes answer as they are told to."""

    def __init__(self, monkeypatch, answers=()):
        self.asked, self.answers = [], list(answers)
        monkeypatch.setattr("stewards.PAUSE_S", 0)
        self.steward = Steward(types.SimpleNamespace(ended=False, nodes="abc"), 1, 1)
        monkeypatch.setattr(self.steward, "ask", self.ask)
        self.steward.steps = 100

    def ask(self, *words):
        self.asked.append([word for word in words if word in ("CREATE", "DROP", "FORCE", "SET")])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer and self.steward.answer_of(answer) if not isinstance(answer, Answer) \
            else answer


NO_ANSWER, DONE = Answer("unknown", None), Answer("done", "OK")


def test_a_steward_goes_on_to_the_next_when_too_much_is_open(monkeypatch):
    nodes = Nodes(monkeypatch, [NO_ANSWER])
    for _ in range(OPEN_SOME):
        nodes.steward.act()
    assert nodes.asked == [["CREATE"]] * OPEN_SOME and len(nodes.steward.books) == 1
    nodes.steward.act()
    assert len(nodes.steward.books) == 2


def test_what_may_be_there_is_dropped_before_the_next(monkeypatch):
    nodes = Nodes(monkeypatch, [DONE, NO_ANSWER])
    nodes.steward.act()
    nodes.steward.steps = 0
    for _ in range(OPEN_MANY):
        nodes.steward.act()
    assert nodes.asked == [["CREATE"]] + [["DROP", "FORCE"]] * OPEN_MANY
    nodes.steward.act()
    assert len(nodes.steward.books) == 2


def test_an_error_must_say_what_became_of_the_order(monkeypatch):
    nodes = Nodes(monkeypatch, [Error("ERR no")])
    with pytest.raises(AssertionError, match="wrong: refused"):
        nodes.steward.act()


@pytest.mark.parametrize("text, may_be", [
    ("ERR keyspace 's1-0' is there already, with ID 16, nothing was changed", False),
    ("ERR 3 replicas need as many nodes, nothing was changed", True)])
def test_a_refusal_tells_what_is_there(monkeypatch, text, may_be):
    nodes = Nodes(monkeypatch, [Error(text)])
    if may_be:
        nodes.steward.act()
        assert nodes.steward.book.is_gone()
    else:
        with pytest.raises(AssertionError, match="wrong: keyspaces"):
            nodes.steward.act()


def test_a_write_without_an_answer_excuses_a_drop(monkeypatch):
    nodes = Nodes(monkeypatch, [NO_ANSWER])
    nodes.steward.put()
    assert nodes.steward.book.unsure == {"1-0"} and len(nodes.steward.book.open) == 1


def test_a_write_without_an_answer_may_come_to_where_the_prefix_led(monkeypatch):
    nodes = Nodes(monkeypatch, [NO_ANSWER])
    nodes.steward.book.came(THERE, "OK")
    nodes.steward.put()
    nodes.steward.book.came(alter(prefix=False), "OK")
    nodes.steward.book.seen(lambda state: state.here is None, "not yet")
    assert {state.here for state in nodes.steward.book.states()} == {None, "1-0"}


def test_a_keyspace_that_may_not_be_there_is_not_looked_into(monkeypatch):
    nodes = Nodes(monkeypatch, [Answer("done", None)])
    nodes.steward.look_there()
    nodes.steward.book.may_come(THERE)
    nodes.steward.look_there()
    assert nodes.asked == []


def test_what_cannot_be_read_in_the_end_is_told(monkeypatch):
    nodes = Nodes(monkeypatch, [NO_ANSWER])
    monkeypatch.setattr("stewards.FINAL_S", 0)
    monkeypatch.setattr(nodes.steward, "told_by", lambda node: A)
    with pytest.raises(AssertionError, match="s1-0:key cannot be read"):
        nodes.steward.judge()


@pytest.mark.parametrize("text, tells", [
    ("ERR there is no keyspace 's1-0': KEYSPACE LIST shows which there are", True),
    ("REMOVED this node was removed", False)])
def test_who_is_no_member_tells_nothing(monkeypatch, text, tells):
    truth = types.SimpleNamespace(answer=lambda words: Error(text))
    wire(truth, monkeypatch)
    steward = Nodes(monkeypatch).steward
    if tells:
        assert steward.told_by(Node("h", 1)) == A
    else:
        with pytest.raises(Closed):
            steward.told_by(Node("h", 1))


A, B = ABSENT[:4], (True, True, 7, "linearizable")


@pytest.mark.parametrize("tells, may_be, agree", [
    ({"a": B, "b": B, "c": B}, "there", True), ({"a": B, "b": A, "c": B}, "there", False),
    ({"a": A, "b": A, "c": A}, "there", False), ({"a": B, "b": B}, "there", True),
    ({}, "there", False), ({"a": A, "b": A, "c": A}, "either", True),
    ({"a": B, "b": B, "c": B}, "either", True), ({"a": A, "b": B, "c": B}, "either", False),
    ({"a": B, "b": B, "c": B}, "gone", False)])
def test_in_the_end_all_nodes_tell_the_same_and_it_may_be_so(monkeypatch, tells, may_be, agree):
    nodes = Nodes(monkeypatch)
    steward = nodes.steward
    if may_be != "gone":
        (steward.book.came if may_be == "there" else steward.book.may_come)(
            *[THERE, "OK"][:1 + (may_be == "there")])

    def told_by(node):
        if node not in tells:
            raise Closed()
        return tells[node]
    monkeypatch.setattr(steward, "told_by", told_by)
    assert steward.agree(False) == agree
    if agree:
        assert {state[:4] for state, _ in steward.book.cases} == set(tells.values())
    if not agree:
        with pytest.raises(AssertionError, match="wrong: keyspaces: of s1-0 nodes tell"):
            steward.agree(True)


def test_in_the_end_what_it_wrote_is_looked_for_and_nothing_stays(monkeypatch):
    nodes = Nodes(monkeypatch, [Answer("fail", None), Answer("done", b"v"), Answer("done", b"v"),
                                NO_ANSWER, DONE, Answer("done", 1)])
    nodes.steward.book.came(THERE, "OK")
    nodes.steward.book.came(put("v"), "OK")
    monkeypatch.setattr(nodes.steward, "told_by", lambda node: B)
    nodes.steward.judge()
    assert nodes.asked == [[], [], [], ["DROP", "FORCE"], ["DROP", "FORCE"], []]


@pytest.mark.parametrize("replies", [[b"w"], [None], [b"v", b"w"]])
def test_in_the_end_it_is_found_what_is_lost(monkeypatch, replies):
    nodes = Nodes(monkeypatch, [Answer("done", reply) for reply in replies])
    nodes.steward.book.came(THERE, "OK")
    nodes.steward.book.came(put("v"), "OK")
    monkeypatch.setattr(nodes.steward, "told_by", lambda node: B)
    with pytest.raises(AssertionError, match="wrong: keyspaces: s1-0: .* is read"):
        nodes.steward.judge()


class Truth:
    """Keyspaces as they should be, or with a fault that comes now and then: what a steward asks for
    is answered, refused, or has no answer and is carried out at once, later or never."""

    def __init__(self, seed, fault):
        self.dice, self.fault = random.Random(seed), fault
        self.there, self.zero, self.late, self.before = {}, {}, [], {}
        self.harmed = False

    def harm(self, fault, share=0.2):
        """Whether that is wrong now."""
        now = fault == self.fault and self.dice.random() < share
        self.harmed = self.harmed or now
        return now

    def answer(self, words):
        """A connection's each_of() has it from here."""
        for order in [order for order in self.late if self.dice.random() < 0.1]:
            self.late.remove(order)
            order()
        keyspace = words[words.index("KS") + 1] if "KS" in words else None
        words = words[2 + words[1]:] if words[0] == "WITH" else words
        act = getattr(self, words[0] if words[0] != "KEYSPACE" else words[1])
        reply = act(keyspace, *words[1 + (words[0] == "KEYSPACE"):])
        if isinstance(reply, str):
            return Error(reply)
        return self.carry_out(reply) if callable(reply) else reply

    def carry_out(self, change):
        dice = self.dice.random()
        if dice < 0.05:
            if self.harm("refused", 1):
                change()
            return Error("TRYAGAIN not applied")
        if dice < 0.15:
            if self.dice.random() < 0.4:
                self.late += [change] * (2 if self.harm("twice", 1) else 1)
            elif self.dice.random() < 0.5:
                change()
            return Error("UNCERTAIN who knows")
        if not self.harm("lost", 0.05):
            change()
        return "OK"

    def place(self, key):
        there = self.there.get(key.partition(":")[0], {})
        return there["data"] if there.get("prefix") and not self.harm("prefix") else self.zero

    def CREATE(self, _, name, *words):  # pylint: disable=invalid-name
        options = dict(zip(words[::2], words[1::2]))
        if name in self.there:
            return f"ERR {name} is there already, nothing was changed"
        return lambda: name in self.there or self.there.update({name: {
            "prefix": options.get("PREFIX", ""), "maxops": options["MAXOPS"],
            "read": "linearizable", "data": {}}})

    def ALTER(self, _, name, *words):  # pylint: disable=invalid-name
        options = {word.lower(): value for word, value in zip(words[::2], words[1::2])}
        for word in ("maxops", "read", "prefix"):
            if word in options and self.harm(word, 1):
                options.pop(word, None)
        return self.of(name, lambda: self.there[name].update(options))

    def DROP(self, _, name, *force):  # pylint: disable=invalid-name
        if name in self.there and self.there[name]["data"] and not force and not self.harm("drop"):
            return "UNSAFE it is in use, nothing was changed"
        return self.of(name, lambda: self.there.pop(name))

    def of(self, name, change):
        if name not in self.there:
            return f"ERR there is no keyspace '{name}', nothing was changed"
        return lambda: name in self.there and change()

    def SET(self, _, key, value):  # pylint: disable=invalid-name
        place = self.place(key)
        self.before[key] = place.get(key)
        return lambda: place.update({key: value})

    def GET(self, keyspace, key):  # pylint: disable=invalid-name
        if keyspace is not None and keyspace not in self.there:
            return "ERR KS names no keyspace that there is, the command was not applied"
        place = self.place(key) if keyspace is None else self.there[keyspace]["data"]
        value = self.before.get(key) if self.harm("stale") else place.get(key)
        return None if value is None else value.encode()

    def DEL(self, _, key):  # pylint: disable=invalid-name
        return self.zero.pop(key, None) is not None

    def INFO(self, _, name):  # pylint: disable=invalid-name
        if name not in self.there:
            return f"ERR there is no keyspace '{name}': KEYSPACE LIST shows which there are"
        row = dict(self.there[name], maxops=0 if self.harm("told", 1) else
                   self.there[name]["maxops"])
        return [word for name in ("prefix", "maxops", "read") for word in (name, row[name])]


def wire(truth, monkeypatch):
    """What stewards connect to."""
    class Wire:
        def __init__(self, port, _host, timeout):
            assert timeout in PATIENCES_S
            if port > 3:
                raise OSError

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def close(self):
            pass

        def each_of(self, commands):
            return (truth.answer(list(words)) for words in commands)

        def call(self, *words):
            reply = truth.answer(list(words))
            if isinstance(reply, Error):
                raise reply
            return reply
    monkeypatch.setattr("client.Connection", Wire)
    monkeypatch.setattr("stewards.Connection", Wire)
    monkeypatch.setattr("client.time", types.SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr("stewards.PAUSE_S", 0)
    monkeypatch.setattr("stewards.FINAL_S", 0.5)


def live(truth, seed):
    """A steward's life."""
    nodes = [Node("h", port) for port in (1, 2, 3, 4)]
    steward = Steward(types.SimpleNamespace(ended=False, nodes=nodes), 1, seed)
    for _ in range(300):
        steward.act()
    truth.late.clear()
    steward.judge()
    return steward


@pytest.mark.parametrize("seed", range(10))
def test_a_steward_is_content_with_what_is_right(monkeypatch, seed):
    truth = Truth(seed, None)
    wire(truth, monkeypatch)
    steward = live(truth, seed)
    assert steward.orders > 50 and steward.reads > 20 and len(steward.books) > 3
    assert truth.there == {}


@pytest.mark.parametrize("fault", ["refused", "twice", "lost", "prefix", "maxops", "read", "drop",
                                   "stale", "told"])
def test_a_steward_finds_what_is_wrong(monkeypatch, fault):
    """Some of it only where it is so in the end."""
    for seed in range(40):
        truth = Truth(seed, fault)
        wire(truth, monkeypatch)
        try:
            live(truth, seed)
        except AssertionError as problem:
            assert str(problem).startswith("wrong: keyspaces") and truth.harmed, problem
            return
        assert seed < 4 or fault in ("twice", "maxops", "read", "told")
    assert False, "nobody found it"


# --- In a run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("often, may_be", [(None, {0, 4}), ("kill", {0, 4}), ("drain", {4}),
                                           ("grow_from_one", {0}), ("hand_over", {4})])
def test_every_second_run_has_partitions(often, may_be):
    drawn = set()
    for seed in range(60):
        chaos = Chaos.__new__(Chaos)
        chaos.often, chaos.dice = often, random.Random(seed)
        chaos.cluster = types.SimpleNamespace(options=[])
        chaos.draw_partitions()
        drawn.add((chaos.partitions, *chaos.cluster.options))
    assert drawn == {(count, *words) for count in may_be
                     for words in ((), ("--request-timeout", "300"))[:1 + (count > 0)]}


@pytest.mark.parametrize("partitions", [0, 4])
def test_keyspaces_are_ordered_where_there_are_partitions(monkeypatch, tmp_path, partitions):
    chaos, given = Chaos.__new__(Chaos), []
    monkeypatch.setattr(chaos, "make_keyspaces", lambda: True)
    monkeypatch.setattr("load.subprocess.Popen", lambda words, **_: given.append(words))
    chaos.partitions, chaos.dice, chaos.each = partitions, random.Random(1), 1
    chaos.cluster = types.SimpleNamespace(directory=str(tmp_path), nodes=[])
    chaos.make_load()
    assert ("--keyspaces" in given[0]) == (partitions > 0)


@pytest.mark.parametrize("state, nodes, repairing, well", [
    ("settled", b"5,6,10", "0", True), ("moving", b"5,6,10", "0", False),
    ("settled", b"5,6,10", "1", False), ("settled", b"5,0,10", "0", False)])
def test_all_is_well_when_what_was_ordered_is_settled_too(state, nodes, repairing, well):
    row = ["placement", [["state", state.encode(), "nodes", nodes]]]
    answers = {"LIST": [["name", b"default"], ["name", b"s1-0"]], "INFO": row}
    leader = types.SimpleNamespace(
        call=lambda _, word, *names: answers[word] if names in ((), ("s1-0",)) else 1 / 0,
        info=lambda _: {"partitions_repairing": repairing, "partitions_forgetful": "0",
                        "partitions_quarantined": "0"})
    chaos = Chaos.__new__(Chaos)
    chaos.leader, chaos.taken = lambda: leader, [leader]
    assert chaos.are_partitions_well() == well


def test_a_client_goes_to_another_node_as_often_and_waits_as_long_as_it_wishes(monkeypatch):
    made = []
    monkeypatch.setattr("client.Connection", lambda port, host, timeout: made.append(
        (port, timeout)) or types.SimpleNamespace(close=lambda: None))
    client = Client(types.SimpleNamespace(nodes=[Node("h", 1)]), 1, 1)
    client.patience_s, client.hops_share = 6, 0.5
    for _ in range(200):
        client.reach()
    assert 60 < len(made) < 140 and set(made) == {(1, 6)}


@pytest.mark.parametrize("ordered", [True, False])
def test_stewards_are_there_where_keyspaces_are_ordered(tmp_path, monkeypatch, ordered):
    (tmp_path / "progress").write_bytes(bytes(4096))
    made = World(types.SimpleNamespace(nodes="h:1", history=str(tmp_path / "history"), seed=1,
                                       progress=str(tmp_path / "progress"), round=0, each=2,
                                       keyspaces=ordered, primaries=False))
    stewards = [client for client in made.clients if isinstance(client, Steward)]
    assert len(stewards) == (2 if ordered else 0)
    judged = []
    monkeypatch.setattr(Steward, "judge", lambda self: judged.append(self))
    monkeypatch.setattr(World, "sure", lambda self, client, *words: [None] * 100 if
                        words[0] == "MGET" else b"0")
    monkeypatch.setattr(World, "read_once", lambda self, client, key: None)
    monkeypatch.setattr(World, "remove", lambda self, client, keys: None)
    made.read_all()
    assert judged == stewards
