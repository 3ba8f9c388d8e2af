"""What stewards know of their keyspaces, and what they take for wrong: without a cluster."""
import types

import pytest

from client import Answer
from clients import Steward, World
from resp import Closed, Error
from stewards import ABSENT, OPEN_MANY, OPEN_SOME, Book, alter, create, drop, put, put_late

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


@pytest.mark.parametrize("ordered", [True, False])
def test_stewards_are_there_where_keyspaces_are_ordered(tmp_path, monkeypatch, ordered):
    (tmp_path / "progress").write_bytes(bytes(4096))
    made = World(types.SimpleNamespace(nodes="h:1", history=str(tmp_path / "history"), seed=1,
                                       progress=str(tmp_path / "progress"), round=0, each=2,
                                       keyspaces=ordered))
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
