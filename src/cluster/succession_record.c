/* A succession in its record. Layout of version 1, after the version byte:
 *
 *   succession  term u64, primary u8, before u8, preferred u8, flags u8 (bit 0 fenced, 1 fallen,
 *               2 a loss, 3 of what was promised more than LOCAL, 4 forgot, 5 losses are counted),
 *               stage u8,
 *               learners u16, life u64, settled u64, rule, duties u8, and each duty:
 *               rule, primaries u16, last u64; at its end a loss: through u64, term u64, slot u64,
 *               and forgot u64 (both from MAP_LEVEL_COPIES on); from MAP_LEVEL_FOLLOWERS on
 *               losses: count u16, listed u8, and each of those: term u64, kept u64
 *   rule        members u16, set u16, copies u8 */
#include "base/panic.h"
#include "base/wire.h"
#include "cluster/records.h"

#define LAYOUT 1
#define FLAG_FENCED 1u
#define FLAG_FALLEN 2u
#define FLAG_LOSS 4u
#define FLAG_PROMISED_MORE 8u
#define FLAG_FORGOT 16u
#define FLAG_COUNTED 32u
#define FLAGS 63u

static void put_rule(struct wire_writer *w, const struct succession_rule *rule)
{
    wire_put_u16(w, rule->members);
    wire_put_u16(w, rule->set);
    wire_put_u8(w, rule->copies);
}

static uint8_t flags_of(const struct succession *s)
{
    return (uint8_t)((s->fenced ? FLAG_FENCED : 0) | (s->fallen ? FLAG_FALLEN : 0) |
                     (s->loss.possible ? FLAG_LOSS : 0) |
                     (s->loss.promised_more ? FLAG_PROMISED_MORE : 0) |
                     (s->forgot != 0 ? FLAG_FORGOT : 0) |
                     (s->losses.counted ? FLAG_COUNTED : 0));
}

static void put_losses(struct wire_writer *w, const struct lineage *losses)
{
    wire_put_u16(w, losses->count);
    wire_put_u8(w, losses->listed);
    for (uint32_t i = 0; i < losses->listed; i++) {
        wire_put_u64(w, losses->last[i].term);
        wire_put_u64(w, losses->last[i].kept);
    }
}

/* In order of their terms. */
static bool get_losses(struct wire_reader *r, struct lineage *losses)
{
    *losses = (struct lineage){ .counted = true, .count = wire_get_u16(r) };
    losses->listed = wire_get_u8(r);
    bool sound = losses->listed <= LOSSES_LISTED && losses->listed <= losses->count &&
                 (losses->listed > 0 || losses->count == 0);
    for (uint32_t i = 0; sound && i < losses->listed; i++) {
        struct loss_kept *at = &losses->last[i];
        at->term = wire_get_u64(r);
        at->kept = wire_get_u64(r);
        sound = at->kept <= POSITION_SLOTS && (i == 0 || at[-1].term < at->term);
    }
    return sound;
}

static void get_rule(struct wire_reader *r, struct succession_rule *rule)
{
    rule->members = wire_get_u16(r);
    rule->set = wire_get_u16(r);
    rule->copies = wire_get_u8(r);
}

size_t map_succession_write(const struct succession *s, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, MAP_VALUE_BYTES_MAX);
    qr_assert(s->duty_count <= SUCCESSION_DUTIES_MAX);
    wire_put_u8(&w, LAYOUT);
    wire_put_u64(&w, s->term);
    wire_put_u8(&w, s->primary);
    wire_put_u8(&w, s->before);
    wire_put_u8(&w, s->preferred);
    wire_put_u8(&w, flags_of(s));
    wire_put_u8(&w, s->stage);
    wire_put_u16(&w, s->learners);
    wire_put_u64(&w, s->life);
    wire_put_u64(&w, s->settled);
    put_rule(&w, &s->rule);
    wire_put_u8(&w, s->duty_count);
    for (uint32_t i = 0; i < s->duty_count; i++) {
        put_rule(&w, &s->duty[i].rule);
        wire_put_u16(&w, s->duty[i].primaries);
        wire_put_u64(&w, s->duty[i].last);
    }
    if (s->loss.possible) {
        wire_put_u64(&w, s->loss.through);
        wire_put_u64(&w, s->loss.term);
        wire_put_u64(&w, s->loss.slot);
    }
    if (s->forgot != 0) {
        wire_put_u64(&w, s->forgot);
    }
    if (s->losses.counted) {
        put_losses(&w, &s->losses);
    }
    qr_assert(!w.bad);
    return w.n;
}

/* --- What can be ------------------------------------------------------------------------------ */

static bool is_set(uint16_t nodes)
{
    return nodes >> MEMBERS_MAX == 0;
}

static bool is_node(node_index node)
{
    return node < MEMBERS_MAX || node == NODE_NONE;
}

static bool is_sound_rule(const struct succession_rule *rule)
{
    return rule->members != 0 && is_set(rule->members) && (rule->set & ~rule->members) == 0 &&
           (rule->set == 0 || rule->copies == 0) && rule->copies < MEMBERS_MAX;
}

static bool are_sound_duties(const struct succession *s)
{
    bool sound = true;
    for (uint32_t i = 0; i < s->duty_count; i++) {
        const struct succession_duty *duty = &s->duty[i];
        sound = sound && is_sound_rule(&duty->rule) && duty->primaries != 0 &&
                is_set(duty->primaries) && duty->last > 0 && duty->last <= s->term;
    }
    return sound;
}

static bool is_sound(const struct succession *s)
{
    bool nodes = is_node(s->primary) && is_node(s->before) && is_node(s->preferred) &&
                 (s->primary == NODE_NONE || (s->rule.members >> s->primary & 1) != 0);
    return s->term > 0 && s->settled <= s->term && nodes &&
           (s->loss.possible || !s->loss.promised_more) && s->stage < ACK_STAGES &&
           is_set(s->learners) && (s->learners & s->rule.members) == 0 && is_sound_rule(&s->rule) &&
           are_sound_duties(s);
}

enum map_status map_succession_read(struct span in, struct succession *out)
{
    struct wire_reader r = wire_reader(in);
    uint8_t layout = wire_get_u8(&r);
    if (r.bad || layout != LAYOUT) {
        return r.bad || layout == 0 ? MAP_BAD : MAP_NEWER;
    }
    struct succession s = { .term = wire_get_u64(&r) };
    s.primary = wire_get_u8(&r);
    s.before = wire_get_u8(&r);
    s.preferred = wire_get_u8(&r);
    uint8_t flags = wire_get_u8(&r);
    s.fenced = (flags & FLAG_FENCED) != 0;
    s.fallen = (flags & FLAG_FALLEN) != 0;
    s.loss.possible = (flags & FLAG_LOSS) != 0;
    s.loss.promised_more = (flags & FLAG_PROMISED_MORE) != 0;
    s.stage = wire_get_u8(&r);
    s.learners = wire_get_u16(&r);
    s.life = wire_get_u64(&r);
    s.settled = wire_get_u64(&r);
    get_rule(&r, &s.rule);
    s.duty_count = wire_get_u8(&r);
    if ((flags & ~FLAGS) != 0 || s.duty_count > SUCCESSION_DUTIES_MAX) {
        return MAP_BAD;
    }
    for (uint32_t i = 0; i < s.duty_count; i++) {
        get_rule(&r, &s.duty[i].rule);
        s.duty[i].primaries = wire_get_u16(&r);
        s.duty[i].last = wire_get_u64(&r);
    }
    if (s.loss.possible) {
        s.loss.through = wire_get_u64(&r);
        s.loss.term = wire_get_u64(&r);
        s.loss.slot = wire_get_u64(&r);
    }
    bool forgot = (flags & FLAG_FORGOT) != 0;
    s.forgot = forgot ? wire_get_u64(&r) : 0;
    bool counts = (flags & FLAG_COUNTED) == 0 || get_losses(&r, &s.losses);
    *out = s;
    bool sound = counts && is_sound(&s) && forgot == (s.forgot != 0) && s.forgot <= s.term;
    return wire_finished(&r) && sound ? MAP_OK : MAP_BAD;
}
