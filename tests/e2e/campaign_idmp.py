"""Producers that count under ids and send again, elsewhere, what got no answer, in keyspace 0 and
in one of many partitions, while nodes are killed, stopped, cut off and held behind, leaders change
and partitions move. Each request must be counted once (docs/retries.md): all replies of a key's
counter together are 1, 2, 3 and so on, without a gap and without one twice.

A producer also does what clients should not have to do: it sends a request twice at once, asks for
an old answer again, and uses an id for two commands.
"""
import contextlib
import itertools
import random
import time

import behind
from cluster import PATIENCE, Cluster, wait_for
from keyspaces import held, is_settled, places
from links import LinkedNode, Links
from resp import Closed, Connection, Error, as_row, as_rows
from worker import Worker

KEYSPACE, PARTITIONS, NODES, REPLICAS, PRODUCERS, KEYS = "many", 6, 4, 3, 6, 10
CLIENT_PATIENCE = 1.5
SECONDS = 60.0  # without an answer, at most
OLD = 400  # requests that may be asked for again
# What says that this try did nothing; any of them may come while nodes die and partitions move.
REFUSED = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "THROTTLED")


def was_replayed(answer):
    return not isinstance(answer, Error) and as_row(answer[1])["replayed"] == 1


class Request:
    """One id, and all that was heard of it."""

    def __init__(self, keyspace, pid, iid, key):
        self.keyspace, self.pid, self.iid, self.key = keyspace, pid, iid, key
        self.reply = None
        self.unsure = False  # one of the tries may have been carried out

    def words(self, *command):
        apart = () if self.keyspace is None else ("KS", self.keyspace)
        short = ("TIMEOUT", random.choice([5, 50, 500])) if random.random() < 0.2 else ()
        options = (*apart, *short, "IDMP", self.pid, self.iid, "META")
        return ("WITH", len(options), *options, *(command or ("INCR", self.key)))

    def take(self, answer):
        """What a try was answered, a refusal or the reply: the same one each time, and a replay if
        and only if it may be one."""
        if isinstance(answer, Error):
            assert answer.kind() in REFUSED or answer.kind() == "UNCERTAIN", answer
            assert ("not applied" in str(answer)) == (answer.kind() != "UNCERTAIN"), answer
            self.unsure = self.unsure or answer.kind() == "UNCERTAIN"
            return False
        reply, replayed = answer[0], was_replayed(answer)
        assert self.reply in (None, reply), (self.pid, self.iid, self.reply, reply)
        assert replayed or self.reply is None, f"{self.pid} {self.iid} was carried out again"
        assert self.unsure or self.reply is not None or not replayed, \
            f"{self.pid} {self.iid}: all its tries were refused, and one of them was carried out"
        self.reply = reply
        return True


class Producer(Worker):
    """One request after the other, each until it is answered."""

    def __init__(self, campaign, number, seed):
        super().__init__()
        self.campaign, self.dice = campaign, random.Random(seed)
        self.numbers, self.pid = itertools.count(1), f"producer-{number}"
        self.connection, self.answered = None, []
        self.tries = self.twice = self.again = self.misused = 0

    def dial(self):
        node = self.dice.choice(self.campaign.cluster.nodes)
        return Connection(node.port, timeout=CLIENT_PATIENCE)

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def once(self, words):
        """One try on this producer's connection; None: nobody knows."""
        self.tries += 1
        try:
            self.connection = self.connection or self.dial()
            self.connection.send(*words)
            return self.connection.read()
        except (Closed, OSError):
            self.drop()
            return None

    def until_answered(self, request):
        deadline = time.monotonic() + SECONDS * PATIENCE
        while True:
            answer = self.once(request.words())
            if answer is None:
                request.unsure = True
            elif request.take(answer):
                return
            assert time.monotonic() < deadline, f"{request.pid} {request.iid}: {answer}"
            if answer is not None and self.dice.random() < 0.5:
                self.drop()  # a refusal: elsewhere it may go better
            time.sleep(0.01)

    def at_once(self, request):
        """Two tries on two connections, before either is answered."""
        request.unsure = True
        connections, answers = [], []
        try:
            for _ in range(2):
                connections.append(self.dial())
                connections[-1].send(*request.words())
        except (Closed, OSError):
            pass
        for connection in connections:
            with contextlib.suppress(Closed, OSError):
                answers.append(connection.read())
            connection.close()
        for answer in sorted(answers, key=was_replayed):
            request.take(answer)
        self.twice += 1

    def misuse(self):
        """The id of a request that was answered, for another one."""
        request = self.dice.choice(self.answered[-OLD:])
        answer = self.once(request.words("INCRBY", request.key, 1000))
        if answer is not None:
            assert isinstance(answer, Error), answer
            assert answer.kind() in (*REFUSED, "UNCERTAIN", "IDMPMISMATCH"), answer
            self.misused += answer.kind() == "IDMPMISMATCH"

    def act(self):
        keyspace = self.dice.choice([None, KEYSPACE, KEYSPACE])
        request = Request(keyspace, self.pid, next(self.numbers),
                          f"count:{self.dice.randrange(KEYS)}")
        if self.dice.random() < 0.15:
            self.at_once(request)
        self.until_answered(request)
        self.answered.append(request)
        if self.dice.random() < 0.1:
            old = self.dice.choice(self.answered[-OLD:])
            answer = self.once(old.words())
            self.again += answer is not None and old.take(answer)
        if self.dice.random() < 0.05:
            self.misuse()

    def work(self):
        while not self.ending.is_set():
            self.act()
        self.drop()


class IdmpCampaign:
    """Four nodes, so that partitions of three replicas can move; producers; and what happens."""

    def __init__(self, seed):
        self.seed, self.dice, self.done = seed, random.Random(seed), []
        self.cluster = Cluster(NODES, start=False, options=[
            "--log-max-entries", "400", "--log-segment-bytes", "1mb"])
        self.cluster.nodes = [LinkedNode(self.cluster, n.number, n.port, n.peer_port,
                                         n.metrics_port) for n in self.cluster.nodes]
        self.links = Links(self.cluster.nodes)
        for node in self.cluster.nodes:
            node.links = self.links
        behind.prepare(self.cluster)
        self.producers = [Producer(self, i, self.dice.random()) for i in range(PRODUCERS)]
        self.ends = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.links.close)
            stack.enter_context(self.cluster)
            self.cluster.start()
            node = self.cluster.nodes[0]
            node.call("KEYSPACE", "CREATE", KEYSPACE, "STRATEGY", "raft", "PARTITIONS", PARTITIONS,
                      "REPLICAS", REPLICAS, "IDMP-MAXSIZE", 1000000)
            node.call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 1000000)
            for each in self.cluster.nodes:
                wait_for(lambda each=each: is_settled(each, KEYSPACE, REPLICAS), "it is there", 30)
            for producer in self.producers:
                producer.start()
            self.ends = stack.pop_all()
        return self

    def __exit__(self, *problem):
        print(f"QUORATE_SEED={self.seed}: " + ", ".join(self.done))
        self.ends.__exit__(*problem)

    def check(self):
        for producer in self.producers:
            if producer.failure is not None:
                raise producer.failure
        for node in self.cluster.nodes:
            assert node.stopped or node.running(), f"node {node.number} has ended"

    # --- What happens -----------------------------------------------------------------------------

    def count(self):
        return sum(len(producer.answered) for producer in self.producers)

    def wait_for_work(self, more=40, seconds=40.0):
        goal = self.count() + more
        wait_for(lambda: self.count() >= goal or any(p.failure for p in self.producers),
                 "requests are answered", seconds)
        self.check()

    def breathe(self, most=1.2):
        time.sleep(self.dice.uniform(0.1, most))

    def kill(self, node):
        node.kill()
        self.breathe()
        node.start()

    def kill_two(self, node):
        other = self.dice.choice([n for n in self.cluster.nodes if n is not node])
        node.kill()
        other.kill()
        self.breathe(0.5)
        node.start()
        other.start()

    def kill_all(self, _node):
        self.cluster.kill_all()
        for node in self.cluster.nodes:
            node.start()

    def stop(self, node):
        node.pause()
        self.breathe(3.0)
        node.resume()

    def cut(self, node):
        self.links.isolate(node.number)
        self.breathe(3.0)
        self.links.heal()

    def cut_one_way(self, node):
        out = self.dice.random() < 0.5
        others = [n.number for n in self.cluster.nodes if n is not node]
        self.links.cut([(node.number, o) if out else (o, node.number) for o in others])
        self.breathe(2.0)
        self.links.heal()

    def hold(self, node):
        with behind.held(node):
            self.breathe()

    def order(self, node, *words):
        """Orders may fail while nodes die; what counts is what becomes of requests."""
        try:
            return node.call(*words, timeout=5.0)
        except (Error, Closed, OSError) as reason:
            return reason

    def fail_over(self, node):
        self.order(node, "FAILOVER", "TIMEOUT", 1000)

    def move(self, node):
        """All partitions leave a node; then they may come back."""
        asked = self.dice.choice([n for n in self.cluster.nodes if n is not node])
        if self.order(asked, "MEMBER", "DRAIN", node.number) == "OK":
            def is_empty():
                with contextlib.suppress(Error, Closed, OSError):
                    return node.number not in held(asked, KEYSPACE) and is_settled(asked, KEYSPACE)
            with contextlib.suppress(AssertionError):  # with logs so short it may take long
                wait_for(is_empty, f"node {node.number} is drained", 4)
            wait_for(lambda: self.order(asked, "MEMBER", "DRAIN", node.number, "CANCEL") == "OK",
                     "it may hold partitions again", 20)
        self.order(asked, "REBALANCE")

    def kill_moving(self, node):
        """It is drained and killed while that is under way."""
        asked = self.dice.choice([n for n in self.cluster.nodes if n is not node])
        self.order(asked, "MEMBER", "DRAIN", node.number)
        self.breathe(0.6)
        self.kill(self.dice.choice([node, asked]))
        wait_for(lambda: self.order(asked, "MEMBER", "DRAIN", node.number, "CANCEL") == "OK",
                 "it may hold partitions again", 20)
        self.order(asked, "REBALANCE")

    def some_node(self):
        leader = self.cluster.find_leader()
        return leader if leader and self.dice.random() < 0.4 else \
            self.dice.choice(self.cluster.nodes)

    def step(self):
        what = self.dice.choice([self.kill, self.kill, self.kill_two, self.kill_all, self.stop,
                                 self.stop, self.cut, self.cut_one_way, self.hold, self.fail_over,
                                 self.move, self.move, self.kill_moving])
        node = self.some_node()
        self.done.append(f"{what.__name__} {node.number}")
        what(node)
        self.wait_for_work()

    def run(self, steps):
        for _ in range(steps):
            self.step()

    # --- The end ----------------------------------------------------------------------------------

    def finish(self):
        """All is well again, what was under way is answered, and everything is counted."""
        for producer in self.producers:
            producer.finish(SECONDS * PATIENCE)
        self.check()
        self.cluster.wait_ready()
        for keyspace in (None, KEYSPACE):
            self.judge(keyspace)
        self.are_equal()
        for node in self.cluster.nodes:
            alarms = {row["alarm"] for row in as_rows(node.call("ALARM", "LIST"))}
            assert "CORRUPT" not in alarms, alarms

    def judge(self, keyspace):
        answered = [r for producer in self.producers for r in producer.answered
                    if r.keyspace == keyspace]
        for key in sorted({request.key for request in answered}):
            replies = sorted(request.reply for request in answered if request.key == key)
            assert replies == list(range(1, len(replies) + 1)), (keyspace, key, gaps(replies))
            assert int(self.get(keyspace, key)) == len(replies), (keyspace, key)

    def get(self, keyspace, key):
        words = ("GET", key) if keyspace is None else ("WITH", 2, "KS", keyspace, "GET", key)
        value = []

        def read():
            value[:] = [self.order(self.cluster.nodes[0], *words)]
            return not isinstance(value[0], Exception)
        wait_for(read, f"{key} can be read", 20)
        return value[0]

    def digests(self, row):
        """Of the replicas that a partition has now; it may be on the move still."""
        nodes = [self.cluster.nodes[int(number) - 1] for number in as_numbers(row["nodes"])]
        return {str(self.order(node, "DEBUG", "DIGEST", row["group"])) for node in nodes}

    def are_equal(self):
        """Records and counts are part of the digests."""
        def unlike():
            rows = places(self.cluster.nodes[0], KEYSPACE)
            return [row for row in rows if len(self.digests(row)) > 1]
        try:
            wait_for(lambda: not unlike(), "the replicas of each partition are equal", 30)
        except AssertionError:
            print([(row, self.digests(row)) for row in unlike()])
            raise
        wait_for(lambda: len({str(self.order(node, "DEBUG", "DIGEST"))
                              for node in self.cluster.nodes}) == 1, "all are equal", 20)


def as_numbers(text):
    return text.decode().split(",") if isinstance(text, bytes) else text.split(",")


def gaps(replies):
    """What is missing, and what is there twice."""
    wanted = set(range(1, len(replies) + 1))
    return sorted(wanted - set(replies)), sorted(r for r in set(replies) if replies.count(r) > 1)

