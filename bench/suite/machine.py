"""What the figures were measured on."""
import datetime
import os
import statistics
import subprocess
import time

SYNCS = 200


def first_line(*words):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False, timeout=10)
        return (done.stdout.splitlines() or [""])[0].strip()
    except OSError:
        return ""


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


def sync_us(directory):
    """Microseconds that writing and syncing 512 bytes takes, in a file that was written before."""
    path = os.path.join(directory, "sync")
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(512 * SYNCS))
        os.fsync(file.fileno())
        taken = []
        for i in range(SYNCS):
            began = time.monotonic()
            os.pwrite(file.fileno(), b"x" * 512, 512 * i)
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - began)
    os.unlink(path)
    return statistics.median(taken) * 1e6


def commit_of(root):
    changed = first_line("git", "-C", root, "status", "--porcelain", "--untracked-files=no")
    return first_line("git", "-C", root, "rev-parse", "--short", "HEAD") + \
        (" with changes" if changed else "")


def describe(root, directory, systems):
    """In the order in which the report shows them."""
    facts = {"commit": commit_of(root),
             "date": datetime.date.today().isoformat(),
             "processor": f"{os.cpu_count()} x {processor()}",
             "kernel": os.uname().release,
             "file system": first_line("stat", "-f", "-c", "%T", directory),
             "write and sync of 512 bytes": f"{sync_us(directory):.0f} us"}
    if "etcd" in systems:
        facts["etcd"] = first_line("etcd", "--version").removeprefix("etcd Version: ")
    if any(system.startswith("redis") for system in systems):
        words = first_line("redis-server", "--version").split()
        facts["redis"] = next((w[2:] for w in words if w.startswith("v=")), "?")
    return facts
