/* What a seed of primary/backup draws on top of draw.c: the rule, the council's troubles, and those
 * of the protocol's own kind. Drawn apart from the rest. */
#include "sim/council.h"

#include "protocol/primary/primary.h"

#define OPTIONS_SALT 7101
#define PLAN_SALT 7102
#define ZONES_SALT 7103

enum mode { MODE_ANY_OF_THEM = 0, MODE_ASYNC, MODE_ANY, MODE_ALL, MODE_SET, MODES };
#define RECEIVED 16u
#define FED 32u
#define EVERYSEC 64u
#define APPLIED 128u

static const char *const names[MODES] = { "", ":async", ":any", ":all", ":set" };

/* Whether the name ends so; then without it. */
static bool cut(struct span *name, const char *suffix)
{
    size_t n = strlen(suffix);
    bool ends = name->n > n && memcmp(name->p + name->n - n, suffix, n) == 0;
    name->n -= ends ? n : 0;
    return ends;
}

unsigned council_mode(const char *strategy)
{
    if (strncmp(strategy, "primary", 7) != 0) {
        return 0;
    }
    struct span name = span_of(strategy + 7, strlen(strategy + 7));
    unsigned more = cut(&name, "-fed") ? FED : 0;
    more |= cut(&name, "-received") ? RECEIVED : 0;
    more |= cut(&name, "-applied") ? APPLIED : 0;
    more |= cut(&name, "-everysec") ? RECEIVED | EVERYSEC : 0;
    for (unsigned i = 0; i < MODES; i++) {
        if (strlen(names[i]) == name.n && memcmp(name.p, names[i], name.n) == 0 &&
            (i != 0 || more == 0)) {
            return 1 + i + more;
        }
    }
    return 0;
}

const struct protocol *council_protocol(const char *strategy)
{
    static const struct protocol *const all[] = { &primary_async_protocol, &primary_semi_protocol,
                                                  &primary_sync_protocol };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (strcmp(strategy, all[i]->name) == 0) {
            return all[i];
        }
    }
    unsigned mode = council_mode(strategy);
    enum mode kind = (enum mode)((mode - 1) % RECEIVED);
    return mode == 0 ? NULL : kind == MODE_ASYNC ? all[0] : kind == MODE_ANY ? all[1] : all[2];
}

/* --- options ---------------------------------------------------------------------------------- */

static uint64_t between(struct rng *r, uint64_t lo, uint64_t hi)
{
    return lo + rng_below(r, hi - lo + 1);
}

static void draw_rule(struct rng *r, enum mode mode, struct options *o)
{
    o->copies = 0;
    o->whole = 0;
    switch (mode) {
    case MODE_ANY:
        o->copies = rng_chance(r, 2, 3) ? 1 : between(r, 1, o->nodes - 1);
        break;
    case MODE_ALL:
        o->whole = WHOLE_ALL;
        break;
    case MODE_SET:
        o->whole = between(r, 1, o->nodes - 1);
        break;
    default:
        break;
    }
}

/* Some are in zones with one or two others; or of all but the primary one feeds the others. */
static void draw_zones(uint64_t seed, struct options *o)
{
    struct rng r = rng_from(seed * 0x9e3779b97f4a7c15u + ZONES_SALT);
    o->nodes = between(&r, 3, 7);
    o->zones = 1;
    if (rng_chance(&r, 1, 2)) {
        return;
    }
    o->zones = 0;
    for (node_index i = 0; i < o->nodes; i++) {
        o->zones |= between(&r, 0, o->nodes / 2) << (4 * i);
    }
}

void council_draw_options(uint64_t seed, unsigned mode, struct options *out)
{
    struct rng r = rng_from(seed * 0x9e3779b97f4a7c15u + OPTIONS_SALT);
    enum mode kind = (enum mode)((mode - 1) % RECEIVED);
    uint64_t stage = rng_below(&r, 4);
    out->received = ((mode - 1) & RECEIVED) != 0 || (kind == MODE_ANY_OF_THEM && stage == 0);
    out->applied = ((mode - 1) & APPLIED) != 0;
    out->everysec = ((mode - 1) & EVERYSEC) != 0;
    if (kind == MODE_ANY_OF_THEM) {
        kind = (enum mode)between(&r, MODE_ASYNC, MODE_SET);
    }
    static const uint8_t sizes[] = { 2, 3, 3, 3, 3, 4, 5, 5, 7 };
    out->nodes = sizes[rng_below(&r, sizeof sizes)];
    out->council = 1;
    out->operators = out->joiners = out->damages = out->elections = 0;
    out->quiet_after = out->lease_reads = 0;
    out->follower_reads = 0;
    out->duration = between(&r, 8000, 16000) * 1000; /* a failover takes a lease */
    if (((mode - 1) & FED) != 0) {
        draw_zones(seed, out);
    }
    draw_rule(&r, kind, out);
}

/* --- the plan --------------------------------------------------------------------------------- */

struct drawing {
    struct rng rng;
    const struct options *o;
    struct plan *plan;
    qr_time at;
};

static void add(struct drawing *d, qr_time later, enum action_kind kind, int64_t a, int64_t b)
{
    plan_add(d->plan, (struct action){ .at = d->at + later, .kind = kind, .a = a, .b = b });
}

static int64_t some_node(struct drawing *d)
{
    return (int64_t)rng_below(&d->rng, d->o->nodes);
}

/* About as long as a lease: half of them are over before it is gone. */
static qr_time while_leased(struct drawing *d)
{
    return (qr_time)between(&d->rng, 1, 2600) * 1000;
}

static void draw_away(struct drawing *d)
{
    add(d, 0, ACTION_AWAY, 0, while_leased(d));
}

/* The primary, or somebody, hears nothing of the council and is heard by all others. */
static void draw_deaf(struct drawing *d)
{
    add(d, 0, ACTION_CUT_COUNCIL, (int64_t)rng_below(&d->rng, 1u << d->o->nodes), 0);
    add(d, while_leased(d), ACTION_CUT_COUNCIL, 0, 0);
}

static void draw_hand_over(struct drawing *d)
{
    add(d, 0, ACTION_TRANSFER, some_node(d), 0);
    switch (rng_below(&d->rng, 4)) { /* and in the middle of it ... */
    case 0:
        add(d, (qr_time)rng_below(&d->rng, 60000), ACTION_CRASH_LEADER,
            (int64_t)rng_below(&d->rng, 2), 0);
        break;
    case 1:
        add(d, (qr_time)rng_below(&d->rng, 60000), ACTION_AWAY, 0, while_leased(d));
        break;
    default:
        return;
    }
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, while_leased(d), ACTION_RESTART, i, 0);
    }
}

static void draw_rule_change(struct drawing *d)
{
    bool set = rng_chance(&d->rng, 1, 2);
    add(d, 0, ACTION_RULE, set ? 0 : (int64_t)between(&d->rng, 1, d->o->nodes - 1),
        !set                        ? 0
        : rng_chance(&d->rng, 1, 3) ? (int64_t)WHOLE_ALL
                                    : (int64_t)between(&d->rng, 1, d->o->nodes - 1));
}

static void draw_members(struct drawing *d)
{
    add(d, 0, ACTION_MEMBERS, (int64_t)between(&d->rng, 1, (1u << d->o->nodes) - 1), 0);
}

static void draw_wipe(struct drawing *d)
{
    int64_t node = some_node(d);
    add(d, 0, ACTION_WIPE, node, 0);
    add(d, while_leased(d), ACTION_RESTART, node, 0);
}

static void draw_damage(struct drawing *d)
{
    int64_t node = some_node(d);
    plan_add(d->plan, (struct action){ .at = d->at,
                                       .kind = ACTION_DAMAGE,
                                       .a = node,
                                       .b = (int64_t)between(&d->rng, 1, 40),
                                       .c = (int64_t)rng_below(&d->rng, 3) });
    add(d, while_leased(d), ACTION_RESTART, node, 0);
}

/* It is cut off from the members and the council and goes on taking writes for a while; when it is
 * back, somebody else leads. */
static void draw_deposed(struct drawing *d)
{
    add(d, 0, ACTION_ISOLATE_LEADER, 0, 0);
    add(d, (qr_time)between(&d->rng, 1200, 3500) * 1000, ACTION_HEAL, 0, 0);
}

typedef void draw_trouble(struct drawing *d);
/* The first is there in all worlds; behind the first MILD of them disks are lost. */
#define MILD 6u
static draw_trouble *const troubles[] = {
    draw_deposed,     draw_away,    draw_deaf, draw_hand_over,
    draw_rule_change, draw_members, draw_wipe, draw_damage,
};

static bool is_death(const struct action *x)
{
    return x->kind == ACTION_CRASH || x->kind == ACTION_POWER || x->kind == ACTION_CRASH_LEADER ||
           x->kind == ACTION_CRASH_IN || x->kind == ACTION_CRASH_VOTER || x->kind == ACTION_HARASS;
}

/* Where each death is one that forgets, few of them end a world. With everysec only those forget
 * that come with a loss of power. */
static void spare(struct drawing *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->plan->n; i++) {
        const struct action *x = &d->plan->v[i];
        bool written = d->o->everysec != 0 && x->kind != ACTION_POWER;
        bool stays = !is_death(x) || rng_chance(&d->rng, 1, 12);
        if (stays || (written && rng_chance(&d->rng, 1, x->kind == ACTION_CRASH ? 2 : 6))) {
            d->plan->v[kept++] = *x;
        }
    }
    d->plan->n = kept;
}

void council_draw_plan(uint64_t seed, const struct options *o, struct plan *out)
{
    struct drawing d = { .rng = rng_from(seed * 0xd1342543de82ef95u + PLAN_SALT),
                         .o = o,
                         .plan = out };
    draw_trouble *on[ARRAY_COUNT(troubles)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(troubles); i++) {
        if (rng_chance(&d.rng, 1, i == 0 ? 1 : i < MILD ? 2 : 5)) {
            on[n++] = troubles[i];
        }
    }
    if (o->received != 0) {
        spare(&d);
    }
    uint64_t gap = o->duration / between(&d.rng, 4, 14);
    d.at = 300000;
    while (d.at < (qr_time)o->duration) {
        on[rng_below(&d.rng, n)](&d);
        d.at += 1 + (qr_time)rng_below(&d.rng, gap);
    }
}
