/* What an instance says about itself: one line for people, its digest, its trace points. */
#include "protocol/primary/state.h"

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

static void put_set(struct text *out, const char *name, uint32_t set)
{
    text_put(out, name);
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        text_put(out, rest == set ? "" : ",");
        text_u64(out, set_first(rest));
    }
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
    put_set(out, " members=", v->members);
    if (v->learners != 0) {
        put_set(out, " learners=", v->learners);
    }
    if (v->set != 0) {
        put_set(out, " set=", v->set);
    }
    text_field(out, "copies", v->copies);
    put_if(out, v->stage == ACK_RECEIVED, " received");
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
    put_if(out, p->leased, " leased");
    put_if(out, p->forgetful, " forgetful");
    put_if(out, p->barred, " barred");
    put_if(out, p->transfer_closed, " closed");
}

/* --- Digest --------------------------------------------------------------------------------- */

static void mix(uint64_t *digest, uint64_t v)
{
    struct rng rng = rng_from(*digest ^ v);
    *digest = rng_next(&rng);
}

static void mix_log(uint64_t *d, const struct primary *p)
{
    mix(d, p->trail.base_slot);
    mix(d, p->trail.base_term);
    mix(d, p->trail.last_slot);
    for (uint32_t i = 0; i < p->trail.count; i++) {
        mix(d, trail_run(&p->trail, i).slot);
        mix(d, trail_run(&p->trail, i).term);
    }
    mix(d, p->journal.minted);
    mix(d, p->journal.durable);
    mix(d, p->journal.durable_slot);
    for (uint32_t i = 0; i < p->journal.count; i++) {
        mix(d, p->journal.marks[i].ticket);
        mix(d, p->journal.marks[i].slot);
    }
    mix(d, p->commit);
    mix(d, p->applied);
    mix(d, p->trimmed);
    mix(d, p->checkpoint);
    mix(d, p->floor);
    mix(d, p->own);
    mix(d, p->matched);
    mix(d, (uint64_t)p->echo);
}

static void mix_view(uint64_t *d, const struct view *v)
{
    mix(d, v->term);
    mix(d, v->primary);
    mix(d, v->members);
    mix(d, v->learners);
    mix(d, v->set);
    mix(d, v->copies);
    mix(d, v->stage);
    mix(d, v->whole);
}

static void mix_role(uint64_t *d, const struct primary *p)
{
    mix(d, p->term);
    mix(d, p->state_ticket);
    mix(d, p->phase);
    mix(d, p->leader);
    mix(d, p->life);
    mix(d, p->forgetful);
    mix(d, p->leased);
    mix(d, p->led);
    mix(d, p->barred);
    mix(d, p->informed);
    mix(d, p->exact);
    mix(d, p->local);
    mix_view(d, &p->view);
}

static void mix_peer(uint64_t *d, const struct peer *peer)
{
    mix(d, peer->match);
    mix(d, peer->got);
    mix(d, peer->next);
    mix(d, peer->barrier);
    mix(d, (uint64_t)peer->heard);
    mix(d, (uint64_t)peer->echoed);
    mix(d, (uint64_t)peer->since);
    mix(d, (uint64_t)peer->acked_at);
    mix(d, (uint64_t)peer->probed_since);
    mix(d, peer->life);
    mix(d, peer->in_flight);
    mix(d, peer->mode);
    mix(d, peer->probed);
    mix(d, peer->unasked);
    mix(d, peer->forgetful);
}

static void mix_primary(uint64_t *d, const struct primary *p)
{
    mix(d, p->term_start);
    mix(d, (uint64_t)p->heartbeat_due);
    mix(d, (uint64_t)p->leads_since);
    mix(d, p->feed);
    mix(d, p->transfer_to);
    mix(d, p->transfer_paused);
    mix(d, p->transfer_closed);
    mix(d, p->transfer_req);
    mix(d, (uint64_t)p->transfer_due);
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        mix_peer(d, &p->peer[set_first(rest)]);
    }
}

uint64_t primary_digest(const void *self)
{
    const struct primary *p = self;
    uint64_t d = 0;
    mix(&d, p->me);
    mix(&d, p->rng.state);
    mix(&d, (uint64_t)p->now);
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
