/* Keys that go at a time: each client has one of its own, knows what is there, and from when to
 * when it may go. Log time rules (decision 014): a key is never gone before its time, nor there
 * behind it, by more than what clocks have been wrong, twice: once when it was set, once when it
 * goes. A key of which a write has no answer is given up. */
#include "sim/nodes/seat.h"

#define LATE (10 * QR_MILLISECOND) /* beside the clocks; a leader is there when it answers */

enum way { SET_PX, PSETEX, SET_PLAIN, GETEX_PX, GETEX_PERSIST, PEXPIRE, PERSIST, GET, PTTL, WAYS };

static const struct form {
    const char *before, *behind;
    bool has_time, has_value;
} forms[WAYS] = {
    [SET_PX] = { "SET", "PX", true, true },
    [PSETEX] = { "PSETEX", "", true, true },
    [SET_PLAIN] = { "SET", "", false, true },
    [GETEX_PX] = { "GETEX", "PX", true, false },
    [GETEX_PERSIST] = { "GETEX", "PERSIST", false, false },
    [PEXPIRE] = { "PEXPIRE", "", true, false },
    [PERSIST] = { "PERSIST", "", false, false },
    [GET] = { "GET", "", false, false },
    [PTTL] = { "PTTL", "", false, false },
};

static void ttl_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    static const uint8_t often[] = { SET_PX,        SET_PX,  PSETEX,  SET_PLAIN, GETEX_PX,
                                     GETEX_PERSIST, PEXPIRE, PERSIST, GET,       GET,
                                     GET,           GET,     PTTL,    PTTL };
    struct mortal *m = &a->mortal;
    asked->how = m->is_known ? often[rng_below(&a->rng, ARRAY_COUNT(often))] : SET_PX;
    const struct form *form = &forms[asked->how];
    char time[16] = "";
    asked->apart = true;
    asked->kind = asked->how >= GET ? OP_GET : OP_SET;
    m->number += !m->is_known;
    m->is_known = true;
    if (form->has_time) {
        asked->ms = 20 + (uint32_t)rng_below(&a->rng, 2000);
        (void)snprintf(time, sizeof time, " %u", (unsigned)asked->ms);
    }
    if (form->has_value) {
        (void)snprintf(asked->argument, sizeof asked->argument, " v%zu", a->run->story.n);
    }
    (void)snprintf(asked->key, sizeof asked->key, "ttl%u-%u", (unsigned)a->number,
                   (unsigned)m->number);
    wish->in_keyspace = m->number % 2 == 1;
    bool time_first = asked->how == PSETEX;
    (void)snprintf(wish->words, sizeof wish->words, "%s %s%s%s%s%s%s", form->before, asked->key,
                   time_first ? time : "", asked->argument, form->behind[0] != 0 ? " " : "",
                   form->behind, time_first ? "" : time);
}

/* What an answer says: whether the key was there, and of PTTL how long it goes on. */
static bool was_there(const struct deed *asked, const struct answer *answer, bool *good)
{
    char type = tree_type(answer->tree, answer->at);
    int64_t n = tree_number(answer->tree, answer->at);
    bool is_null = answer->tree->items[answer->at].null;
    switch (asked->how) {
    case GET:
    case GETEX_PX:
    case GETEX_PERSIST:
        *good = type == '$';
        return !is_null;
    case PTTL:
        *good = type == ':' && n >= -2;
        return n != -2;
    default:
        *good = type == ':' && (n == 0 || n == 1);
        return n == 1;
    }
}

/* Nothing else is said of it than what is known. */
static const char *compare(struct asker *a, const struct deed *asked, const struct answer *answer,
                           bool there)
{
    const struct mortal *m = &a->mortal;
    qr_time wrong = 2 * a->run->clock_error;
    bool mortal = m->is_there && m->earliest != QR_NEVER;
    if (!there && m->is_there && answer->now < m->earliest - wrong) {
        return "a key is gone before its time";
    }
    if (there && !m->is_there) {
        return "a key is there that was gone";
    }
    if (there && mortal && asked->start > m->latest + wrong + LATE) {
        return "a key is there behind its time";
    }
    struct span text = tree_text(answer->tree, answer->at);
    bool tells = tree_type(answer->tree, answer->at) == '$' && there;
    if (tells && (text.n != strlen(m->value) || memcmp(text.p, m->value, text.n) != 0)) {
        return "another value than what was set";
    }
    int64_t left = tree_number(answer->tree, answer->at) * QR_MILLISECOND;
    bool lasts = asked->how == PTTL && there && left < 0;
    if (asked->how == PTTL && there && lasts == mortal) {
        return "a time to live where there is none, or none where there is one";
    }
    bool in_time = left >= m->earliest - answer->now - wrong - QR_MILLISECOND &&
                   left <= m->latest - asked->start + wrong + QR_MILLISECOND;
    return asked->how == PTTL && there && mortal && !in_time ? "another time to live" : NULL;
}

/* It has a time from now on, or none. */
static void set_time(struct mortal *m, const struct deed *asked, qr_time now)
{
    bool has_time = forms[asked->how].has_time;
    m->earliest = has_time ? asked->start + asked->ms * QR_MILLISECOND : QR_NEVER;
    m->latest = has_time ? now + asked->ms * QR_MILLISECOND : QR_NEVER;
}

static const char *ttl_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    struct mortal *m = &a->mortal;
    bool sets = forms[asked->how].has_value, good = true;
    story_tell(asked, RESULT_OK, span_of("", 0), answer->now);
    if (sets) {
        good = tree_is(answer->tree, answer->at, "OK");
        m->is_there = true;
        (void)snprintf(m->value, sizeof m->value, "%s", asked->argument + 1);
        set_time(m, asked, answer->now);
        return good ? NULL : "a reply of the wrong type";
    }
    bool there = was_there(asked, answer, &good);
    if (asked->how == PERSIST && !there && m->is_there && m->earliest == QR_NEVER) {
        return NULL; /* there was nothing to take away */
    }
    const char *wrong = good ? compare(a, asked, answer, there) : "a reply of the wrong type";
    m->is_there = there;
    if (there && asked->how < GET) {
        set_time(m, asked, answer->now);
    }
    return wrong;
}

static void ttl_lost(struct asker *a, const struct deed *asked)
{
    a->mortal.is_known = a->mortal.is_known && asked->kind == OP_GET;
    a->mortal.is_there = a->mortal.is_there && a->mortal.is_known;
}

const struct model model_ttl = { "ttl", ttl_ask, ttl_told, ttl_lost, NULL, NULL, NULL };
