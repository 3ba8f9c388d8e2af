/* What an instance says about itself: one line for people, its digest, its trace points. */
#include "protocol/primary/state.h"

#include "protocol/describe.h"

static const char *phase_name(uint8_t phase)
{
    switch (phase) {
    case PHASE_FOLLOWER:
        return "follower";
    case PHASE_STANDING:
        return "standing";
    case PHASE_PRIMARY:
        return "primary";
    }
    qr_unreachable();
}

static void put_if(struct text *out, bool flag, const char *word)
{
    text_put(out, flag ? word : "");
}

static void put_view(struct text *out, const struct view *v)
{
    if (v->term == 0) {
        return;
    }
    text_field(out, "view", v->term);
    describe_set(out, " members=", v->members);
    if (v->learners != 0) {
        describe_set(out, " learners=", v->learners);
    }
    if (v->set != 0) {
        describe_set(out, " set=", v->set);
    }
    text_field(out, "copies", v->copies);
    put_if(out, v->stage == ACK_RECEIVED, " received");
    put_if(out, v->stage == ACK_APPLIED, " applied");
}

void primary_describe(const void *self, struct text *out)
{
    const struct primary *p = self;
    text_put(out, phase_name(p->phase));
    text_field(out, "term", p->term);
    text_field(out, "commit", p->commit);
    text_field(out, "last", p->trail.last_slot);
    text_field(out, "durable", p->journal.durable_slot);
    if (p->leader != NODE_NONE) {
        text_field(out, "primary", p->leader);
    }
    if (p->transfer_to != NODE_NONE) {
        text_field(out, "transfer_to", p->transfer_to);
    }
    put_view(out, &p->view);
    if (p->phase != PHASE_PRIMARY && p->feed != 0) {
        describe_set(out, " feeds=", p->feed);
    }
    if (p->fed != 0) {
        describe_set(out, " fed=", p->fed);
    }
    put_if(out, p->leased, " leased");
    put_if(out, p->forgetful, " forgetful");
    put_if(out, p->barred, " barred");
    put_if(out, p->transfer_closed, " closed");
}

/* --- Digest --------------------------------------------------------------------------------- */

static void mix_log(uint64_t *d, const struct primary *p)
{
    describe_mix_log(d, &p->trail, &p->journal);
    describe_mix(d, p->commit);
    describe_mix(d, p->applied);
    describe_mix(d, p->trimmed);
    describe_mix(d, p->checkpoint);
    describe_mix(d, p->executed);
    describe_mix(d, p->proven);
    describe_mix(d, p->told);
    describe_mix(d, p->asked);
    describe_mix(d, (uint64_t)p->ask_due);
    describe_mix(d, p->ask_count);
    describe_mix(d, p->floor);
    describe_mix(d, p->forgot);
    describe_mix(d, p->own);
    describe_mix(d, p->matched);
    describe_mix(d, (uint64_t)p->echo);
}

static void mix_view(uint64_t *d, const struct view *v)
{
    describe_mix(d, v->term);
    describe_mix(d, v->primary);
    describe_mix(d, v->members);
    describe_mix(d, v->learners);
    describe_mix(d, v->set);
    describe_mix(d, v->copies);
    describe_mix(d, v->stage);
    describe_mix(d, v->forgot);
    describe_mix(d, v->whole);
}

static void mix_role(uint64_t *d, const struct primary *p)
{
    describe_mix(d, p->term);
    describe_mix(d, p->state_ticket);
    describe_mix(d, p->phase);
    describe_mix(d, p->leader);
    describe_mix(d, p->life);
    describe_mix(d, p->forgetful);
    describe_mix(d, p->leased);
    describe_mix(d, p->led);
    describe_mix(d, p->barred);
    describe_mix(d, p->informed);
    describe_mix(d, p->exact);
    describe_mix(d, p->local);
    mix_view(d, &p->view);
}

static void mix_peer(uint64_t *d, const struct peer *peer)
{
    describe_mix(d, peer->match);
    describe_mix(d, peer->got);
    describe_mix(d, peer->next);
    describe_mix(d, peer->barrier);
    describe_mix(d, peer->executed);
    describe_mix(d, (uint64_t)peer->heard);
    describe_mix(d, (uint64_t)peer->echoed);
    describe_mix(d, (uint64_t)peer->since);
    describe_mix(d, (uint64_t)peer->acked_at);
    describe_mix(d, (uint64_t)peer->probed_since);
    describe_mix(d, peer->life);
    describe_mix(d, peer->in_flight);
    describe_mix(d, peer->mode);
    describe_mix(d, peer->probed);
    describe_mix(d, peer->unasked);
    describe_mix(d, peer->forgetful);
    describe_mix(d, peer->feeder);
    describe_mix(d, peer->fed_got);
    describe_mix(d, (uint64_t)peer->fed_at);
    describe_mix(d, (uint64_t)peer->alone_till);
}

static void mix_primary(uint64_t *d, const struct primary *p)
{
    describe_mix(d, p->term_start);
    describe_mix(d, p->commit_told);
    describe_mix(d, (uint64_t)p->heartbeat_due);
    describe_mix(d, (uint64_t)p->leads_since);
    describe_mix(d, p->feed);
    describe_mix(d, p->fed);
    describe_mix(d, p->zones);
    describe_mix(d, (uint64_t)p->feeds_till);
    describe_mix(d, p->transfer_to);
    describe_mix(d, p->transfer_paused);
    describe_mix(d, p->transfer_closed);
    describe_mix(d, p->transfer_req);
    describe_mix(d, (uint64_t)p->transfer_due);
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        mix_peer(d, &p->peer[set_first(rest)]);
    }
}

uint64_t primary_digest(const void *self)
{
    const struct primary *p = self;
    uint64_t d = 0;
    describe_mix(&d, p->me);
    describe_mix(&d, p->rng.state);
    describe_mix(&d, (uint64_t)p->now);
    mix_role(&d, p);
    mix_log(&d, p);
    mix_primary(&d, p);
    return d;
}

/* --- Trace points --------------------------------------------------------------------------- */

static const char *sentence_of(uint16_t point)
{
    switch (point) {
#define POINT(tag, NAME, sentence) \
    case tag:                      \
        return sentence;
#include "protocol/primary/primary_traces.def"
#undef POINT
    }
    return "unknown trace point";
}

void primary_trace_text(uint16_t point, const uint64_t argument[3], struct text *out)
{
    describe_point(sentence_of(point), argument, out);
}
