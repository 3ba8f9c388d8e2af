"""STRATEGY primary when nodes are killed under load (L9, R8; docs/primary.md): what was
acknowledged is there, or named by a discard journal; what was refused was not executed."""
import pytest

from cluster import Cluster
from primaries import another, create, judge, primary, wait_writes, writing


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1", "ANY 2", "ALL"])
def test_scenario_72_kill_of_the_primary_under_load_loses_nothing_silently(ack):
    """ANY 2 of two followers and ALL have to wait for its return: nothing is executed meanwhile."""
    with Cluster(3) as cluster:
        create(cluster, ack)
        with writing(cluster) as writers:
            for _ in range(2):
                old = primary(cluster)
                for writer in writers:
                    writer.wait_more(150)
                old.kill()
                if ack in ("LOCAL", "ANY 1"):
                    another(cluster, old)
                    for writer in writers:
                        writer.wait_more(50)
                old.start()
                wait_writes(old)
                for writer in writers:
                    writer.wait_more(50)
        judge(cluster, writers, may_lose=ack == "LOCAL")


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1", "ALL"])
def test_kill_of_all_under_load(ack):
    with Cluster(3) as cluster:
        create(cluster, ack)
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(150)
            cluster.kill_all()
            cluster.start()
            wait_writes(cluster.nodes[0])
            for writer in writers:
                writer.wait_more(50)
        judge(cluster, writers, may_lose=ack == "LOCAL")
