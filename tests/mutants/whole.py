"""Bugs that whole nodes under simulation are to find (sim/nodes): rows as in driver.py. Most have
judges of their own elsewhere, too.
"""

NODE = [
    ("whole: terms behind a checkpoint count for nothing", "unit/node/keeper", "keeper.c",
     "return n >= CHECKPOINT_TERMS_MAX;", "return n > UINT32_MAX / 2;"),
    ("whole: terms that a checkpoint holds are counted", "unit/node/keeper", "keeper.c",
     "group.runs[group.run_count - 1 - n].slot > slot) {", "slot < UINT64_MAX) {"),
    ("whole: many terms are no reason for a checkpoint", "unit/node/keeper", "keeper.c",
     "must_reclaim(keeper, now) || keeper->many_terms ||", "must_reclaim(keeper, now) ||"),
    ("whole: terms of idle groups are not looked at", "unit/node/keepers", "keepers.c",
     "if (!look_at_wanted(node, now) && !look_at_terms(node, now)) {",
     "if (!look_at_wanted(node, now)) {"),
    ("whole: leadership goes on before anything is committed", "unit/protocol/hand_over",
     "../protocol/raft/transfer.c", "r->commit >= r->term_start; /* X6 */",
     "r->term_start > 0;"),
    ("whole: the directory's own name is not synced", "nodes", "identity.c",
     "int synced = error == 0 ? io_sync_dir(io, above) : error;", "int synced = error;"),
    ("whole: nothing waits for the disk", "nodes", "perform.c",
     "if (h->effect.after > r->durable) {", "if (h->effect.after == UINT64_MAX) {"),
    ("whole: a new cluster is of an old level", "unit/node/client_wants", "client_wants.c",
     "return node_knows_rules(node) && control_level(node) >= node->identity.level;",
     "return node_knows_rules(node);"),
    ("whole: more rosters than the protocol is told of", "unit/node/replica_members",
     "replica_members.c", "r->bench->received_hi = record->slot;", ";"),
    ("whole: a founder that is removed leaves no trace", "unit/node/replica_members",
     "replica_members.c", "memcpy(met.node[i].uuid, known->uuid, sizeof known->uuid);", ";"),
    ("whole: the one that had the id before is buried", "unit/node/replica_members",
     "replica_members.c", "!roster_uuid_known(&met.node[i]) && known->id == met.node[i].id &&",
     "known->id == met.node[i].id &&"),
    ("whole: room is written down for one that was removed", "unit/node/replica_members",
     "replica_members.c",
     "known->id == roster.node[i].id && !replica_has_removed(r, known->uuid)) {",
     "known->id == roster.node[i].id) {"),
    ("whole: who would hand it back gets leadership for its priority", "unit/node/health",
     "health.c", "is_eligible(node, o, i) && !o->member[i].skewed && t->heard != 0 &&",
     "is_eligible(node, o, i) && t->heard != 0 &&"),
    ("whole: all founders are buried", "unit/node/replica_members", "replica_members.c",
     "known->id == met.node[i].id && after->node[i].id == 0) {",
     "known->id == met.node[i].id) {"),
    ("whole: room goes to one that was removed and still speaks", "unit/node/reused_index",
     "members.c", "return !roster_uuid_known(now) && roster_uuid_known(known) &&",
     "return false && now != NULL &&"),
    ("whole: room goes to a founder that was removed", "unit/node/reused_index", "members.c",
     "n.id == met->id && !replica_has_removed(node->zero->replica, met->uuid)) {",
     "n.id == met->id) {"),
    ("whole: a part of a unit is waited for, for ever", "unit/node/snapshot_fetch",
     "snapshot_fetch.c", ">= ASK_INTERVAL && !more &&",
     ">= ASK_INTERVAL && f->in_n == f->in_at &&"),
    ("whole: leadership goes to one who would hand it back", "unit/node/health", "health.c",
     "uint64_t right = o->member[i].skewed ? 0 : 1;", "uint64_t right = 1;"),
    ("whole: who prefers to lead gets it with a wrong clock", "unit/cluster/follow",
     "../cluster/follow.c", "m->heard != 0 && !m->skewed && !m->forgetful",
     "m->heard != 0 && !m->forgetful"),
    ("whole: a clock that is late is right", "unit/protocol/raft", "../protocol/raft/skew.c",
     "return (ms < 0 ? -ms : ms) > r->limits.skew_max / 1000;\n}\n\n/* How",
     "return ms > r->limits.skew_max / 1000;\n}\n\n/* How"),
    ("whole: a new cluster's level is waited for by nobody", "unit/node/client_wants",
     "client_wants.c", "spec->place == PLACE_WRITE && !knows_level(node) &&",
     "spec->place == PLACE_WRITE && !node_knows_rules(node) &&"),
]

# That nothing lacks at the end: sim/nodes/equal.c.
END = [
    ("whole: nobody joins a partition's group", "nodes", "../cluster/follow.c",
     "return (p->wish & me) != 0 ? FOLLOW_JOIN : FOLLOW_NOTHING; /* F3 */",
     "return FOLLOW_NOTHING;"),
    ("whole: replicas that moved away stay", "nodes", "../cluster/follow.c",
     "return action(FOLLOW_DELETE);", "return action(FOLLOW_NOTHING);"),
    ("whole: replicas of what is dropped stay", "nodes", "../cluster/follow.c",
     "return action(gone ? FOLLOW_DELETE : FOLLOW_NOTHING);", "return action(FOLLOW_NOTHING);"),
]

LOG = [
    ("whole: what the log writes is synced later", "nodes", "flush.c",
     ".done = write_done, .context = log };",
     ".done = write_done, .context = log, .sync_later = true };"),
]

# Sessions that go from node to node.
HOPS = [
    ("whole, hops: USE takes nothing over", "nodes", "local_session.c",
     "    session_use(&client->stream.strands, &token);\n", ""),
    ("whole, hops: the token that comes with a command is not looked at", "nodes",
     "client_commands.c", "!token_find(token, partition->group, &wants->least)",
     "token->count > TOKEN_PLACES_MAX && partition != NULL"),
    ("whole, hops: a leader that has all that was seen says that it is lost", "nodes", "reads.c",
     "return p->wants.least > slot && p->wants.level != READ_SNAPSHOT;",
     "return p->wants.least >= slot && p->wants.level != READ_SNAPSHOT;"),
]

# Each breaks what a model of sim/nodes/models.def promises.
MODELS = [
    ("whole, cas: what is there is set where nothing should be", "nodes", "strings.c",
     "if ((o.nx && old != NULL) || (o.xx && old == NULL)) {", "if (o.xx && old == NULL) {"),
    ("whole, cas: what is not there is set where something should be", "nodes", "strings.c",
     "if ((o.nx && old != NULL) || (o.xx && old == NULL)) {", "if (o.nx && old != NULL) {"),
    ("whole, several: the last of several pairs is forgotten", "nodes", "strings.c",
     "for (uint32_t i = 0; i < c->argc; i += 2) {\n        prefetch_keys",
     "for (uint32_t i = 0; i < (c->argc > 4 ? 4 : c->argc); i += 2) {\n        prefetch_keys"),
]
