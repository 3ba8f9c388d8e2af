"""That every kind of fault bites: for each kind of sim/nodes/faults.def a planted bug that fixed
seeds of whole nodes find where this kind comes, alone or beside what SEEDS says, and do not find
where it does not. Rows as in driver.py, with paths from src; the judge is `bites:KIND`
(tests/mutants/bite). Where src/ has become another one the seeds may miss it: `tests/mutants/bite
PROGRAM KIND 1-300` looks for others. tools/tidy demands that no kind is without a row, or a reason
in UNSHOWN.

One bug may serve several kinds: that a write which may have happened is called not applied is found
by whatever makes clients wait.
"""
import real

# kind: seeds, of which the first that bites is the last to run; kinds that come beside it (which
# alone do not find the bug); and how many nodes, 0: as many as the seed says.
SEEDS = {
    "kill": ("37 150 126 110 175 154 143 24 124", "", 0),
    "term": ("23 113 22 120 65 167 159 106 121", "", 0),
    "power": ("132 23 120 127 1 110 19 143 103", "", 0),
    "power_all": ("67 23 150 147 126 104 103 120 46", "", 0),
    "crash": ("107 173 1 95 169 37 71 141 132", "", 0),
    "failpoint": ("143 53 120 162 172 149 4 46 111", "", 0),
    "disk_error": ("125 120 1 88 149 46 119 24 95", "power", 0),
    "disk_unreadable": ("113 22 65 88 104 19 154 121", "", 0),
    "disk_full": ("107 71 126 1 160 86 20 161 2", "", 0),
    "disk_stall": ("150 19 132 71 113 125 160 85 13", "", 0),
    "rot": ("32 150 67 127 139 141 85 159 124", "", 0),
    "misdirect": ("32 101 162 90 142 22 96 117 140", "", 0),
    "wipe": ("1 150 132 125 126 77 86 73 82", "", 0),
    "old_copy": ("32 167 23 1 124 17 86 175 11", "", 0),
    "pause": ("120 159 139 46 1 126 141 24 45", "", 0),
    "cut": ("72 86 162 123 22 17 159 120 179", "", 0),
    "cut_one_way": ("104 41 125 37 167 24 86 103 146", "", 0),
    "isolate": ("22 162 17 104 127 165 110 120 125", "", 0),
    "ring": ("204 120 65 19 74 90", "", 5),
    "swizzle": ("37 90 23 22 18 133 103 143 154", "", 0),
    "narrow": ("41 37 104 1 132 169 173 107 143", "", 0),
    "far": ("41 87 120 162 110 13 30 17 159", "", 0),
    "reset": ("87 150 132 120 1 67 127 86 119", "", 0),
    "drift": ("176 71 67 125 173 92 152 32 93", "", 0),
    "wall": ("37 67 127 113 32 142 56 80 120", "", 0),
    "freeze": ("106 23 113 32 147 67 103 125 132", "", 0),
    "resume": ("150 22 162 37 125 18 19 53 71", "", 0),
    "slow": ("168 150 23 1 125 173 165 18 69", "", 0),
}

UNSHOWN = {
    "cut_client": "it is over before a client's patience is: what was asked is answered, later",
    "flap": "it holds back for 200 ms: nearly nobody's patience ends by it (1 of 400 seeds)",
}

# In both states in which a write waits: proposed here, and forwarded.
NOT_APPLIED = (
    "node/router_turn.c",
    "*status = STATUS_UNCERTAIN; return p->slot != 0 && age",
    "*status = STATUS_LATE; return p->slot != 0 && age",
    "*status = router_is_held_back(p) ? STATUS_STALLED : write ? STATUS_UNCERTAIN",
    "*status = router_is_held_back(p) ? STATUS_STALLED : write ? STATUS_LATE")
NO_START = (
    "node/damage.c", "if (result != LOG_OPEN_OK && result != LOG_OPEN_DAMAGED) {",
    "if (result != LOG_OPEN_OK) {")

KINDS = [
    ("bites: a start cuts the last batch (kill)", "bites:kill", *real.LAST_BATCH),
    ("bites: a start cuts the last batch (crash)", "bites:crash", *real.LAST_BATCH),
    ("bites: a start cuts the last batch (failpoint)", "bites:failpoint", *real.LAST_BATCH),
    ("bites: the peers outlive the node", "bites:term", "node/node.c",
     "peers_free(node->peers);", ""),
    ("bites: what the log writes is synced later", "bites:power", "log/flush.c",
     ".done = write_done, .context = log };",
     ".done = write_done, .context = log, .sync_later = true };"),
    ("bites: acknowledged before it is durable", "bites:power_all", "protocol/raft/append.c",
     "qr_ticket after = raft_ticket(r, out, match); /* A3 */",
     "qr_ticket after = raft_ticket(r, out, match) * 0;"),
    ("bites: a sync that failed is one", "bites:disk_error", "log/flush.c",
     "uint64_t synced = log->synced; if (error < 0) {",
     "uint64_t synced = log->synced; error = error == -5 ? 0 : error; if (error < 0) {",
     "log->stats.inline_syncs += log->write.cached ? 0 : 1;",
     "log->stats.inline_syncs += log->write.cached ? 0 : 1; error = 0;"),
    ("bites: a start that fails leaves all behind", "bites:disk_unreadable", "node/node.c",
     "if (node->http == NULL) { node_free(node); return NULL; }",
     "if (node->http == NULL) { return NULL; }"),
    ("bites: what does not fit on the disk is acknowledged", "bites:disk_full", *real.NO_ROOM),
    ("bites: whose log is damaged does not start (rot)", "bites:rot", *NO_START),
    ("bites: whose log is damaged does not start (misdirect)", "bites:misdirect", *NO_START),
    ("bites: half of a snapshot is loaded", "bites:wipe", *real.HALF_A_SNAPSHOT),
    ("bites: who has forgotten never remembers", "bites:old_copy", "protocol/raft/forget.c",
     "r->forgetful = false; r->life = 0;", "if (m->life != 0) { return; } r->life = 0;"),
    ("bites: a leader without a majority answers", "bites:isolate", "protocol/raft/raft.c",
     "if (has_lost_quorum(r)) {", "if (false) {", "protocol/raft/read.c",
     "r->reads[done].round <= confirmed &&", "r->reads[done].round <= confirmed + 1000 &&"),
    ("bites: what was forwarded to a node that is lost was not applied", "bites:reset",
     "node/router_forward.c",
     "router->node->stats.uncertain++; stream_refuse(p, STATUS_UNCERTAIN);",
     "stream_refuse(p, STATUS_LEADER_CHANGED);"),
] + [
    (f"bites: what waited for too long was not applied ({kind})", f"bites:{kind}", *NOT_APPLIED)
    for kind in ("disk_stall", "pause", "cut", "cut_one_way", "ring", "swizzle", "narrow", "far",
                 "resume", "slow")
] + [
    (f"bites: each replica lets keys expire by its own clock ({kind})", f"bites:{kind}",
     *real.OWN_CLOCK) for kind in ("drift", "wall", "freeze")
]


def kinds_of(text):
    """The kinds that faults.def lists."""
    return [line[len("FAULT("):line.index(",")] for line in text.splitlines()
            if line.startswith("FAULT(")]


def missing(texts):
    """A line for each kind that nobody shows to bite, and each row that is of none."""
    kinds = kinds_of(texts["sim/nodes/faults.def"])
    shown = {judge.partition(":")[2] for _, judge, *_ in KINDS}
    for kind in kinds:
        if (kind in shown) == (kind in UNSHOWN):
            yield f"tests/mutants/bites.py: a planted bug or a reason, one of them, for {kind}"
        if f"| `{kind}` |" not in texts["docs/testing.md"]:
            yield f"docs/testing.md: what shows that {kind} bites is missing"
    for kind in (shown | SEEDS.keys() | UNSHOWN.keys()) - set(kinds):
        yield f"tests/mutants/bites.py: there is no kind of fault {kind}"
    for kind in shown ^ SEEDS.keys():
        yield f"tests/mutants/bites.py: {kind} has seeds and no bug, or a bug and no seeds"
