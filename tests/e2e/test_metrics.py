"""/metrics, INFO and LATENCY: valid, complete, documented, and agreeing with what clients did."""
import os
import re
import socket
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

import prometheus
from cluster import Cluster, PATIENCE, parse_info, wait_for
from prometheus import get, scrape
from resp import Connection, Error

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")

# What dashboards for redis_exporter ask for, as far as this server has it, with its labels.
EXPORTER = {
    "redis_up": "", "redis_instance_info": "role redis_version redis_build_id redis_mode os "
    "maxmemory_policy tcp_port run_id process_id master_replid", "redis_uptime_in_seconds": "",
    "redis_start_time_seconds": "", "redis_process_id": "", "redis_connected_clients": "",
    "redis_blocked_clients": "", "redis_max_clients": "", "redis_memory_used_bytes": "",
    "redis_memory_max_bytes": "", "redis_memory_used_rss_bytes": "",
    "redis_memory_used_dataset_bytes": "", "redis_memory_used_overhead_bytes": "",
    "redis_mem_fragmentation_ratio": "", "redis_mem_clients_normal": "",
    "redis_client_recent_max_input_buffer_bytes": "",
    "redis_client_recent_max_output_buffer_bytes": "", "redis_commands_processed_total": "",
    "redis_commands_total": "cmd", "redis_commands_duration_seconds_total": "cmd",
    "redis_commands_failed_calls_total": "cmd", "redis_commands_rejected_calls_total": "cmd",
    "redis_commands_latencies_usec": "cmd", "redis_latency_percentiles_usec": "cmd",
    "redis_keyspace_hits_total": "", "redis_keyspace_misses_total": "",
    "redis_expired_keys_total": "", "redis_evicted_keys_total": "",
    "redis_evicted_clients_total": "", "redis_net_input_bytes_total": "",
    "redis_net_output_bytes_total": "", "redis_db_keys": "db", "redis_db_keys_expiring": "db",
    "redis_connections_received_total": "", "redis_rejected_connections_total": "",
    "redis_errors_total": "err", "redis_total_error_replies": "", "redis_slowlog_length": "",
    "redis_connected_slaves": "",
    "redis_connected_slave_lag_seconds": "slave_ip slave_port slave_state",
    "redis_connected_slave_offset_bytes": "slave_ip slave_port slave_state",
    "redis_master_repl_offset": "", "redis_master_link_up": "master_host master_port",
    "redis_master_last_io_seconds_ago": "master_host master_port",
    "redis_master_sync_in_progress": "master_host master_port",
    "redis_slave_info": "master_host master_port read_only",
    "redis_slave_repl_offset": "master_host master_port", "redis_loading_dump_file": "",
    "redis_rdb_saves_total": "", "redis_rdb_last_save_timestamp_seconds": "",
    "redis_rdb_last_bgsave_status": "", "redis_aof_enabled": "",
    "redis_aof_last_write_status": "", "redis_aof_current_size_bytes": "",
    "redis_cpu_sys_seconds_total": "", "redis_cpu_user_seconds_total": "",
}


def documented(page, columns):
    """The rows of the tables of a page of docs/."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in file if line.startswith("|") and not line.startswith("|--")]
    return [row for row in rows if len(row) == columns and row[0] not in ("field", "metric")]


# --- The reader of the tests itself ---------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "# HELP a b\n# TYPE a gauge\na 1",
    "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
    "# HELP a b\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
    "# HELP a b\n# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n",
    "# HELP a b\n# TYPE a counter\na -1\n",
    "# HELP a b\n# TYPE a gauge\nb 1\n",
    "# TYPE a gauge\na 1\n",
    "# HELP a b\n# TYPE a gauge\na 0x1\n",
    "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\n"
    "a_count 1\n",
    "# HELP a b\n# TYPE a gauge\na 1\n# HELP c d\n# TYPE c gauge\nc 1\na{x=\"1\"} 1\n",
])
def test_the_strict_parser_is_strict(text):
    with pytest.raises(ValueError):
        prometheus.parse(text)


# --- The page -------------------------------------------------------------------------------------

def test_prometheus_own_client_reads_the_same(three):
    _, _, body = get(three.leader().metrics_port)
    def name_of(family, suffix):  # theirs knows OpenMetrics' rule for counters only
        name = family.name + suffix
        return name if family.type != "counter" or name.endswith("_total") else name + "_total"
    ours = {(name_of(family, suffix), labels): value
            for family in prometheus.parse(body.decode()).values()
            for (suffix, labels), value in family.samples.items()}
    theirs = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
              for family in text_string_to_metric_families(body.decode())
              for sample in family.samples}
    assert ours == theirs


def test_names_are_those_of_the_redis_exporter(three):
    leader, follower = scrape(three.leader().metrics_port), \
        scrape(three.followers()[0].metrics_port)
    assert {name for name in leader if name.startswith("redis_")} == set(EXPORTER)
    for name, labels in EXPORTER.items():
        found = leader[name].label_names() | follower[name].label_names()
        assert found == set(labels.split()) or name == "redis_errors_total", name


def sentinel_fields():
    """Of INFO on sentinel-port."""
    with Cluster(1, cluster_ports=True) as cluster:
        with Connection(cluster.nodes[0].sentinel_port) as connection:
            return set(parse_info(connection.call("INFO")))


def test_docs_list_what_nodes_emit(three):
    three.leader().call("SET", "there is", "a key")
    pages = [scrape(node.metrics_port) for node in three.nodes]
    rows = documented("metrics.md", 4)
    assert [row[0] for row in rows] == list(pages[0])
    for name, kind, labels, text in rows:
        for page in pages:
            assert (page[name].type, page[name].help) == (kind, text), name
            assert not page[name].samples or page[name].label_names() == set(labels.split()), name
    seen = set().union(sentinel_fields(), *(node.info() for node in three.nodes))
    seen = {re.sub(r"^(slave|master|db|ks|raft_member|peer|replica|detector)\d+$", r"\1N", name)
            for name in seen}
    seen = {re.sub(r"^(cmdstat_|latency_percentiles_usec_).*", r"\1COMMAND", name)
            for name in seen}
    seen = {re.sub(r"^errorstat_.*", "errorstat_CODE", name) for name in seen}
    names = [name for row in documented("info.md", 3) for name in re.findall(r"`(\w+)`", row[0])]
    assert len(names) == len(set(names))
    assert seen | {"errorstat_CODE", "harmedN"} == set(names)  # of nodes with trouble


def load(node, errors, rounds):
    """Known numbers of commands through one connection; one in ten is an error."""
    with node.connect() as connection:
        for i in range(rounds):
            commands = [("SET", f"m{node.number}-{k}", "x" * 100) for k in range(16)]
            commands += [("GET", f"m{node.number}-{k}") for k in range(16)]
            commands += [("INCR", f"m{node.number}-0")] * 4
            replies = connection.pipeline(commands)
            errors[node.number] += sum(isinstance(reply, Error) for reply in replies)


def grown(before, after, name, **labels):
    def value(page):
        return page[name].samples.get(("", tuple(sorted(labels.items()))), 0)
    return sum(value(b) - value(a) for a, b in zip(before, after))


def calls_seen(pages, command):
    return [page["redis_commands_latencies_usec"].samples.get(
        ("_count", (("cmd", command),)), 0) for page in pages]


def monotonic(before, after):
    for name, family in after.items():
        for key, value in family.samples.items():
            if family.type in ("counter", "histogram") or key[0]:
                assert value >= before[name].samples.get(key, 0), (name, key)


def test_figures_agree_with_what_clients_did(three):
    rounds = 60
    errors = {node.number: 0 for node in three.nodes}
    before = [scrape(node.metrics_port) for node in three.nodes]
    threads = [threading.Thread(target=load, args=(node, errors, rounds)) for node in three.nodes]
    for thread in threads:
        thread.start()
    last = before
    while any(thread.is_alive() for thread in threads):
        pages = [scrape(node.metrics_port) for node in three.nodes]
        for old, new in zip(last, pages):
            monotonic(old, new)
        last = pages
    after = [scrape(node.metrics_port) for node in three.nodes]
    assert sum(errors.values()) == 3 * 4 * rounds
    for command, count in (("set", 16), ("get", 16), ("incr", 4)):
        assert grown(before, after, "redis_commands_total", cmd=command) == 3 * count * rounds
        seen = zip(calls_seen(before, command), calls_seen(after, command))
        assert [b - a for a, b in seen] == [count * rounds] * 3  # each where its client was
    assert grown(before, after, "redis_commands_failed_calls_total", cmd="incr") == 12 * rounds
    assert grown(before, after, "redis_commands_processed_total") == 3 * 36 * rounds
    for old, new in zip(before, after):
        assert grown([old], [new], "redis_errors_total", err="ERR") == 4 * rounds
        assert grown([old], [new], "redis_total_error_replies") == 4 * rounds
        replies = new["quorate_replies_per_write"].value("_sum") - \
            old["quorate_replies_per_write"].value("_sum")
        assert replies == 36 * rounds
    records = [new["quorate_log_records_total"].total() - old["quorate_log_records_total"].total()
               for old, new in zip(before, after)]
    assert all(count >= 3 * 20 * rounds for count in records)
    for page in after:
        batches = page["quorate_log_batch_records"]
        assert batches.value("_count") == page["quorate_log_batch_bytes"].value("_count")
        assert batches.value("_count") >= page["quorate_log_batches_total"].total() > 0
        assert batches.value("_sum") >= page["quorate_log_records_total"].total() * 0.99
        assert page["quorate_log_sync_seconds"].value("_count") == \
            page["quorate_log_syncs_total"].total()
    assert [new["redis_db_keys"].value(db="db0") for new in after] == \
        [three.leader().call("DBSIZE")] * 3


def test_the_leader_knows_its_peers(three):
    leader = three.leader()
    three.wait_applied()
    page = scrape(leader.metrics_port)
    others = [str(node.number) for node in three.followers()]
    for peer in others:
        assert page["quorate_peer_up"].value(peer=peer) == 1
        assert page["quorate_peer_messages_sent_total"].value(peer=peer, kind="protocol") > 0
        assert page["quorate_peer_messages_received_total"].value(peer=peer, kind="forward") > 0
        assert page["quorate_peer_bytes_received_total"].value(peer=peer) > 0
        assert page["quorate_peer_append_seconds"].value("_count", peer=peer) > 0
        assert page["quorate_raft_member_silence_seconds"].value(peer=peer) < 10 * PATIENCE
    assert page["quorate_raft_role"].value(role="leader") == 1
    assert page["redis_connected_slaves"].total() == 2
    assert page["redis_instance_info"].label_names() >= {"role"}
    follower = scrape(three.followers()[0].metrics_port)
    assert follower["redis_master_link_up"].value(
        master_host="127.0.0.1", master_port=str(leader.port)) == 1


def test_info_says_the_same(three):
    node = three.leader()
    info, page = node.info(), scrape(node.metrics_port)
    calls = re.match(r"calls=(\d+),usec=(\d+)", info["cmdstat_set"])
    assert page["redis_commands_total"].value(cmd="set") == int(calls.group(1))
    assert page["redis_commands_duration_seconds_total"].value(cmd="set") * 1e6 == \
        pytest.approx(int(calls.group(2)))
    assert page["redis_errors_total"].value(err="ERR") == \
        int(info["errorstat_ERR"].partition("=")[2])
    p99 = dict(pair.split("=") for pair in info["latency_percentiles_usec_set"].split(","))["p99"]
    assert page["redis_latency_percentiles_usec"].value(cmd="set", quantile="0.99") == float(p99)
    for name, field in (("quorate_log_records_total", "log_records"),
                        ("quorate_raft_term", "raft_term"),
                        ("quorate_pending_commands_limit", "pending_commands_limit")):
        assert page[name].total() == int(info[field])
    assert int(re.match(r"count=(\d+)", info["log_sync_usec"]).group(1)) == int(info["log_syncs"])


# --- HTTP -----------------------------------------------------------------------------------------

def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=10 * PATIENCE) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # answered before all of it was sent
        answer = b""
        while True:
            more = connection.recv(65536)
            if not more:
                return answer
            answer += more


@pytest.mark.parametrize("data, status", [
    (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200),
    (b"HEAD /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 200),
    (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /metrics%00 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
    (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /metrics HTTP/1.1\nHost: a\n\n", 400),
    (b"GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET /metrics HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /met\x00rics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /metrics\r\n\r\n", 400),
    (b"GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /metrics HTTP/x\r\nHost: a\r\n\r\n", 400),
    (b"*1\r\n$4\r\nPING\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000, 431),
    (b"G" * 100_000, 431),
])
def test_http(three, data, status):
    head, _, body = raw(three.nodes[0].metrics_port, data).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0].startswith(f"HTTP/1.1 {status} "), lines[0]
    assert fields["Connection"] == "close"
    assert int(fields["Content-Length"]) == len(body) or data.startswith(b"HEAD") and not body
    assert ("Allow" in fields) == (status == 405)


def test_one_byte_at_a_time(three):
    with socket.create_connection(("127.0.0.1", three.nodes[0].metrics_port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def closed(connection):
    try:
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def test_those_who_dawdle_are_closed(three):
    """Silent ones and ones that do not read (scenario 112): they hold up nobody for long."""
    node = three.nodes[0]
    with node.connect() as client:
        silent = [socket.create_connection(("127.0.0.1", node.metrics_port)) for _ in range(10)]
        slow = []
        for _ in range(6):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            connection.connect(("127.0.0.1", node.metrics_port))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.append(connection)
        for i in range(100):
            assert client.call("SET", "dawdle", i) == "OK"
        for connection in silent:
            connection.setblocking(False)
        wait_for(lambda: all(closed(connection) for connection in silent), "the silent go", 20)
        wait_for(lambda: answers(node), "room for a scrape", 20)
        for connection in silent + slow:
            connection.close()


def answers(node):
    try:
        return bool(scrape(node.metrics_port))
    except (OSError, prometheus.http.client.HTTPException):
        return False


def test_ready_says_whether_a_leader_is_known():
    with Cluster(3) as cluster:
        lonely = cluster.nodes[0]
        assert get(lonely.metrics_port, "/ready")[0] == 200
        for node in cluster.nodes[1:]:
            node.kill()
        wait_for(lambda: get(lonely.metrics_port, "/ready")[0] == 503, "it misses its leader")
        assert get(lonely.metrics_port, "/health")[0] == 200
        assert scrape(lonely.metrics_port)["redis_master_link_up"].total() == 0


def test_a_port_in_use_is_told(three):
    with Cluster(1, start=False) as cluster:
        node = cluster.nodes[0]
        node.metrics_port = three.nodes[0].metrics_port
        node.start()
        assert node.wait() == 1
        assert f"Failed listening for metrics on 127.0.0.1 port {node.metrics_port}" in node.log()


# --- LATENCY and its settings; last, since RESETSTAT begins anew ----------------------------------

def test_latency_histogram(three):
    node = three.followers()[0]
    with node.connect() as client:
        for i in range(20):
            client.call("SETEX", "latency", 1000, i)
        client.call("CLIENT", "ID")
        name, value = client.call("LATENCY", "HISTOGRAM", "setex")
        assert (name, value[:3]) == (b"setex", [b"calls", 20, b"histogram_usec"])
        bounds, counts = value[3][::2], value[3][1::2]
        assert bounds == sorted(set(bounds)) and counts == sorted(set(counts)) and counts[-1] == 20
        reply = client.call("LATENCY", "HISTOGRAM", "nope", "client", "SETEX", "setex")
        assert reply[::2] == [b"client|id", b"setex", b"setex"]
        assert client.call("LATENCY", "HISTOGRAM", "nope") == []
        everything = client.call("LATENCY", "HISTOGRAM")
        assert {b"setex", b"client|id", b"latency|histogram"} <= set(everything[::2])
        with pytest.raises(Error, match="unknown subcommand 'DOCTOR'. Try LATENCY HELP."):
            client.call("LATENCY", "DOCTOR")
        client.call("HELLO", 3)
        assert client.call("LATENCY", "HISTOGRAM", "setex")["setex"]["calls"] == 20


def test_latency_settings(three):
    node = three.nodes[0]
    node.call("SET", "latency", 1)
    for bad in ("50 101", "-1", "a", "50 1e", "nan", " ".join(["1"] * 17)):
        with pytest.raises(Error, match="CONFIG SET failed"):
            node.call("CONFIG", "SET", "latency-tracking-info-percentiles", bad)
    node.call("CONFIG", "SET", "latency-tracking-info-percentiles", "0 12.5 100")
    assert re.fullmatch(r"p0=\d+\.000,p12\.5=\d+\.000,p100=\d+\.000",
                        node.info("latencystats")["latency_percentiles_usec_set"])
    node.call("CONFIG", "SET", "latency-tracking-info-percentiles", "")
    assert node.info("latencystats")["latency_percentiles_usec_set"] == ""
    node.call("CONFIG", "SET", "latency-tracking", "no")
    before = calls_seen([scrape(node.metrics_port)], "set")
    node.call("SET", "latency", 2)
    assert calls_seen([scrape(node.metrics_port)], "set") == before
    assert node.info("latencystats") == {}
    node.call("CONFIG", "SET", "latency-tracking", "yes")


def test_resetstat_begins_anew(three):
    node = three.nodes[0]
    node.call("CONFIG", "RESETSTAT")
    page, info = scrape(node.metrics_port), node.info()
    assert calls_seen([page], "set") == [0]
    assert page["redis_total_error_replies"].total() == 0
    assert not page["redis_errors_total"].samples
    assert page["quorate_replies_per_write"].value("_count") <= 2
    assert not [name for name in info if name.startswith("errorstat_")]


def test_error_codes_are_counted_where_the_client_is(three):
    for node in (three.leader(), three.followers()[0]):
        with Connection(node.port) as client:
            before = node.info("errorstats")
            client.pipeline([("NOPE",), ("SET", "text", "x"), ("INCR", "text"), ("SET", "text"),
                             ("WAIT", "x", "y"), ("HELLO", "9")])
            after = node.info("errorstats")

            def count(info, code):
                return int(info.get(f"errorstat_{code}", "count=0").partition("=")[2])
            assert count(after, "ERR") - count(before, "ERR") == 4
            assert count(after, "NOPROTO") - count(before, "NOPROTO") == 1
