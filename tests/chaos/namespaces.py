"""Network namespaces, an address in each, and the relay between them (tools/netfault).

`enter()` moves this process into namespaces of its own, so that nothing which is done here, to
devices, packet filters or mounts, can be seen from outside, and all of it is gone when the process
ends. A `Network` makes a namespace for each node; this process is at an address of its own, too.
"""
import ctypes
import os
import shutil
import socket
import subprocess
import threading

from cluster import die_with_parent

NETFAULT = os.environ.get("QUORATE_NETFAULT", "build/tools/netfault/netfault")
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
SUBNET = "10.77.0."

_libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """Something that this machine does not have, in words. What nobody can install begins with
    "kernel:"."""


def system_call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write_file(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter():
    """Into namespaces of its own, before any thread is started. Raises Missing."""
    for tool, package in [("nft", "nftables"), ("mount", "mount")]:
        if shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            raise Missing(f"{tool}, of Debian's package {package}")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise Missing("kernel: /dev/net/tun is missing, or not for this user")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    user, group = os.geteuid(), os.getegid()
    more = 0 if user == 0 else CLONE_NEWUSER
    try:
        system_call(_libc.unshare, CLONE_NEWNET | CLONE_NEWNS | more)
        if more:
            write_file("/proc/self/setgroups", "deny")
            write_file("/proc/self/uid_map", f"0 {user} 1")
            write_file("/proc/self/gid_map", f"0 {group} 1")
    except OSError as error:
        raise Missing(f"kernel: no namespaces of networks and mounts here: {error}") from error
    for what, words in [("mounts of its own", ["mount", "--make-rprivate", "/"]),
                        ("packet filters of its own", ["nft", "add", "table", "inet", "probe"])]:
        done = subprocess.run(words, check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Missing(f"kernel: no {what}: {done.stdout.strip().splitlines()[0]}")


class Space:
    """A network namespace, for as long as a process that does nothing lives in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["sleep", "infinity"], preexec_fn=self.leave_and_die)
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def leave_and_die():
        die_with_parent()
        system_call(_libc.unshare, CLONE_NEWNET)

    def close(self):
        os.close(self.file)
        self.holder.kill()
        self.holder.wait()

    def enter(self):
        """The thread that calls it, or a child before exec, is there from now on."""
        system_call(_libc.setns, self.file, CLONE_NEWNET)

    def enter_and_die(self):
        die_with_parent()
        self.enter()

    def call(self, function, *arguments, **named):
        """What the function returns when it is called there; sockets made there stay there."""
        outcome = []

        def run():
            try:
                self.enter()
                outcome.append((function(*arguments, **named), None))
            except BaseException as problem:  # pylint: disable=broad-except
                outcome.append((None, problem))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
        value, problem = outcome[0]
        if problem is not None:
            raise problem
        return value

    def filter(self, rules):
        """Replaces what nftables does there; nothing, when there are no rules."""
        text = "table inet chaos\ndelete table inet chaos\n"
        if rules:
            text += ("table inet chaos {\n"
                     "chain in { type filter hook input priority 0;\n" +
                     "".join(f"{rule}\n" for rule in rules) + "}\n}\n")
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              preexec_fn=self.enter)
        assert done.returncode == 0, done.stdout


class Network:
    """`with Network(3, seed) as network:` has three spaces, numbered from 1, and this process as
    the fourth. address(n) is where each is."""

    def __init__(self, count, seed=0):
        self.count, self.here, self.lock = count, count + 1, threading.Lock()
        self.spaces = [Space() for _ in range(count)]
        places = [space.path for space in self.spaces] + [f"/proc/{os.getpid()}/ns/net"]
        self.relay = subprocess.Popen(
            [NETFAULT, "--seed", str(seed)] +
            [f"{place}={self.address(i + 1)}" for i, place in enumerate(places)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)
        if self.relay.stdout.readline() != "ready\n":
            problem = self.relay.communicate()[1].strip()
            self.close()
            raise Missing(f"kernel: {problem}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for stream in (self.relay.stdin, self.relay.stdout, self.relay.stderr):
            stream.close()
        self.relay.wait()
        for space in self.spaces:
            space.close()

    @staticmethod
    def address(number):
        return f"{SUBNET}{number}"

    def space(self, number):
        return self.spaces[number - 1]

    def order(self, *words):
        """One line for the relay; the lines that it answers."""
        with self.lock:
            self.relay.stdin.write(" ".join(map(str, words)) + "\n")
            self.relay.stdin.flush()
            lines = []
            for line in self.relay.stdout:
                if line == "ok\n":
                    return lines
                assert not line.startswith("error:"), f"{words}: {line}"
                lines.append(line.strip())
        raise AssertionError(f"the relay has ended: {self.relay.stderr.read()}")

    def set(self, here, there, **faults):
        """The faults of one direction; `*` is everybody."""
        self.order("set", here, there, *(f"{name}={value}" for name, value in faults.items()))

    def clear(self):
        self.order("clear")

    def counts(self):
        """What happened: {(from, to): {name: number}}."""
        found = {}
        for line in self.order("count"):
            link, *fields = line.split()
            here, _, there = link.partition(">")
            pairs = (field.split("=") for field in fields)
            found[int(here), int(there)] = {name: int(value) for name, value in pairs}
        return found


def datagrams(space, address, port=9):
    """A socket for UDP that is bound there."""
    def make():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        made.bind((address, port))
        return made
    return space.call(make)
