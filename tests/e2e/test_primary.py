"""STRATEGY primary in real nodes (R2 to R4; docs/primary.md): writes, reads, restarts, what it
takes and what it refuses."""
import pytest
import redis

from cluster import Cluster, ask, wait_for
from primaries import create, judge, local, wait_writes, writing

ACKS = ["LOCAL", "ANY 1", "ANY 2", "ALL"]


@pytest.mark.parametrize("ack", ACKS)
def test_what_is_written_is_read_at_each_node_and_outlives_a_restart_of_all(ack):
    with Cluster(3) as cluster:
        create(cluster, ack)
        for node in cluster.nodes:
            with redis.Redis(port=node.port, decode_responses=True) as client:
                key = f"cart:{node.number}"
                assert client.set(key, "x")
                assert client.get(key) == "x"
                assert client.append(f"{key}:more", "abc") == 3
                assert client.incr(f"{key}:count") == 1
        for node in cluster.nodes:
            wait_for(lambda n=node: all(local(n, "GET", f"cart:{i}:count") == b"1"
                                        for i in (1, 2, 3)), f"node {node.number} follows")
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(200)
        assert not any(writer.refused or writer.uncertain for writer in writers)
        cluster.kill_all()
        cluster.start()
        wait_writes(cluster.nodes[0])
        for number in (1, 2, 3):
            assert ask(cluster.nodes[0], "GET", f"cart:{number}") == b"x"
            assert ask(cluster.nodes[0], "INCR", f"cart:{number}:count") == 2
            assert ask(cluster.nodes[0], "APPEND", f"cart:{number}:more", "d") == 4
        judge(cluster, writers, may_lose=ack == "LOCAL")
