"""Each kind of trouble is one, and is over when it is over: what a seat suffers is seen at a real
node, what weather and blows order of seats and lines is written down by others in their place."""
import os
import random
import time
import types

import pytest

from campaign_members import SEATS
from chaos import Chaos
from cluster import BINARY, Cluster, ask, wait_for
from namespaces import Network
from resp import Closed, Error
from seats import ChaosSeat

WORLDS = 20  # that a kind of weather is looked at in
SLOW_MS, SLOWER_MS, TURNED_S = 400, 60_000, 120
OPTIONS = ["--log-segment-bytes", "64kb", "--log-reserve-bytes", "256kb"]

# --- What a seat suffers --------------------------------------------------------------------------

preloads = pytest.mark.skipif("asan" in BINARY, reason="a sanitizer is to be loaded first")


@pytest.fixture(name="lone")
def _lone(inside):  # pylint: disable=unused-argument
    """A node with a disk and a clock of its own, which nobody else has a part in."""
    cluster = Cluster(0, OPTIONS, start=False)
    with Network(1, 1) as network, cluster:
        seat = ChaosSeat(cluster, 1, network, has_clock="asan" not in BINARY)
        seat.founder = True
        seat.use_disk()
        cluster.nodes = [seat]
        try:
            cluster.start()
            yield seat
        finally:
            seat.disk.close()


def time_of_a_write(seat):
    began = time.monotonic()
    ask(seat, "SET", "k", "v")
    return 1000 * (time.monotonic() - began)


@preloads
def test_a_slow_disk_is_slow_for_as_long_as_it_is(lone):
    lone.slow_down(SLOW_MS)
    assert time_of_a_write(lone) >= SLOW_MS
    lone.slow_down(0)
    wait_for(lambda: time_of_a_write(lone) < SLOW_MS, "it is quick again")


@preloads
@pytest.mark.parametrize("seconds", [TURNED_S, -TURNED_S, 0])
def test_a_clock_is_as_wrong_as_it_was_turned(lone, seconds):
    lone.turn(seconds)
    before = time.time()
    told = int(lone.info("server")["server_time_usec"]) / 1e6
    assert before + seconds - 1 <= told <= time.time() + seconds + 1


def refusal(seat):
    try:
        seat.call("SET", f"k{random.random()}", b"x" * 5000)
        return None
    except Error as error:
        return error.kind()


def test_a_full_disk_has_no_room_until_it_is_given_back(lone):
    assert refusal(lone) is None and not lone.disk.is_full()
    lone.disk.fill(0)
    assert lone.disk.is_full()
    wait_for(lambda: refusal(lone) == "NOSPACE", "it has no room")
    lone.disk.give_back()
    wait_for(lambda: refusal(lone) is None, "it has room again")


@preloads
def test_a_seat_that_loses_its_power_has_what_was_acknowledged_and_no_more(lone):
    ask(lone, "SET", "kept", "v")
    lone.slow_down(SLOWER_MS)
    with lone.connect() as connection:
        connection.send("SET", "lost", "v")
        wait_for(lambda: any(os.stat(os.path.join(lone.lost, name)).st_size > 0
                             for name in os.listdir(lone.lost)), "it is written")
        lone.kill()
        with pytest.raises(Closed):
            connection.read()
    lone.slow_down(0)
    assert lone.lose_power(random.Random(1), everything=True) > 0
    lone.start()
    lone.cluster.wait_ready()
    assert lone.get("kept") == b"v" and lone.get("lost") is None


# --- What weather and blows order -----------------------------------------------------------------


class Thing(types.SimpleNamespace):
    """That can be in a set."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Sky:
    """The lines, disks and clocks of five seats, each with what is wrong with it now."""

    def __init__(self, seed):
        self.wrong, self.worst, self.struck = {}, {}, []
        self.here, self.dice = SEATS + 1, random.Random(seed)
        self.seats = [self.seat(number) for number in range(1, SEATS + 1)]

    def note(self, what, value):
        if value:
            self.wrong[what] = self.worst[what] = value
        else:
            self.wrong.pop(what, None)

    def set(self, here, there, **faults):
        for name, value in faults.items():
            self.note((here, there, name), value)

    def cuts(self):
        return {(here, there) for here, there, *name in self.wrong if name == ["cut"]}

    def seat(self, number):
        def does(what):
            return lambda *_: self.struck.append((what, number))

        def pauses(value):
            seat.paused = value
            self.note((number, None, "paused"), value)
        disk = types.SimpleNamespace(
            fill=lambda leave: self.note((number, None, "full"), f"but for {leave}"),
            give_back=lambda: self.note((number, None, "full"), None),
            is_full=lambda: (number, None, "full") in self.wrong)
        seat = Thing(
            number=number, host=f"10.77.0.{number}", disk=disk, paused=False, stopped=False,
            space=types.SimpleNamespace(filter=lambda rules: self.note(
                (number, None, "filter"), rules)),
            slow_down=lambda ms: self.note((number, None, "slow"), ms),
            turn=lambda seconds: self.note((number, None, "turned"), seconds),
            pause=lambda: pauses(True), resume=lambda: pauses(False), running=lambda: True,
            process=types.SimpleNamespace(kill=does("kill"), poll=lambda: None), wait=does("wait"),
            kill=does("kill"), start=does("start"), terminate=does("terminate"),
            lose_power=lambda dice, everything: 1)
        return seat


def chaos_under(sky):
    chaos = Chaos.__new__(Chaos)
    chaos.network, chaos.dice, chaos.seats, chaos.taken = sky, sky.dice, sky.seats, set(sky.seats)
    chaos.done, chaos.partitions, chaos.load = [], 0, None
    chaos.leader = lambda: sky.seats[0]
    chaos.breathe = lambda *_: None
    chaos.stands_still = lambda: False
    return chaos


@pytest.mark.parametrize("kind", Chaos.WEATHER)
def test_weather_is_there_until_it_ends(kind, monkeypatch):
    monkeypatch.setattr("weather.ENDS_S", 0)
    for seed in range(WORLDS):
        sky = Sky(seed)
        name, end = getattr(chaos_under(sky), kind)()
        assert sky.wrong, name
        end()
        assert not sky.wrong, name


def reached(sky, number):
    """Those who hear a seat and are heard by it, and itself."""
    return {other for other in range(1, SEATS + 1)
            if not {(number, other), (other, number)} & sky.cuts()}


def test_cuts_are_what_they_are_called():
    numbers = range(1, SEATS + 1)
    for seed in range(WORLDS):
        skies = {kind: Sky(seed) for kind in Chaos.CUTS}
        for kind, sky in skies.items():
            getattr(chaos_under(sky), kind)()
            assert (kind != "one_way") == (sky.cuts() == {(b, a) for a, b in sky.cuts()})
        way = skies["one_way"].cuts()
        assert len(way) == SEATS - 1 and not {(b, a) for a, b in way} & way
        assert 1 in (len({a for a, _ in way}), len({b for _, b in way}))
        parts = {frozenset(reached(skies["halves"], number)) for number in numbers}
        assert len(parts) == 2 and set.union(*map(set, parts)) == set(numbers)
        majorities = {frozenset(reached(skies["ring"], number)) for number in numbers}
        assert len(majorities) == SEATS and {len(seen) for seen in majorities} == {SEATS // 2 + 1}


class Hush:
    """As that of a load."""

    def __init__(self, told):
        self.told = told

    def __enter__(self):
        self.told.append("begins")

    def __exit__(self, *_):
        self.told.append("ends")


# What is wrong, or who dies, at some time of a blow.
BLOWS = {"kill": "kill", "kill_all": "kill", "kill_all_in_a_hush": "kill", "stop": "paused",
         "kill_all_that_wait": "slow", "rolling_restart": "terminate", "pause": "paused",
         "flap": "cut", "wrong_time": "turned"}


@pytest.mark.parametrize("kind, what", BLOWS.items())
def test_a_blow_strikes_and_all_are_there_again(kind, what, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for seed in range(WORLDS):
        sky, hushes = Sky(seed), []
        chaos = chaos_under(sky)
        chaos.lose = lambda: None
        chaos.load = types.SimpleNamespace(hush=lambda hushes=hushes: Hush(hushes))
        getattr(chaos, kind)()
        done = {act for act, _ in sky.struck} | {name for *_, name in sky.worst}
        assert what in done and not sky.wrong
        for seat in sky.seats:  # the last thing that it did was to start
            assert [act for act, n in sky.struck if n == seat.number][-1:] in ([], ["start"])
        killed = {number for act, number in sky.struck if act == "kill"}
        assert len(killed) == {"kill": 1}.get(kind, SEATS if kind.startswith("kill_all") else 0)
        assert hushes == (["begins", "ends"] if kind == "kill_all_in_a_hush" else [])
