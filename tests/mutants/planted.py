"""The planted bugs: which text of which file each replaces by what, how that is found there, and
whether all of them still apply.
"""
import os
import re

import acks
import asking
import bites
import bounded
import chaos
import cluster
import contact
import council
import damage
import discards
import driver
import execute
import facades
import guarantees
import history
import idmp
import keeping
import keyspaces
import levels
import options
import past
import moving
import mutants
import pins
import primary
import primary_driver
import primary_map
import reads
import real
import routing
import rows
import rules
import scenarios
import sessions
import slices
import succession
import suspecting
import telling
import turns
import wants
import whole

# kind, folder below src, bugs, and whether the second word of each names its judge.
LISTS = [
    ("raft", "protocol/raft", mutants.RAFT, False),
    ("raft", "protocol/raft", asking.RAFT, False),
    ("raft", "protocol/raft", reads.RAFT, False),
    ("driver", "node", asking.NODE, True),
    ("log", "log", mutants.LOG, False),
    ("fuzz", "", mutants.FUZZ, False),
    ("cluster", "cluster", cluster.CLUSTER, True),
    ("cluster", "cluster", suspecting.SUSPECTING, True),
    ("cluster", "cluster", primary_driver.PRIMARY_FOLLOW, True),
    ("driver", "node", driver.DRIVER, True),
    ("driver", "node", contact.CONTACT, True),
    ("driver", "node", routing.ROUTING, True),
    ("driver", "node", turns.TURNS, True),
    ("driver", "node", keeping.KEEPING, True),
    ("driver", "node", keyspaces.KEYSPACES, True),
    ("driver", "node", damage.DAMAGE, True),
    ("driver", "node", discards.DISCARDS, True),
    ("driver", "node", primary_driver.PRIMARY_DRIVER, True),
    ("driver", "node", telling.TELLING, True),
    ("driver", "node", slices.SLICES, True),
    ("driver", "node", moving.MOVING, True),
    ("driver", "node", facades.FACADES, True),
    ("driver", "main", facades.STATUS, True),
    ("driver", "node", levels.NODE, True),
    ("driver", "node", bounded.NODE, True),
    ("driver", "node", reads.NODE, True),
    ("cluster", "cluster", guarantees.CLUSTER, True),
    ("cluster", "cluster", guarantees.HISTORIES, True),
    ("driver", "node", guarantees.NODE, True),
    ("cluster", "cluster", guarantees.CHECKERS, True),
    ("cluster", "cluster", sessions.CLUSTER, True),
    ("driver", "node", sessions.NODE, True),
    ("cluster", "cluster", acks.CLUSTER, True),
    ("driver", "node", acks.NODE, True),
    ("driver", "../tools/netfault", chaos.RELAY, True),
    ("driver", "node", chaos.NODE, True),
    ("driver", "node", acks.ERRORS, True),
    ("driver", "store", history.STORE, True),
    ("driver", "engine", history.ENGINE, True),
    ("driver", "node", history.NODE, True),
    ("driver", "node", history.END_TO_END, True),
    ("driver", "store", past.STORE, True),
    ("driver", "engine", rows.ENGINE, True),
    ("fuzz", "", rows.FUZZ, False),
    ("driver", "node", past.NODE, True),
    ("driver", "node", past.AS_OF, True),
    ("cluster", "cluster", past.HISTORIES, True),
    ("cluster", "cluster", past.ANSWERED, True),
    ("cluster", "cluster", past.CHECKERS, True),
    ("driver", "engine", idmp.ENGINE, True),
    ("driver", "command", idmp.COMMAND, True),
    ("driver", "resp", idmp.RESP, True),
    ("cluster", "cluster", idmp.CLUSTER, True),
    ("driver", "store", idmp.STORE, True),
    ("driver", "node", idmp.NODE, True),
    ("cluster", "cluster", levels.CLUSTER, True),
    ("cluster", "cluster", succession.CLUSTER, True),
    ("cluster", "cluster", council.CLUSTER, True),
    ("driver", "node", council.NODE, True),
    ("cluster", "cluster", primary_map.CLUSTER, True),
    ("cluster", "cluster", primary_map.PLACES, True),
    ("driver", "node", primary_map.NODE, True),
    ("driver", "node", execute.EXECUTE, True),
    ("cluster", "cluster", options.CLUSTER, True),
    ("cluster", "cluster", options.RECORDS, True),
    ("driver", "node", options.NODE, True),
    ("cluster", "cluster", pins.CLUSTER, True),
    ("driver", "node", pins.NODE, True),
    ("cluster", "node", whole.NODE, True),
    ("cluster", "node", whole.END, True),
    ("cluster", "log", whole.LOG, True),
    ("cluster", "engine", whole.MODELS, True),
    ("cluster", "node", whole.HOPS, True),
    ("driver", "node", whole.SHRINK, True),
    ("cluster", "node", whole.KEPT, True),
    ("cluster", "node", whole.STATE, True),
    ("driver", "node", wants.NODE, True),
    ("cluster", "cluster", rules.CLUSTER, True),
    ("driver", "node", rules.NODE, True),
    ("driver", "", bites.KINDS, True),
    ("driver", "", real.ANYWHERE, True),
    ("driver", "", scenarios.EVERYWHERE, True),
    ("driver", "protocol/raft", asking.ELECTIONS, True),
    ("driver", "protocol/primary", primary.PRIMARY, True),
]


# Whose test waits for what never comes, and has no time-out of its own.
HANGS = set()


class Broken(Exception):
    """The mutant says nothing: it does not apply, or does not compile."""


class Bug:
    """edits is a list of (path in the tree, old text, new text); judge is None or names one."""

    def __init__(self, kind, folder, row, judged):
        self.kind, self.name = kind, row[0]
        self.judge = row[1] if judged else None
        self.edits, path, parts = [], None, list(row[2 if judged else 1:])
        while parts:
            if re.fullmatch(r"[\w./]+\.(c|h|def)", parts[0]):
                path = os.path.normpath(os.path.join("src", folder, parts.pop(0)))
            self.edits.append((path, parts.pop(0), parts.pop(0)))

    def plant(self, texts):
        """Replaces what `texts` holds of each path."""
        for path, old, new in self.edits:
            texts[path] = replaced(texts[path], path, old, new)


def every():
    bugs = [Bug(kind, folder, row, judged) for kind, folder, rows, judged in LISTS for row in rows]
    for bug in bugs:
        if bug.name in scenarios.JUDGES:
            bug.kind, bug.judge = "driver", scenarios.JUDGES[bug.name]
    return bugs


def replaced(text, path, old, new):
    # White space may have changed since, and a comment may have moved behind the line.
    pattern = r"\s*".join(re.escape(word) for word in old.split())
    found = re.findall(pattern, text)
    if len(found) != 1:
        raise Broken(f"does not apply: {len(found)} places in {os.path.basename(path)} read: {old}")
    return re.sub(pattern, lambda match: new, text)


PROGRAMS = ("unit/", "paper/")


def file_of(judge):
    """Of `unit/node/members::test_x`, `e2e/members::test_x` or `chaos/cuts::test_x`: the file, and
    the test."""
    where, _, test = judge.partition("::")
    directory, _, area = where.rpartition("/")
    if where.startswith(PROGRAMS):
        return f"tests/{where}_test.c", test
    return f"tests/{directory}/test_{area}.py", test


def judge_is_there(judge, texts):
    """`unit/node/members` is a program, `unit/node/members::test_x` or `e2e/members::test_x` one
    test of a file, `raft:session` a level in the simulator, `suite` its seeds of every run, `real`
    a run of chaos, `bites:kill` seeds of whole nodes in which that kind of fault comes,
    `kept:10000364` one of tests/sim/nodes.kept, `backup:32` twelve seeds with a primary."""
    if judge in (None, "clusters", "nodes", "suite", "real") or \
            judge.startswith(("raft:", "real:", "bites:", "backup:")):
        return True
    if judge.startswith("kept:"):
        kept = texts.get("tests/sim/nodes.kept", "")
        return re.search(rf"^\d+ {judge.partition(':')[2]} ", kept, re.M) is not None
    path, test = file_of(judge)
    if judge.startswith(PROGRAMS):
        folder, _, name = path.rpartition("/")  # a program may be named after its folder too
        short = f"{folder}/{name.removeprefix(os.path.basename(folder) + '_')}"
        text = texts.get(path, texts.get(short))
        return text is not None and (test == "" or f"{test}(void **" in text)
    return f"def {test.partition('[')[0]}(" in texts.get(path, "")


def rotten(texts):
    """One line per bug that says nothing any more; `texts` holds all files by their path."""
    names = set()
    yield from bites.missing(texts)
    for name in scenarios.JUDGES.keys() - {bug.name for bug in every()}:
        yield f"tests/mutants/scenarios.py: there is no planted bug '{name}'"
    for name in HANGS - {bug.name for bug in every()}:
        yield f"tests/mutants/planted.py: there is no planted bug '{name}', which is to hang"
    for bug in every():
        planted = {path: texts.get(path, "") for path, _, _ in bug.edits}
        try:
            bug.plant(planted)
            wrong = None
        except Broken as error:
            wrong = str(error)
        if wrong is None and any(text == texts[path] for path, text in planted.items()):
            wrong = "changes nothing"
        if not judge_is_there(bug.judge, texts):
            wrong = f"there is no test {bug.judge}"
        if bug.name in names:
            wrong = "the name is used twice"
        names.add(bug.name)
        if wrong is not None:
            yield f"the planted bug '{bug.name}': {wrong}"
