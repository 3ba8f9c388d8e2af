/* What an instance says about itself: one line for people, its digest, its trace points. */
#include "protocol/raft/state.h"

static const char *phase_name(uint8_t phase)
{
    switch (phase) {
    case PHASE_FOLLOWER:
        return "follower";
    case PHASE_PRECANDIDATE:
        return "precandidate";
    case PHASE_CANDIDATE:
        return "candidate";
    case PHASE_LEADER:
        return "leader";
    }
    qr_unreachable();
}

static void put_set(struct text *out, const char *name, uint32_t set)
{
    text_put(out, name);
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        text_put(out, rest == set ? "" : ",");
        text_u64(out, set_first(rest));
    }
}

static void put_some(struct text *out, const char *name, uint32_t set)
{
    if (set != 0) {
        put_set(out, name, set);
    }
}

/* The members that the group was made with go without saying. */
static void put_members(struct text *out, const struct membership_at *at)
{
    if (at->slot == 0) {
        return;
    }
    text_field(out, "members", at->slot);
    put_some(out, " voters=", at->members.voters);
    put_some(out, " outgoing=", at->members.outgoing);
    put_some(out, " learners=", at->members.learners);
    put_some(out, " observers=", at->members.observers);
}

void raft_describe(const void *self, struct text *out)
{
    const struct raft *r = self;
    text_put(out, phase_name(r->phase));
    text_field(out, "term", r->term);
    text_field(out, "commit", r->commit);
    text_field(out, "last", r->trail.last_slot);
    text_field(out, "durable", r->journal.durable_slot);
    if (r->leader != NODE_NONE) {
        text_field(out, "leader", r->leader);
    }
    if (r->vote != NODE_NONE) {
        text_field(out, "vote", r->vote);
    }
    if (r->transfer_to != NODE_NONE) {
        text_field(out, "transfer_to", r->transfer_to);
    }
    put_members(out, &r->members);
    if (r->forgetful) {
        text_put(out, " forgetful");
    }
    if (r->quiet) {
        text_put(out, " quiet");
    }
}

/* --- Digest --------------------------------------------------------------------------------- */

static void mix(uint64_t *digest, uint64_t v)
{
    struct rng rng = rng_from(*digest ^ v);
    *digest = rng_next(&rng);
}

static void mix_log(uint64_t *d, const struct raft *r)
{
    mix(d, r->trail.base_slot);
    mix(d, r->trail.base_term);
    mix(d, r->trail.last_slot);
    for (uint32_t i = 0; i < r->trail.count; i++) {
        mix(d, trail_run(&r->trail, i).slot);
        mix(d, trail_run(&r->trail, i).term);
    }
    mix(d, r->journal.minted);
    mix(d, r->journal.durable);
    mix(d, r->journal.durable_slot);
    for (uint32_t i = 0; i < r->journal.count; i++) {
        mix(d, r->journal.marks[i].ticket);
        mix(d, r->journal.marks[i].slot);
    }
    mix(d, r->commit);
    mix(d, r->applied);
    mix(d, r->trimmed);
    mix(d, r->checkpoint);
    mix(d, r->floor);
}

static void mix_members(uint64_t *d, const struct membership_at *at)
{
    mix(d, at->slot);
    mix(d, at->members.voters);
    mix(d, at->members.outgoing);
    mix(d, at->members.learners);
    mix(d, at->members.observers);
}

static void mix_role(uint64_t *d, const struct raft *r)
{
    mix(d, r->term);
    mix(d, r->vote);
    mix(d, r->state_ticket);
    mix(d, r->phase);
    mix(d, r->read_mode);
    mix(d, r->leader);
    mix(d, r->leader_closed);
    mix(d, (uint64_t)r->closed_until);
    mix(d, (uint64_t)r->leader_heard);
    mix(d, r->matched);
    mix(d, (uint64_t)r->promise_until);
    mix(d, (uint64_t)r->election_due);
    mix(d, (uint64_t)r->skewed_until);
    mix(d, r->stands_back);
    mix(d, r->votes);
    mix(d, r->vote_ticket);
    mix(d, (uint64_t)r->rival_until);
    mix(d, r->called);
    mix(d, r->quiet);
    mix(d, r->away);
    mix(d, r->hushed);
    mix(d, (uint64_t)r->hush_since);
    mix(d, (uint64_t)r->active);
    mix(d, (uint64_t)r->woken);
}

static void mix_leader(uint64_t *d, const struct raft *r)
{
    mix(d, r->term_start);
    mix(d, r->barrier);
    mix(d, (uint64_t)r->heartbeat_due);
    mix(d, (uint64_t)r->beaten);
    mix(d, (uint64_t)r->patient_from);
    mix(d, (uint64_t)r->lease_given);
    mix(d, r->lease_barred);
    mix(d, r->transfer_sent);
    mix(d, r->transfer_closed);
    mix(d, r->stood_back);
    mix(d, r->transfer_req);
    mix(d, r->leaving);
    mix(d, (uint64_t)r->leaving_since);
    mix(d, r->change_req);
    mix(d, r->retiring);
    mix(d, r->caught_up);
    mix(d, r->learner);
    mix(d, r->learner_slot);
    mix(d, (uint64_t)r->learner_since);
    mix(d, r->transfer_to);
    mix(d, (uint64_t)r->transfer_due);
    mix(d, r->round);
    mix(d, r->announced);
    mix(d, r->round_used);
    mix(d, r->asked);
    mix(d, (uint64_t)r->ask_due);
    mix(d, r->told);
    mix(d, r->informed);
    for (uint32_t i = 0; i < r->read_count; i++) {
        mix(d, r->reads[i].from);
        mix(d, r->reads[i].first);
        mix(d, r->reads[i].count);
        mix(d, r->reads[i].round);
        mix(d, r->reads[i].slot);
    }
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        const struct peer *p = &r->peer[i];
        mix(d, p->match);
        mix(d, p->next);
        mix(d, p->round_sent);
        mix(d, p->round_echoed);
        mix(d, (uint64_t)p->heard);
        mix(d, (uint64_t)p->echoed);
        mix(d, (uint64_t)p->lease_from);
        mix(d, p->in_flight);
        mix(d, (uint64_t)p->skew_ms);
        mix(d, p->mode);
        mix(d, p->probed);
        mix(d, p->recovery);
        mix(d, r->past[i].life);
        mix(d, r->past[i].barrier_low);
        mix(d, (uint64_t)r->past[i].probed_since);
        mix(d, p->suspected);
    }
}

uint64_t raft_digest(const void *self)
{
    const struct raft *r = self;
    uint64_t d = 0;
    mix(&d, r->me);
    mix(&d, r->forgetful);
    mix(&d, r->life);
    mix(&d, r->rng.state);
    mix(&d, (uint64_t)r->now);
    mix_role(&d, r);
    mix_log(&d, r);
    mix_members(&d, &r->members);
    mix_members(&d, &r->before);
    mix_leader(&d, r);
    return d;
}

/* --- Trace points --------------------------------------------------------------------------- */

static const char *sentence_of(uint16_t point)
{
    switch (point) {
#define POINT(tag, NAME, sentence) \
    case tag:                      \
        return sentence;
#include "protocol/raft/raft_traces.def"
#undef POINT
    }
    return "unknown trace point";
}

void raft_trace_text(uint16_t point, const uint64_t argument[3], struct text *out)
{
    for (const char *s = sentence_of(point); *s != 0; s++) {
        if (s[0] == '%' && s[1] >= '0' && s[1] <= '2') {
            text_u64(out, argument[*++s - '0']);
        } else if (s[0] == '{' && s[1] >= '0' && s[1] <= '2') {
            put_set(out, "{", (uint32_t)argument[*++s - '0']);
        } else {
            text_char(out, *s);
        }
    }
}
