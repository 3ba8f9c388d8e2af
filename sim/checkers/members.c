/* What must hold when the members change, when disks are lost, and when a checkpoint takes a log's
 * place: seen from outside, through logs, outlooks, messages and answers. */
#include "sim/checkers/safety.h"

#include "sim/council.h"

#include <inttypes.h>

/* --- who holds what --------------------------------------------------------------------------- */

/* A node that has lost its disk counts with what it had: it voted with that, and may not vote until
 * it has been brought past it. */
bool safety_on_disk(const struct sim_node *n, qr_slot slot, uint64_t chain)
{
    const struct image *disk = n->lost ? &n->ghost : &n->disk;
    if ((!n->lost && n->safe.slot >= slot) || disk->base >= slot) {
        return true; /* a checkpoint holds committed entries only */
    }
    return slot <= image_last(disk) && image_chain(disk, slot) == chain;
}

void safety_lost(struct world *w, struct sim_node *n)
{
    if (n->lost) {
        return;
    }
    image_copy(&n->ghost, &n->disk);
    n->ghost.base = max_u64(n->ghost.base, n->safe.slot);
    n->ghost.n =
        image_last(&n->disk) > n->ghost.base ? (size_t)(image_last(&n->disk) - n->ghost.base) : 0;
    if (n->ghost.n > 0) {
        memmove(n->ghost.v, n->ghost.v + (n->disk.n - n->ghost.n), n->ghost.n * sizeof *n->ghost.v);
    }
    n->lost = true;
    n->lost_commit = w->committed_count - 1;
}

/* It has written down that it remembers: from now on it counts with what it has. */
void safety_recovered(struct world *w, struct sim_node *n)
{
    qr_slot slot = n->lost_commit;
    if (!council_is_weak(w) && slot > n->disk.base &&
        (slot > image_last(&n->disk) || image_chain(&n->disk, slot) != w->committed[slot].chain)) {
        world_violation(w, VIOLATION_FORGETFUL,
                        "node %d is to remember, and lacks slot %" PRIu64
                        " that was committed when it was damaged",
                        n->index, slot);
    }
    n->lost = false;
    w->counters->recovered++;
}

/* --- changes of the members ------------------------------------------------------------------- */

static bool is_disjoint(const struct membership *m)
{
    return (m->voters & m->learners) == 0 && (m->voters & m->observers) == 0 &&
           (m->learners & m->observers) == 0;
}

/* Joint consensus (diss. 4.3): into the joint membership, out of it, or no voter is touched. */
static bool is_step(const struct membership *from, const struct membership *to)
{
    if (from->outgoing != 0) {
        return to->outgoing == 0 && to->voters == from->voters;
    }
    return to->outgoing == from->voters || (to->outgoing == 0 && to->voters == from->voters);
}

void safety_stated(struct world *w, struct sim_node *n, qr_slot slot, const struct membership *m)
{
    struct outlook o;
    node_outlook(w, n, &o);
    struct membership_at now = members_in_force(&n->log, n->membership);
    const char *broken = NULL;
    if (o.role != ROLE_LEADER) {
        broken = "does not lead";
    } else if (now.slot > o.commit) {
        broken = "has another change under way";
    } else if (o.commit < n->log.base || image_term(&n->log, o.commit) != o.term) {
        broken = "has committed nothing in its term";
    } else if (m->voters == 0 || !is_disjoint(m) || !is_step(&now.members, m)) {
        broken = "leaves out the joint membership, or has sets that overlap";
    }
    if (broken != NULL) {
        world_violation(w, VIOLATION_MEMBERSHIP, "node %d, slot %" PRIu64 ": %s", n->index, slot,
                        broken);
    }
}

/* What the protocol believes to be in force is what its log states last. */
static void check_in_force(struct world *w, const struct sim_node *n, const struct outlook *o)
{
    struct membership_at now = members_in_force(&n->log, n->membership);
    if (o->membership_slot != now.slot || !membership_equal(&o->membership, &now.members)) {
        world_violation(w, VIOLATION_MEMBERSHIP,
                        "node %d goes by the membership of slot %" PRIu64
                        ", in force is that of %" PRIu64,
                        n->index, o->membership_slot, now.slot);
    }
}

/* --- removed nodes ---------------------------------------------------------------------------- */

/* Its log takes it in again: in a cluster a replica that was to go may be wished for once more. */
static bool is_wanted_back(const struct sim_node *n)
{
    struct membership_at now = members_in_force(&n->log, n->membership);
    return (membership_all(&now.members) >> n->index & 1) != 0;
}

static void check_removed(struct world *w, struct sim_node *n, const struct outlook *o)
{
    bool is_member = (membership_all(&n->membership.members) >> n->index & 1) != 0;
    if (n->membership.slot < n->joined_slot) {
        return; /* of another node, who had this index before */
    }
    if (is_member || is_wanted_back(n)) {
        n->was_member = n->was_member || is_member;
        n->removed = false;
        return;
    }
    if (!n->was_member) {
        return;
    }
    if (!n->removed) {
        n->removed = true;
        n->removed_at = w->now;
    }
    qr_time patience = 2 * (qr_time)w->options.election;
    if (o->role == ROLE_CANDIDATE ||
        (o->role == ROLE_LEADER && w->now > n->removed_at + patience)) {
        world_violation(w, VIOLATION_REMOVED, "node %d is removed, and %s", n->index,
                        o->role == ROLE_LEADER ? "leads" : "campaigns");
    }
}

/* What a leader believes of a member is on the disk of the directory that it names there. */
static void check_matches(struct world *w, const struct sim_node *n, const struct outlook *o)
{
    for (node_index i = 0; i < w->node_count && o->role == ROLE_LEADER; i++) {
        const struct sim_node *m = &w->nodes[i];
        bool fresh = m->life == LIFE_JOINING;
        qr_slot has = max_u64(image_last(&m->disk), m->safe.slot);
        bool sound =
            !m->lost && !m->damaged && !m->unknowing && m->rotten_count == 0 && m->term <= o->term;
        if (i == n->index || i >= o->members || o->member[i].match <= has ||
            (m->life != LIFE_NODE && !fresh) || (!sound && !fresh) ||
            members_named(w, n, i) != m->identity + 1) {
            continue;
        }
        world_violation(w, VIOLATION_MATCH,
                        "node %d believes that %d has slot %" PRIu64 ", it has %" PRIu64, n->index,
                        i, o->member[i].match, has);
    }
}

void safety_members(struct world *w, struct sim_node *n, const struct outlook *o)
{
    if (!w->knows_members) {
        return;
    }
    check_in_force(w, n, o);
    check_removed(w, n, o);
    if (w->zero == NULL) {
        check_matches(w, n, o);
    }
}

/* --- what is said ----------------------------------------------------------------------------- */

static bool is_named(const char *name, const char *wanted)
{
    return name != NULL && strcmp(name, wanted) == 0;
}

void safety_sent(struct world *w, struct sim_node *n, const struct effect *x)
{
    if (!n->lost && !n->removed) {
        return;
    }
    struct outlook o;
    node_outlook(w, n, &o);
    uint16_t kind = x->send.message.kind;
    const char *name = w->protocol->codec->name(kind);
    bool asks = is_named(name, "VOTE") || is_named(name, "PREVOTE");
    if (n->removed && asks) {
        world_violation(w, VIOLATION_REMOVED, "node %d sends %s", n->index, name);
    }
    if (!n->lost || !o.forgetful) {
        return;
    }
    char line[300];
    struct text t = text_in(line, sizeof line);
    w->protocol->codec->print(kind, x->send.message.body, &t);
    bool grants = strstr(line, "granted=1") != NULL ||
                  (strstr(line, "lease=") != NULL && strstr(line, "lease=0") == NULL);
    bool acknowledges =
        w->council != NULL ? strstr(line, "forgetful=0") != NULL : is_named(name, "APPEND_ACK");
    if (asks || grants || acknowledges || is_named(name, "QUIET_ACK")) {
        world_violation(w, VIOLATION_FORGETFUL, "node %d sends %s", n->index, line);
    }
}

/* --- installs --------------------------------------------------------------------------------- */

/* A checkpoint is the state of a prefix of the log that was committed, with the members in force
 * there. */
void safety_installing(struct world *w, struct sim_node *n, const struct checkpoint *file)
{
    if (council_is_weak(w)) {
        n->checked_commit = max_u64(n->checked_commit, file->slot);
        return;
    }
    if (file->slot >= w->committed_count || w->committed[file->slot].chain != file->chain ||
        w->committed[file->slot].term != file->term) {
        world_violation(w, VIOLATION_STATE_MACHINE_SAFETY,
                        "node %d installs another state at %" PRIu64, n->index, file->slot);
    }
    const struct membership_at *then = &w->decided[0];
    for (size_t i = 1; i < w->decided_count && w->decided[i].slot <= file->slot; i++) {
        then = &w->decided[i];
    }
    if (then->slot != file->membership.slot && file->membership.slot != 0) {
        world_violation(w, VIOLATION_MEMBERSHIP,
                        "the checkpoint at %" PRIu64 " tells the members of slot %" PRIu64,
                        file->slot, file->membership.slot);
    }
    n->checked_commit = max_u64(n->checked_commit, file->slot);
}

/* --- answers to operators --------------------------------------------------------------------- */

void safety_answered(struct world *w, struct sim_node *n, const struct order *order)
{
    if (order->status != STATUS_OK) {
        return;
    }
    struct outlook o;
    node_outlook(w, n, &o);
    if (order->verb == VERB_TRANSFER) {
        if (o.role == ROLE_LEADER && order->nodes != n->index) {
            world_violation(w, VIOLATION_ANSWER, "node %d handed over, and leads", n->index);
        }
        return;
    }
    for (size_t i = w->decided_count; i-- > order->decided;) {
        if (membership_equal(&w->decided[i].members, &order->wanted)) {
            return;
        }
    }
    world_violation(w, VIOLATION_ANSWER, "node %d answers OK, and the membership is not committed",
                    n->index);
}

/* Who was told nothing at all: neither done, nor refused, nor that nobody knows. */
void safety_unanswered(struct world *w)
{
    for (node_index i = 0; i < w->node_count && w->knows_members; i++) {
        const struct sim_node *n = &w->nodes[i];
        for (size_t k = 0; n->up && k < n->pending_count; k++) {
            if (n->pending[k].order != 0) {
                world_violation(w, VIOLATION_ANSWER, "node %d never answers order %u", i,
                                n->pending[k].order);
            }
        }
    }
}

/* --- at the end ------------------------------------------------------------------------------- */

/* NULL when all of the core is where it is to be: everybody has what was committed at `target`,
 * learners are voters, nobody is forgetful, no change is under way. */
const char *safety_unsettled(struct world *w, uint16_t core, qr_slot target)
{
    node_index leader = world_leader(w);
    if (leader == NODE_NONE) {
        return "nobody leads";
    }
    struct outlook o;
    node_outlook(w, &w->nodes[leader], &o);
    if (o.membership.outgoing != 0 || o.membership_slot > o.commit) {
        return "a change of the members does not end";
    }
    uint16_t able = o.membership.learners & core;
    bool pair = quorum_count(o.membership.voters) + quorum_count(able) == 2;
    if (able != 0 && !pair) { /* two that need each other are worse than one */
        return "a learner is not made a voter";
    }
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if ((core & membership_all(&o.membership) & node_bit(i)) == 0) {
            continue;
        }
        if (n->lost) {
            return "a forgetful node is not brought up";
        }
        if (n->applied < target) {
            return "a member is not brought up";
        }
    }
    return NULL;
}
