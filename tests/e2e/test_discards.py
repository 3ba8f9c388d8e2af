"""KEYSPACE DISCARDS of real nodes (R8; docs/discards.md): nothing is ever discarded where Raft
replicates, and no file is made; what stands in a journal's files, which are written here by the
description of their format, is shown, counted, and told when it is damaged."""
import os
import struct

import pytest
import redis

from cluster import Cluster
from peer import crc32c, op
from prometheus import scrape
from resp import Error

SALT = 0x1122334455667788
SET, COMMAND, AT = 1, 1, 1700000000123456


def record(kind, at, body, salt=SALT, synced=0):
    covered = struct.pack("<III", len(body), kind, synced) + body
    crc = crc32c(struct.pack("<QQ", salt, at) + covered)
    whole = struct.pack("<I", crc) + covered
    return whole + b"\0" * (-len(whole) % 8)


def header(keyspace, segment=1, first=1, version=1):
    body = struct.pack("<IIQIIIIQQQQQQQ", version, keyspace, SALT, segment, segment, 0, 0, first,
                       0, 0, 0, 0, 0, 0)
    return b"".join(record(1, at, body, salt=0).ljust(512, b"\0") for at in (0, 512))


def entry(number, slot, payload):
    return struct.pack("<QQQQQIHBBB3xQI", number, slot, 3, 5, AT, 17, 1, 1, 1, COMMAND, 1,
                       len(payload)) + payload


def journal(keyspace, entries):
    data = header(keyspace)
    for number in range(1, entries + 1):
        payload = op(SET, b"k%d" % number, b"v")
        data += record(2, len(data), entry(number, 100 + number, payload))
    return data


def put(node, keyspace, data):
    directory = os.path.join(node.directory, "discards", str(keyspace))
    os.makedirs(directory)
    with open(os.path.join(directory, "0000000001"), "wb") as file:
        file.write(data)


def fields(item):
    return dict(zip(item[::2], item[1::2]))


@pytest.fixture(scope="module")
def node():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        assert node.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "raft", "REPLICAS", "1") == "OK"
        assert node.call("KEYSPACE", "CREATE", "old", "STRATEGY", "raft", "REPLICAS", "1") == "OK"
        assert node.call("KEYSPACE", "CREATE", "later", "STRATEGY", "raft", "REPLICAS", "1") == "OK"
        yield node


def id_of(node, name):
    with redis.Redis(port=node.port, decode_responses=True) as client:
        return fields(client.execute_command("KEYSPACE INFO", name))["id"]


def test_r8_raft_discards_nothing(node):
    with redis.Redis(port=node.port, decode_responses=True) as client:
        assert client.execute_command("KEYSPACE DISCARDS", "cart") == ["0", []]
        assert client.execute_command("KEYSPACE DISCARDS", "0", "SCAN", 5, "COUNT", 9) == ["0", []]
        stats = fields(client.execute_command("KEYSPACE DISCARDS", "cart", "STATS"))
        assert len(stats) == 11 and set(stats.values()) == {0}
        assert client.info("keyspaces")["discards_total"] == 0
    assert not os.path.exists(os.path.join(node.directory, "discards"))


def test_errors(node):
    for words, error in [
            (["none"], "there is no keyspace 'none'"), (["cart", "SCAN"], "syntax error"),
            (["cart", "SCAN", "x"], "invalid cursor"),
            (["cart", "SCAN", "0", "COUNT", "0"], "value is not an integer or out of range")]:
        with pytest.raises(Error, match=error):
            node.call("KEYSPACE", "DISCARDS", *words)


def test_r8_what_the_files_hold_is_shown(node):
    number = id_of(node, "old")
    data = bytearray(journal(number, 25))
    data[1024 + 72 * 5] ^= 1  # somewhere in the first entries
    put(node, number, bytes(data) + record(4, len(data), b"", synced=len(data)))
    with redis.Redis(port=node.port, decode_responses=True) as client:
        seen, cursor = [], "0"
        while True:
            cursor, page = client.execute_command("KEYSPACE DISCARDS", "old", "SCAN", cursor,
                                                  "COUNT", 7)
            assert len(page) <= 7
            seen += map(fields, page)
            if cursor == "0":
                break
        assert [item["number"] for item in seen] == list(range(1, 26))
        damaged = [item for item in seen if item["state"] == "damaged"]
        assert [item["count"] for item in damaged] == [1]
        item = seen[-1]
        assert item["command"] == ["SET", "k25", "v"]
        assert (item["state"], item["reason"], item["acknowledged"], item["at"]) == (
            "discarded", "rolled-back", "maybe", AT // 1000)
        assert (item["partition"], item["group"], item["slot"], item["term"],
                item["lost-to"]) == (1, 17, 125, 3, 5)
        stats = fields(client.execute_command("KEYSPACE DISCARDS", "old", "STATS"))
        assert (stats["total"], stats["kept"], stats["damaged"]) == (25, 24, 1)
        info = client.info("keyspaces")
        assert (info["discards_total"], info["discards_damaged"]) == (25, 1)
    with open(node.log_path, encoding="utf-8") as log:
        assert f"The discard journal of keyspace {number} is damaged: 1 entries" in log.read()
    assert scrape(node.metrics_port)["quorate_discards_total"].value() == 25


def test_what_a_later_version_wrote_is_refused(node):
    number = id_of(node, "later")
    put(node, number, header(number, version=2))
    for words in ([], ["STATS"]):
        with pytest.raises(Error, match="a later version of quorate wrote it"):
            node.call("KEYSPACE", "DISCARDS", "later", *words)
