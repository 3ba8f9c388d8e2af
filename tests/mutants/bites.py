"""That every kind of fault bites: for each kind of sim/nodes/faults.def a planted bug that fixed
seeds of whole nodes find where this kind comes, alone or beside what SEEDS says, and do not find
where it does not. Rows as in driver.py, with paths from src; the judge is `bites:KIND`
(tests/mutants/bite). Where src/ has become another one the seeds may miss it: `tests/mutants/bite
PROGRAM KIND 1-300` looks for others. tools/tidy demands that no kind is without a row, or a reason
in UNSHOWN.

One bug may serve several kinds: that a write which may have happened is called not applied is found
by whatever makes clients wait.
"""

# kind: seeds, kinds that come beside it (none of which finds the bug), and how many nodes.
SEEDS = {
    "kill": ("37", "", 0),
    "term": ("23 113", "", 0),
    "power": ("132 23", "", 0),
    "power_all": ("67", "", 0),
    "crash": ("107 173", "", 0),
    "failpoint": ("143 53", "", 0),
    "disk_error": ("125 120", "power", 0),
    "disk_unreadable": ("88", "", 1),
    "disk_full": ("107 71", "", 0),
    "disk_stall": ("150 19", "", 0),
    "rot": ("32", "", 0),
    "misdirect": ("32 101", "", 0),
    "wipe": ("1", "", 0),
    "old_copy": ("32 167", "", 0),
    "pause": ("120", "", 0),
    "cut": ("72 86", "", 0),
    "cut_one_way": ("104 41", "", 0),
    "isolate": ("22", "", 0),
    "ring": ("204 120", "", 5),
    "swizzle": ("37 90", "", 0),
    "narrow": ("41 37", "", 0),
    "far": ("41", "", 0),
    "reset": ("87", "", 0),
    "drift": ("176 71", "", 0),
    "wall": ("37 67", "", 0),
    "freeze": ("106", "", 0),
    "resume": ("150", "", 0),
    "slow": ("168", "", 0),
}

UNSHOWN = {
    "cut_client": "it is over before a client's patience is: what was asked is answered, later",
    "flap": "it holds back for 200 ms: nearly nobody's patience ends by it (1 of 400 seeds)",
}

LAST_BATCH = (
    "log/replay.c",
    "struct span records = span_of(p + BATCH_HEADER_BYTES, h.payload);",
    "struct batch_header next; struct segment behind = *s; behind.end += h.bytes;"
    " if (behind.end < stop && batch_at(&behind, w, behind.end, &next) == NULL) {"
    " return REPLAY_STOPS; } p = batch_at(s, w, s->end, &h);"
    " struct span records = span_of(p + BATCH_HEADER_BYTES, h.payload);")
# In both states in which a write waits: proposed here, and forwarded.
NOT_APPLIED = (
    "node/router_turn.c",
    "*status = STATUS_UNCERTAIN; return p->slot != 0 && age",
    "*status = STATUS_LATE; return p->slot != 0 && age",
    "*status = router_is_held_back(p) ? STATUS_STALLED : write ? STATUS_UNCERTAIN",
    "*status = router_is_held_back(p) ? STATUS_STALLED : write ? STATUS_LATE")
OWN_CLOCK = (
    "node/apply.c", "engine_tick(r->partition->engine, stamp);",
    "engine_tick(r->partition->engine, io_wall(r->node->io));")
NO_REPAIR = (
    "node/repair.c",
    "peers_tell_group(node->peers, step->to, partition->group, FRAME_REPAIR_ASK,"
    " span_of(head, n));",
    "(void)n;")

KINDS = [
    ("bites: a start cuts the last batch (kill)", "bites:kill", *LAST_BATCH),
    ("bites: a start cuts the last batch (crash)", "bites:crash", *LAST_BATCH),
    ("bites: a start cuts the last batch (failpoint)", "bites:failpoint", *LAST_BATCH),
    ("bites: the peers outlive the node", "bites:term", "node/node.c",
     "peers_free(node->peers);", ""),
    ("bites: what the log writes is synced later", "bites:power", "log/flush.c",
     ".done = write_done, .context = log };",
     ".done = write_done, .context = log, .sync_later = true };"),
    ("bites: acknowledged before it is durable", "bites:power_all", "protocol/raft/append.c",
     "qr_ticket after = raft_ticket(r, out, match); /* A3 */",
     "qr_ticket after = raft_ticket(r, out, match) * 0;"),
    ("bites: a sync that failed is one", "bites:disk_error", "log/flush.c",
     "struct log *log = write->context; if (error < 0) {",
     "struct log *log = write->context; error = error == -5 ? 0 : error; if (error < 0) {",
     "log->stats.inline_syncs++;", "log->stats.inline_syncs++; error = 0;"),
    ("bites: what cannot be read was never written", "bites:disk_unreadable", "log/recover.c",
     "mark = max_u64(mark, r->stated);", "mark = 0;",
     "if (w->error < 0) { /* also where",
     "if (w->error < 0 && end == REPLAY_IO && s->end == 0) { /* also where",
     "log/replay.c", "return w->error < 0 ? REPLAY_IO : REPLAY_STOPS;", "return REPLAY_STOPS;"),
    ("bites: what does not fit on the disk is acknowledged", "bites:disk_full", "log/flush.c",
     "log->flush_wanted = true; return 0; /* the janitor goes on when it has a file */",
     "log->flush_wanted = true;"
     " if (log->no_space) { log->flight_batches = log->pending_count; flight_landed(log); }"
     " return 0;",
     "return; /* the janitor calls again when it has a file */",
     "if (log->no_space) { log->flight_batches = log->pending_count; flight_landed(log); }"
     " return;"),
    ("bites: lost entries are asked for by nobody (rot)", "bites:rot", *NO_REPAIR),
    ("bites: whose log is damaged does not start", "bites:misdirect", "node/damage.c",
     "if (result != LOG_OPEN_OK && result != LOG_OPEN_DAMAGED) {",
     "if (result != LOG_OPEN_OK) {"),
    ("bites: half of a snapshot is loaded", "bites:wipe", "engine/image.c",
     "store_put(engine->store, reader->db, key, all, expire); if (reader->db == SYSTEM_DB) {",
     "if (reader->db != 0 || reader->items % 2 == 0) {"
     " store_put(engine->store, reader->db, key, all, expire); }"
     " if (reader->db == SYSTEM_DB) {"),
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
     *OWN_CLOCK) for kind in ("drift", "wall", "freeze")
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
