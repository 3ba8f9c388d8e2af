#!/usr/bin/python3
"""redis-py without options but the port; the arguments are the ports of the nodes."""
import sys
import traceback

import redis


def connects(client, key):
    assert client.ping() is True
    assert client.info()["redis_version"].startswith("7.")
    assert client.client_setname("somebody") is True
    assert "somebody" in [one["name"] for one in client.client_list()]


def strings_and_bytes(client, key):
    value = bytes(range(256))
    assert client.set(key("bytes"), value, ex=100) is True
    assert client.get(key("bytes")) == value
    assert 90 < client.ttl(key("bytes")) <= 100
    assert client.set(key("bytes"), "x", nx=True) is None
    assert client.getrange(key("bytes"), 1, 3) == b"\x01\x02\x03"
    assert client.get(key("none")) is None
    assert client.type(key("bytes")) == b"string"


def a_pipeline_keeps_its_order(client, key):
    pipeline = client.pipeline(transaction=False)
    for _ in range(1000):
        pipeline.incr(key("counter"))
    assert pipeline.execute() == list(range(1, 1001))


def several_keys(client, key):
    assert client.mset({key("x"): 1, key("y"): 2}) is True
    assert client.mget(key("x"), key("z"), key("y")) == [b"1", None, b"2"]
    assert client.incrbyfloat(key("x"), 0.5) == 1.5
    assert client.rename(key("x"), key("z")) is True
    assert set(client.scan_iter(match=key("?"), count=3)) == {key("y").encode(), key("z").encode()}
    assert client.delete(key("y"), key("z"), key("x")) == 2


def errors_are_errors(client, key):
    for call, words in [(lambda: client.incr(key("bytes")), "not an integer"),
                        (lambda: client.execute_command("NOSUCH"), "unknown command")]:
        try:
            call()
        except redis.ResponseError as error:
            assert words in str(error), error
        else:
            raise AssertionError(f"no error: {words}")
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def main():
    checks = [connects, strings_and_bytes, a_pipeline_keeps_its_order, several_keys,
              errors_are_errors]
    ports = [int(port) for port in sys.argv[1:]]
    print(f"1..{len(ports) * len(checks)}")
    number, failed = 0, 0
    for place, port in enumerate(ports, 1):
        client = redis.Redis(port=port, socket_timeout=20)
        for check in checks:
            number += 1
            name = f"node {place}: {check.__name__.replace('_', ' ')}"
            try:
                check(client, lambda rest, place=place: f"redis-py:{place}:{rest}")
                print(f"ok {number} - {name}")
            except Exception:
                failed += 1
                print(f"not ok {number} - {name}")
                print("# " + traceback.format_exc().replace("\n", "\n# "))
        client.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
