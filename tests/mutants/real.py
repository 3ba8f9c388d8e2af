"""Bugs that a run of chaos is to find within three minutes (docs/chaos.md lists how long it took):
rows as in driver.py, paths from src; behind `real:` stands a kind of trouble that comes often then.
Most have quicker judges elsewhere, too; here it is asked whether real processes, in real trouble,
before clients that look, would show them. Where one rule covers for another both are broken: a
leader that hears nobody steps down before anyone else is elected, so that a lease without end alone
would show nothing.
"""

# These are found by seeds of whole nodes too (bites.py).
NO_ROOM = (
    "log/flush.c",
    "log->flush_wanted = true; return 0;"
    " /* the janitor goes on when it has a file, or the sync when it is done */",
    "log->flush_wanted = true;"
    " if (log->no_space) { log->flight_batches = log->pending_count; flight_landed(log); }"
    " return 0;",
    "return; /* the janitor calls again when it has a file, the sync when it is done */",
    "if (log->no_space) { log->flight_batches = log->pending_count; flight_landed(log); }"
    " return;")
OWN_CLOCK = (
    "node/apply.c",
    "engine_tick(r->partition->engine, stamp);",
    "engine_tick(r->partition->engine, io_wall(r->node->io));")
HALF_A_SNAPSHOT = (
    "engine/image.c",
    "store_put(engine->store, reader->db, key, all, expire); if (reader->db == SYSTEM_DB) {",
    "if (reader->db != 0 || reader->items % 2 == 0) {"
    " store_put(engine->store, reader->db, key, all, expire); }"
    " if (reader->db == SYSTEM_DB) {")
LAST_BATCH = (
    "log/replay.c",
    "struct span records = span_of(p + BATCH_HEADER_BYTES, h.payload);",
    "struct batch_header next; struct segment behind = *s; behind.end += h.bytes;"
    " if (behind.end < stop && batch_at(&behind, w, behind.end, &next) == NULL) {"
    " return REPLAY_STOPS; } p = batch_at(s, w, s->end, &h);"
    " struct span records = span_of(p + BATCH_HEADER_BYTES, h.payload);")

ANYWHERE = [
    ("real: a write is acknowledged before it is durable", "real", "node/replica.c",
     "if (out->v[i].after > r->durable) {", "if (out->v[i].after == UINT64_MAX) {"),
    ("real: a write is acknowledged by the sync before", "real", "node/perform.c",
     "if (h->effect.after > r->durable) {", "if (h->effect.after == UINT64_MAX) {"),
    ("real: a lease that is over is read under", "real", "protocol/raft/lease.c",
     "return start == 0 ? 0 : start + shrink(r, r->limits.lease);",
     "return start == 0 ? 0 : start + 50 * shrink(r, r->limits.lease);",
     "protocol/raft/raft.c", "return heard != QR_NEVER && r->now >= heard + raft_election_span(r);",
     "return heard != QR_NEVER && r->now >= heard + 50 * r->limits.election;",
     "return heard == QR_NEVER ? due : earlier(due, heard + span);", "return due;"),
    ("real: what a session has seen is ignored", "real", "cluster/freshness.c",
     "return suffices(replica, wish) && replica->applied >= wish->least ? SERVE_NOW : SERVE_ASK;",
     "return suffices(replica, wish) ? SERVE_NOW : SERVE_ASK;", "node/reads.c",
     "} else if (r->applied < p->slot || waits_for_write(p)) {",
     "} else if (r->applied < p->slot) {"),
    ("real: a follower answers by what it has applied", "real", "node/reads.c",
     "} else if (r->applied < p->slot || waits_for_write(p)) {",
     "} else if (waits_for_write(p)) {"),
    ("real: ids are not part of a snapshot", "real", "engine/image.c",
     "if (db == IDS_DB && ids_is_count(item)) {", "if (db == IDS_DB) {"),
    ("real: a vote is forgotten at a start", "real:two_candidates", "protocol/raft/raft.c",
     "r->vote = state->vote;", "r->vote = NODE_NONE;"),
    ("real: voters change without a joint phase", "real:grow_from_one", "protocol/raft/change.c",
     "wanted.outgoing = r->members.members.voters;", "",
     "protocol/raft/members.c", "return next->voters == before->voters; /* M2 */", "return true;",
     "protocol/raft/check.c",
     "qr_assert(raft_members_follow(&r->before.members, &r->members.members)); /* M2 */", ""),
    ("real: who does not vote counts for a commit", "real:cut_with_observers",
     "protocol/raft/replicate.c",
     "for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {"
     " node_index i = set_first(rest);"
     " match[i] = i == r->me",
     "for (uint32_t rest = membership_all(&r->members.members); rest != 0; rest &= rest - 1) {"
     " node_index i = set_first(rest);"
     " match[i] = i == r->me",
     "qr_slot reached = quorum_reached(match, &r->members.members);",
     "qr_slot reached = quorum_reached_set(match, membership_all(&r->members.members));"),
    ("real: what does not fit on the disk is acknowledged", "real:full_disk", *NO_ROOM),
    ("real: time passes by the wall clock", "real:wrong_time", "io/loop.c",
     "return microseconds(CLOCK_BOOTTIME);", "return microseconds(CLOCK_REALTIME);"),
    ("real: each replica lets keys expire by its own clock", "real", *OWN_CLOCK),
    ("real: half of a snapshot is loaded", "real", *HALF_A_SNAPSHOT),
    ("real: a start cuts the last batch", "real", *LAST_BATCH),
    ("real: an order that may be carried out is refused", "real:drain", "node/orders.c",
     'orders_refuse(p, "UNCERTAIN leadership ended, perhaps before a majority held the change of "'
     ' "the keyspaces', 'orders_refuse(p, "TRYAGAIN not applied',
     'orders_refuse(p, "UNCERTAIN a majority', 'orders_refuse(p, "TRYAGAIN not applied a majority'),
    ("real: an order is answered before it is decided", "real:drain", "node/control.c",
     "f->order = p; f->keyspace = keyspace;",
     "if (p != NULL && !f->prepares) { orders_ok(node, p); p = NULL; }"
     " f->order = p; f->keyspace = keyspace;"),
    ("real: a keyspace with keys is dropped without FORCE", "real:drain",
     "node/order_keyspace.c", "if (use.keys > 0 || use.clients > 0) {", "if (use.clients > 0) {"),
]
