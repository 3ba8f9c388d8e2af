"""Harm to the files of a node that does not run: reads the log as docs/log-format.md has it, so
that a test can hit a record, a batch, or a segment."""
import collections
import os
import struct

BLOCK = 4096
ENTRY_KINDS = (1, 2, 3, 4, 5)

Record = collections.namedtuple("Record", "path at bytes kind slot term batch group")


def segments(node):
    """Paths of the log's segments in use, oldest first."""
    directory = os.path.join(node.directory, "log")
    return sorted(os.path.join(directory, name) for name in os.listdir(directory)
                  if name.endswith(".log"))


def records(node):
    """Every record of every batch that is where it should be, in order."""
    found = []
    for path in segments(node):
        with open(path, "rb") as file:
            data = file.read()
        if data[:8] != b"QRLOGSEG":
            continue
        first, = struct.unpack_from("<Q", data, 40)
        generation, = struct.unpack_from("<Q", data, 32)
        if generation != int(os.path.basename(path)[:16], 16):
            continue  # named ahead for the next segment: what it holds is of an earlier life
        body, = struct.unpack_from("<I", data, 80)
        at = body
        while at + 64 <= len(data) and data[at:at + 4] == b"QQRB":
            size, payload, offset, its = struct.unpack_from("<IIQQ", data, at + 8)
            if offset != first + at - body or its != generation:
                break
            inside = at + 64
            while inside < at + 64 + payload:
                length, slot, term, group = struct.unpack_from("<IQQI", data, inside + 4)
                found.append(Record(path, inside, 32 + length, data[inside + 28], slot, term, at,
                                    group))
                inside += 32 + length
            at += size
    return found


def entries(node, group=0):
    """The records of the group's entries as they stand at the end: by slot."""
    last = {}
    for record in records(node):
        if record.kind in ENTRY_KINDS and record.group == group:
            last[record.slot] = record
    return last


def write_at(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x20]))


def flip_entry(record):
    """One bit of its payload, or of its term when it has none."""
    flip(record.path, record.at + (record.bytes - 1 if record.bytes > 32 else 17))
