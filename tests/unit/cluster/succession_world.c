#include "succession_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool chance(struct world *w, uint32_t part, uint32_t whole)
{
    return rng_chance(&w->rng, part, whole);
}

static node_index any(struct world *w)
{
    return (node_index)rng_below(&w->rng, NODES);
}

static uint16_t bit(node_index i)
{
    return (uint16_t)(1u << i);
}

static const struct view *view_of(const struct world *w, const struct node *n)
{
    return &w->views[n->known];
}

/* --- The oracle ------------------------------------------------------------------------------- */

/* An acknowledged operation that a primary lacks: that must have been told. */
static void assert_told(struct world *w, struct operation *o, const struct succession_loss *loss)
{
    bool behind = o->by > loss->term || (o->by == loss->term && o->slot > loss->slot);
    bool told = loss->possible && behind && o->by <= loss->through;
    if (!told || (!o->local && !loss->promised_more)) {
        fail_msg("seed %lu: slot %lu, acknowledged in term %lu, is lost", w->seed, o->slot, o->by);
    }
    o->lost = true;
}

static void acknowledge(struct world *w, uint32_t id, bool local, qr_term term)
{
    struct operation *o = &w->operation[id];
    o->acked = true;
    o->by = term;
    o->local = local;
    w->seen->acked++;
    for (uint32_t i = 0; i < w->choices; i++) {
        const struct choice *c = &w->choice[i];
        if (c->term > term && (c->holds[id / 8] >> id % 8 & 1) == 0 && !o->lost) {
            assert_told(w, o, &c->loss);
        }
    }
}

static void choose(struct world *w, const struct succession_action *a)
{
    const struct node *n = &w->node[a->next.primary];
    struct choice *c = &w->choice[w->choices++];
    *c = (struct choice){ .term = a->next.term, .loss = a->loss };
    for (qr_slot s = 1; s <= n->last; s++) {
        c->holds[n->log[s].id / 8] |= (uint8_t)(1u << n->log[s].id % 8);
    }
    for (uint32_t id = 1; id <= w->operations; id++) {
        struct operation *o = &w->operation[id];
        if (o->acked && !o->lost && (c->holds[id / 8] >> id % 8 & 1) == 0) {
            assert_told(w, o, &a->loss);
        }
    }
    w->seen->chosen++;
    w->seen->lossy += a->loss.possible;
    w->seen->forced += a->loss.promised_more;
}

/* --- Group 0 ---------------------------------------------------------------------------------- */

static void note_view(struct world *w)
{
    w->views[++w->view_count] = succession_view(&w->record);
    w->lives[w->view_count] = w->record.life;
}

static void write_down(struct world *w, const struct succession_action *a)
{
    bool chosen = w->record.primary == NODE_NONE && a->next.primary != NODE_NONE;
    bool told = a->reason == SUCCESSION_SETTLED;
    assert_true(told ? a->next.term == w->record.term : true);
    assert_true(a->next.term >= w->record.term);
    if (chosen) {
        choose(w, a);
        w->order = SUCCESSION_NO_ORDER;
    }
    w->seen->settled += told;
    w->seen->fell += a->reason == SUCCESSION_FELL_BACK;
    w->seen->restored += a->reason == SUCCESSION_RESTORED;
    w->seen->replaced += a->reason == SUCCESSION_REPLACED;
    w->seen->restarted += a->reason == SUCCESSION_RESTARTED;
    w->seen->handed += a->reason == SUCCESSION_HANDED_OVER;
    w->seen->members += a->reason == SUCCESSION_MEMBERS;
    w->record = a->next;
    if (!told) {
        note_view(w);
    }
}

static bool holds_all_of(const struct node *n, const struct node *primary, qr_slot upto)
{
    return n->last >= upto && n->log[upto].term == primary->log[upto].term;
}

/* ADMIN_TRANSFER, where it can be carried out at once. */
static void hand_over(struct world *w, node_index to)
{
    struct node *p = &w->node[w->record.primary], *x = &w->node[to];
    if (p->up && p->leads && x->up && p->commit == p->last && p->match[to] == p->last) {
        p->closed = true;
        p->closed_for = to;
    }
}

static struct succession_scene scene_of(struct world *w)
{
    node_index holder = w->record.primary == NODE_NONE ? w->record.before : w->record.primary;
    struct succession_scene s = { .caught = w->caught,
                                  .lease_over = holder < NODES && (w->over >> holder & 1) != 0,
                                  .grace_over = chance(w, 1, 4),
                                  .order = w->order,
                                  .to = w->to };
    memcpy(s.told, w->told, sizeof s.told);
    for (node_index i = 0; i < NODES; i++) {
        s.alive |= w->node[i].up ? bit(i) : 0;
        s.lost |= !w->node[i].up && chance(w, 1, 2) ? bit(i) : 0;
    }
    return s;
}

static void assert_explained(const struct world *w, const struct succession_action *a)
{
    static const uint64_t ids[MEMBERS_MAX] = { 11, 12, 13, 14, 15, 16 };
    char line[SUCCESSION_TEXT_BYTES];
    struct text text = text_in(line, sizeof line);
    succession_explain(&text, &w->record, a, ids);
    assert_false(text.cut);
    assert_true(text.n > 0);
}

static void turn(struct world *w)
{
    struct succession_scene scene = scene_of(w);
    struct succession_action a = succession_turn(&w->record, &w->wish, &scene);
    assert_explained(w, &a);
    if (a.kind == SUCCESSION_WRITE && w->view_count + 1 < VIEWS_MAX) {
        write_down(w, &a);
        w->patience = 0;
    } else if (a.kind == SUCCESSION_HAND_OVER) {
        hand_over(w, a.to);
    } else if (a.kind == SUCCESSION_STOP) {
        w->seen->stops++;
        w->seen->full += w->record.duty_count == SUCCESSION_DUTIES_MAX;
        w->patience++;
    }
    if (w->patience > 60 && w->record.primary == NODE_NONE && chance(w, 1, 8)) {
        w->order = SUCCESSION_FORCE;
        w->to = chance(w, 1, 4) ? any(w) : NODE_NONE;
    } else if (chance(w, 1, 10)) {
        w->order = chance(w, 1, 6) ? SUCCESSION_TO : SUCCESSION_NO_ORDER;
        w->to = any(w);
    }
}

/* What a node tells; the caught are the primary's account. */
static void report(struct world *w, node_index i)
{
    struct node *n = &w->node[i];
    if (!n->up) {
        return;
    }
    n->durable = n->last; /* a promise is told when it is durable, and all before it */
    qr_slot slot = n->commit;
    w->told[i] = (struct succession_told){
        .promised = n->promised,
        .last_term = n->log[n->last].term,
        .last_slot = n->last,
        .settled = n->leads && n->log[slot].term == n->promised ? n->promised : 0,
        .life = n->life,
        .forgetful = n->forgetful,
        .handed_over = n->leads && n->closed,
        .handed_to = n->closed_for,
    };
    if (n->leads && w->record.primary == i) {
        w->caught = 0;
        for (node_index x = 0; x < NODES; x++) {
            w->caught |= n->match[x] >= n->commit ? bit(x) : 0;
        }
    }
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static void append(struct world *w, struct node *n, bool asked)
{
    if (n->last == ENTRIES_MAX || (asked && w->operations + 1 == ENTRIES_MAX)) {
        return;
    }
    n->log[++n->last] = (struct entry){ .term = n->promised, .id = NOBODY_ASKED };
    if (asked) {
        n->log[n->last].id = ++w->operations;
        w->operation[w->operations] = (struct operation){ .slot = n->last };
    }
}

static void promise(struct node *n, qr_term term)
{
    if (term > n->promised) {
        n->promised = term;
        n->leads = n->closed = false;
    }
}

static void learn(struct world *w, node_index i)
{
    struct node *n = &w->node[i];
    if (!n->up || n->known == w->view_count) {
        return;
    }
    n->known += 1 + (uint32_t)rng_below(&w->rng, w->view_count - n->known);
    const struct view *v = view_of(w, n);
    n->durable = n->last; /* before the note that a restart is forgetful is taken back */
    promise(n, v->term);
    if (v->term == n->promised && v->primary == i && !n->leads && w->lives[n->known] == n->life) {
        n->leads = true;
        n->forgetful = false; /* group 0's word */
        memset(n->match, 0, sizeof n->match);
        append(w, n, false);
    }
}

/* A forgetful one remembers again when it has all that the primary has by then, which is no less
 * than it may have acknowledged, and while it holds a lease of this life. */
static void recover(struct world *w, struct node *n, const struct node *p)
{
    if (n->forgetful && n->lease && n->last >= p->last) {
        n->forgetful = false;
        w->seen->recovered++;
    }
}

static void send(struct world *w, node_index from, node_index to)
{
    struct node *p = &w->node[from], *n = &w->node[to];
    const struct view *v = view_of(w, p);
    if (!p->up || !p->leads || !n->up || from == to || n->promised > p->promised ||
        ((v->members | v->learners) >> to & 1) == 0) {
        return;
    }
    promise(n, p->promised);
    qr_slot common = p->last < n->last ? p->last : n->last;
    while (common > 0 && n->log[common].term != p->log[common].term) {
        common--;
    }
    qr_slot upto = common + rng_below(&w->rng, p->last - common + 1);
    if (upto > common || p->last > common) {
        memcpy(&n->log[common + 1], &p->log[common + 1], (upto - common) * sizeof n->log[0]);
        n->last = upto;
        n->durable = n->durable < common ? n->durable : common;
        n->commit = n->commit < common ? n->commit : common; /* what LOCAL took back */
    }
    upto = n->last < p->last ? n->last : p->last;
    bool received = v->stage == ACK_RECEIVED && view_of(w, n)->term == p->promised;
    n->durable = received ? n->durable : n->last;
    recover(w, n, p);
    if (!n->forgetful && holds_all_of(n, p, upto) && upto > p->match[to]) {
        p->match[to] = upto;
    }
}

static void commit(struct world *w, node_index i)
{
    struct node *p = &w->node[i];
    const struct view *v = view_of(w, p);
    if (!p->up || !p->leads) {
        return;
    }
    qr_slot s = v->stage == ACK_RECEIVED ? p->last : p->durable;
    for (; s > p->commit && p->log[s].term == p->promised; s--) {
        uint32_t set = 0, others = 0;
        for (node_index x = 0; x < NODES; x++) {
            bool has = x != i && p->match[x] >= s;
            set |= has && (v->set >> x & 1) != 0 ? bit(x) : 0u;
            others += has && (v->members & ~v->set & bit(x)) != 0;
        }
        if (set == v->set && others >= v->copies) {
            break;
        }
    }
    bool local = v->set == 0 && v->copies == 0;
    if (s > p->commit && p->log[s].term == p->promised) {
        for (qr_slot c = p->commit + 1; c <= s; c++) {
            uint32_t id = p->log[c].id;
            /* A new primary commits what others had begun: nobody is told, it may be read. */
            if (id != NOBODY_ASKED && !w->operation[id].acked) {
                acknowledge(w, id, local, p->promised);
            }
        }
        p->commit = s;
    }
}

/* A power failure; `wiped`: and something of what was durable is gone, promises too. */
static void crash(struct world *w, node_index i, bool wiped)
{
    struct node *n = &w->node[i];
    qr_slot kept = wiped ? rng_below(&w->rng, n->last + 1)
                         : n->durable + rng_below(&w->rng, n->last - n->durable + 1);
    /* The views of ON received that it knew were noted before it acknowledged by them. */
    bool received = view_of(w, n)->stage == ACK_RECEIVED;
    if (wiped || received) {
        n->forgetful = true;
    }
    if (wiped) {
        n->promised = 0;
        n->known = 0;
    }
    n->last = n->durable = kept;
    n->commit = 0;
    n->life = ++w->life;
    n->up = n->leads = n->lease = n->closed = false;
    w->told[i] = (struct succession_told){ .promised = 0 };
    for (node_index x = 0; x < NODES; x++) {
        w->node[x].match[i] = wiped || received ? 0 : w->node[x].match[i];
    }
}

/* A lease comes with the newest view (decision 056); group 0 sees later that it is over. */
static void lease(struct world *w, node_index i)
{
    struct node *n = &w->node[i];
    if (!n->lease && chance(w, 1, 2) && n->up && n->known == w->view_count) {
        n->lease = true;
        w->over &= (uint16_t)~bit(i);
    } else if (n->lease && chance(w, 1, 12)) {
        n->lease = false;
    } else if (!n->lease && chance(w, 1, 2)) {
        w->over |= bit(i);
    }
}

static void wish(struct world *w)
{
    struct succession_wish wish = { .members = (uint16_t)rng_below(&w->rng, 1u << NODES),
                                    .fallback = chance(w, 1, 3) };
    uint32_t n = (uint32_t)__builtin_popcount(wish.members), kind = any(w) % 4;
    wish.stage = chance(w, 1, 4) ? ACK_RECEIVED : ACK_DURABLE;
    if (kind == 0 && n > 1) {
        wish.copies = (uint8_t)(1 + rng_below(&w->rng, n - 1));
    } else if (kind >= 2) {
        wish.set_of = (uint16_t)rng_below(&w->rng, 1u << NODES);
        wish.set_count = (uint8_t)(kind == 2 ? 0 : 1 + rng_below(&w->rng, NODES));
    }
    if (n > 1 && succession_wish_is_sound(&wish)) {
        w->wish = wish;
    }
}

/* --- Runs ------------------------------------------------------------------------------------- */

void world_init(struct world *w, uint64_t seed, struct counters *seen)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->rng = rng_from(seed);
    w->seen = seen;
    w->to = NODE_NONE;
    while (w->wish.members == 0) {
        wish(w);
    }
    w->record = succession_first(&w->wish, (node_index)__builtin_ctz(w->wish.members));
    note_view(w);
    for (node_index i = 0; i < NODES; i++) {
        w->node[i].up = w->node[i].lease = true;
        w->node[i].life = ++w->life;
    }
}

void world_step(struct world *w)
{
    node_index i = any(w), x = any(w);
    uint32_t what = (uint32_t)rng_below(&w->rng, 1000);
    struct node *n = &w->node[i];
    if (what < 150) {
        turn(w);
    } else if (what < 300) {
        report(w, i);
    } else if (what < 400) {
        learn(w, i);
    } else if (what < 480 && n->up && n->leads && n->lease && !n->closed) {
        append(w, n, true);
    } else if (what < 800) {
        send(w, chance(w, 1, 2) && w->record.primary != NODE_NONE ? w->record.primary : i, x);
    } else if (what < 900) {
        commit(w, chance(w, 1, 2) && w->record.primary != NODE_NONE ? w->record.primary : i);
    } else if (what < 930) {
        lease(w, i);
    } else if (what < 970) {
        n->durable = n->up ? n->last : n->durable;
    } else if (what < 974 && n->up) {
        crash(w, i, false);
    } else if (what < 975 && n->up) {
        crash(w, i, true);
    } else if (what < 990) {
        n->up = true;
    } else if (what < 993) {
        wish(w);
    }
}

static void fail_with_all(struct world *w)
{
    static const uint64_t ids[MEMBERS_MAX] = { 0, 1, 2, 3, 4, 5 };
    char line[SUCCESSION_TEXT_BYTES];
    struct text text = text_in(line, sizeof line);
    struct succession_scene scene = scene_of(w);
    struct succession_action a = succession_turn(&w->record, &w->wish, &scene);
    const struct succession *r = &w->record;
    succession_explain(&text, r, &a, ids);
    for (node_index i = 0; i < NODES; i++) {
        const struct node *n = &w->node[i];
        print_message("node %u: promised %lu view %u leads %d lease %d forgetful %d last %lu "
                      "commit %lu life %lu\n",
                      i, n->promised, n->known, n->leads, n->lease, n->forgetful, n->last,
                      n->commit, n->life);
    }
    fail_msg(
        "no settled primary: term %lu of %u, settled %lu, members %x set %x copies %u learners "
        "%x; wish %x set %x/%u copies %u; %u views; %s",
        r->term, r->primary, r->settled, r->rule.members, r->rule.set, r->rule.copies, r->learners,
        w->wish.members, w->wish.set_of, w->wish.set_count, w->wish.copies, w->view_count, line);
}

void world_heal(struct world *w)
{
    w->order = SUCCESSION_NO_ORDER;
    for (uint32_t round = 0; round < 400; round++) {
        for (node_index i = 0; i < NODES; i++) {
            struct node *n = &w->node[i];
            n->up = true;
            learn(w, i);
            n->lease = n->lease || n->known == w->view_count;
            w->over &= n->lease ? (uint16_t)~bit(i) : UINT16_MAX;
            report(w, i);
            commit(w, i);
            for (node_index x = 0; x < NODES; x++) {
                send(w, i, x);
            }
        }
        w->to = NODE_NONE;
        w->order = round > 200 ? SUCCESSION_FORCE : SUCCESSION_NO_ORDER;
        turn(w);
        if (w->record.settled == w->record.term && w->record.rule.members == w->wish.members &&
            w->record.learners == 0 && round > 20) {
            return;
        }
    }
    fail_with_all(w);
}
