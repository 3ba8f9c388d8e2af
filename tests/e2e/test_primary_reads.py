"""What reads of keyspaces with STRATEGY primary show beyond their primary: at copies that have
executed a write when it is answered (ON applied), at the level of a session, and where a request
asks for more copies than its keyspace (D3, D5, U4; docs/primary.md)."""
import re

import pytest

import behind
from keyspaces import places
from primaries import create, local, others, place, primary
from resp import Error, as_text

NOT_KNOWN = ("^UNCERTAIN the write is committed and was applied, but it is not known yet that as "
             "many replicas have it as were asked for$")


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3) as cluster:
        yield cluster


@pytest.mark.parametrize("log", ["statement", "logical"])
def test_on_applied_each_copy_shows_a_write_when_it_is_answered(three, log):
    name = f"all-{log}"
    create(three, "ALL ON applied", "LOG", log, name=name)
    leads, follow = primary(three, name), others(three, name)
    assert place(leads, name)["acknowledges"] == "ALL ON applied"
    with leads.connect() as writer, follow[0].connect() as first, follow[1].connect() as second:
        for number in range(200):
            key = f"{name}:{number % 7}"
            assert writer.call("SET", key, number) == "OK"
            for reader in (first, second):
                assert local(reader, "GET", key) == b"%d" % number
    with behind.held(follow[0]):
        for node in three.nodes:
            with pytest.raises(Error, match=NOT_KNOWN):
                node.call("WITH", 2, "TIMEOUT", 300, "SET", f"{name}:held", "x")
        assert local(follow[1], "GET", f"{name}:held") == b"x"
    assert follow[0].call("SET", f"{name}:held", "y") == "OK"
    assert local(follow[0], "GET", f"{name}:held") == b"y"
