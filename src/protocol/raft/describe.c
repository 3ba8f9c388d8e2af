/* What an instance says about itself: one line for people, its digest, its trace points. */
#include "protocol/raft/state.h"

#include "protocol/describe.h"

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

static void put_some(struct text *out, const char *name, uint32_t set)
{
    if (set != 0) {
        describe_set(out, name, set);
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

static void mix_log(uint64_t *d, const struct raft *r)
{
    describe_mix_log(d, &r->trail, &r->journal);
    describe_mix(d, r->commit);
    describe_mix(d, r->applied);
    describe_mix(d, r->trimmed);
    describe_mix(d, r->checkpoint);
    describe_mix(d, r->floor);
}

static void mix_members(uint64_t *d, const struct membership_at *at)
{
    describe_mix(d, at->slot);
    describe_mix(d, at->members.voters);
    describe_mix(d, at->members.outgoing);
    describe_mix(d, at->members.learners);
    describe_mix(d, at->members.observers);
}

static void mix_role(uint64_t *d, const struct raft *r)
{
    describe_mix(d, r->term);
    describe_mix(d, r->vote);
    describe_mix(d, r->state_ticket);
    describe_mix(d, r->phase);
    describe_mix(d, r->read_mode);
    describe_mix(d, r->leader);
    describe_mix(d, r->leader_closed);
    describe_mix(d, (uint64_t)r->closed_until);
    describe_mix(d, (uint64_t)r->leader_heard);
    describe_mix(d, r->matched);
    describe_mix(d, (uint64_t)r->promise_until);
    describe_mix(d, (uint64_t)r->election_due);
    describe_mix(d, (uint64_t)r->skewed_until);
    describe_mix(d, r->stands_back);
    describe_mix(d, r->votes);
    describe_mix(d, r->vote_ticket);
    describe_mix(d, (uint64_t)r->rival_until);
    describe_mix(d, r->called);
    describe_mix(d, r->quiet);
    describe_mix(d, r->away);
    describe_mix(d, r->hushed);
    describe_mix(d, (uint64_t)r->hush_since);
    describe_mix(d, (uint64_t)r->active);
    describe_mix(d, (uint64_t)r->woken);
}

static void mix_leader(uint64_t *d, const struct raft *r)
{
    describe_mix(d, r->term_start);
    describe_mix(d, r->barrier);
    describe_mix(d, (uint64_t)r->heartbeat_due);
    describe_mix(d, (uint64_t)r->beaten);
    describe_mix(d, r->hurries ? r->hurried : 0);
    describe_mix(d, (uint64_t)r->patient_from);
    describe_mix(d, (uint64_t)r->lease_given);
    describe_mix(d, r->lease_barred);
    describe_mix(d, r->transfer_sent);
    describe_mix(d, r->transfer_closed);
    describe_mix(d, r->stood_back);
    describe_mix(d, r->transfer_req);
    describe_mix(d, r->leaving);
    describe_mix(d, (uint64_t)r->leaving_since);
    describe_mix(d, r->change_req);
    describe_mix(d, r->retiring);
    describe_mix(d, r->caught_up);
    describe_mix(d, r->learner);
    describe_mix(d, r->learner_slot);
    describe_mix(d, (uint64_t)r->learner_since);
    describe_mix(d, r->transfer_to);
    describe_mix(d, (uint64_t)r->transfer_due);
    describe_mix(d, r->round);
    describe_mix(d, r->announced);
    describe_mix(d, r->round_used);
    describe_mix(d, r->asked);
    describe_mix(d, (uint64_t)r->ask_due);
    describe_mix(d, r->told);
    describe_mix(d, r->informed);
    for (uint32_t i = 0; i < r->read_count; i++) {
        describe_mix(d, r->reads[i].from);
        describe_mix(d, r->reads[i].first);
        describe_mix(d, r->reads[i].count);
        describe_mix(d, r->reads[i].round);
        describe_mix(d, r->reads[i].slot);
    }
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        const struct peer *p = &r->peer[i];
        describe_mix(d, p->match);
        describe_mix(d, p->next);
        describe_mix(d, p->round_sent);
        describe_mix(d, p->round_echoed);
        describe_mix(d, (uint64_t)p->heard);
        describe_mix(d, (uint64_t)p->echoed);
        describe_mix(d, (uint64_t)p->lease_from);
        describe_mix(d, p->in_flight);
        describe_mix(d, (uint64_t)p->skew_ms);
        describe_mix(d, p->mode);
        describe_mix(d, p->probed);
        describe_mix(d, p->recovery);
        describe_mix(d, r->past[i].life);
        describe_mix(d, r->past[i].barrier_low);
        describe_mix(d, (uint64_t)r->past[i].probed_since);
        describe_mix(d, p->suspected);
    }
}

uint64_t raft_digest(const void *self)
{
    const struct raft *r = self;
    uint64_t d = 0;
    describe_mix(&d, r->me);
    describe_mix(&d, r->forgetful);
    describe_mix(&d, r->life);
    describe_mix(&d, r->rng.state);
    describe_mix(&d, (uint64_t)r->now);
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
    describe_point(sentence_of(point), argument, out);
}
