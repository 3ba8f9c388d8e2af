"""Writers that send many writes at once, judged by counting.

A scribe counts up keys that nobody else writes, in pipelines. Of what it was told it knows how many
of its writes took effect, and of how many it is not known; so each answer, and what is there in the
end, is between two numbers, and what took effect does not become less. That costs next to nothing,
however many writes there are.
"""
import time

from client import Client

DEPTH = 16  # writes of a pipeline
KEYS = 2  # that it goes to
UNKNOWN = 24  # writes to a key; then another one takes its place
PAUSE_S = 0.02


class Tally:
    """What is known of a key that one client counts up, one pipeline after the other."""

    def __init__(self, key):
        self.key = key
        self.told = 0  # writes that were acknowledged
        self.maybe = 0  # that may have taken effect, or may yet
        self.least = 0  # of these have, for sure

    def take(self, number):
        """A number that it had at some time, with all that was told so far."""
        more = number - self.told
        assert self.least <= more <= self.maybe, \
            f"wrong: counted: {self.key} is {number}, by {self.told} writes that were told, and " \
            f"{self.least} to {self.maybe} others"
        self.least = more

    def answered(self, answer):
        if answer.outcome == "unknown":
            self.maybe += 1
        elif answer.outcome == "done":
            self.told += 1
            self.take(answer.reply)


class Scribe(Client):
    """Counts up some keys, many times at once."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.tallies = []
        self.now = [self.begin() for _ in range(KEYS)]

    def begin(self):
        self.tallies.append(Tally(f"own:{self.number}-{len(self.tallies)}"))
        return self.tallies[-1]

    def act(self):
        chosen = [self.dice.choice(self.now) for _ in range(DEPTH)]
        answers = self.ask_all([("INCR", tally.key) for tally in chosen])
        for tally, answer in zip(chosen, answers or []):
            tally.answered(answer)
            self.in_pipelines += answer.outcome == "done"
            self.refused += answer.outcome == "fail"
            self.uncertain += answer.outcome == "unknown"
        self.now = [tally if tally.maybe < UNKNOWN else self.begin() for tally in self.now]
        time.sleep(PAUSE_S)
