"""Something that goes on beside a test, on a thread of its own, until the test ends it."""
import threading


class Worker(threading.Thread):
    """work() returns when `ending` is set, or before; what it raises is raised by finish()."""

    def __init__(self):
        super().__init__(daemon=True)
        self.failure = None
        self.ending = threading.Event()

    def work(self):
        raise NotImplementedError

    def run(self):
        try:
            self.work()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    def finish(self, seconds=None):
        self.ending.set()
        self.join(seconds)
        if self.failure is not None:
            raise self.failure
