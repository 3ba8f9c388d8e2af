/* A client as a process of the realm. It speaks RESP to one node at a time, one command at a time,
 * and writes down what it asked and was told: the history that is judged. What it wants next is
 * want.c's matter. */
#include "sim/nodes/rules.h"
#include "sim/nodes/want.h"

#include "resp/tree.h"

#define PATIENCE (8 * QR_SECOND)
#define DIAL_PAUSE (200 * QR_MILLISECOND)
#define IN_BYTES 16384u

struct talk {
    struct asker *asker;
    struct io *io;
    struct io_timer timer;
    struct io_stream *stream;
    bool connected, waiting;
    bool last;  /* what it waits for was asked in the last phase */
    bool again; /* a try of it has no answer, and it has an id: it is sent again until it has */
    char request[REQUEST_BYTES];
    size_t request_n;
    bool aside; /* what it waits for is no want, but the session's matter (hop.h) */
    size_t asked;         /* in the history, while waiting */
    enum rule_order rule; /* an operator's order, while it has no answer */
    uint32_t next_read; /* of the last phase: the key */
    const struct seat *seat; /* whom it speaks with, */
    qr_term term;      /* who shows each write before it is answered (backup.h); 0: perhaps not */
    char shows[32], list[24]; /* at level local: this element of this list; "": none is known */
    uint8_t in[IN_BYTES];
    size_t in_n;
    struct tree tree;
};

static qr_time now_of(const struct talk *t)
{
    return process_time(t->asker->host->process);
}

static void sleep_for(struct talk *t, qr_time wait)
{
    io_timer_start(t->io, &t->timer, io_now(t->io) + wait);
}

/* --- Asking and being told ------------------------------------------------------------------ */

/* Something new. */
static void choose(struct talk *t)
{
    struct asker *a = t->asker;
    struct run *run = a->run;
    size_t cap = sizeof t->request;
    struct deed asked = { .asker = a->number,
                          .session = a->hop.session,
                          .result = RESULT_UNKNOWN,
                          .start = now_of(t),
                          .end = INT64_MAX };
    t->last = run->ending;
    if (a->is_operator) {
        t->request_n = want_order(run, &a->rng, t->request, cap);
        t->rule = rules_ordered(run, t->request);
        ordered_asked(&run->ordered, t->request);
        return;
    }
    t->request_n = run->ending         ? want_last(a, t->next_read, &asked, t->request, cap)
                   : t->shows[0] != 0 ? want_shown(a, t->list, &asked, t->request, cap)
                                      : want_next(a, &asked, t->request, cap);
    t->asked = story_ask(&run->story, &asked);
    t->term = backup_copy(run, t->seat, &asked);
}

/* Whether it is in the list; `element` has a comma on both sides. */
static bool is_in(const char *list, const char *element)
{
    return strncmp(list, element + 1, strlen(element + 1)) == 0 || strstr(list, element) != NULL;
}

/* Behind an OK that was given when each copy showed it. */
static const char *look_at_copy(struct talk *t, const struct deed *asked)
{
    struct run *run = t->asker->run;
    bool looked = t->shows[0] != 0 && asked->kind == OP_GET && strcmp(asked->key, t->list) == 0;
    bool sees = looked && asked->result == RESULT_VALUE && is_in(asked->value, t->shows);
    bool lacks = looked && !sees && asked->result != RESULT_FAIL;
    bool wrote = asked->kind == OP_APPEND && asked->result == RESULT_VALUE && !asked->has_id;
    bool shown = wrote && t->term != 0 && t->term == backup_copy(run, t->seat, asked);
    run->backup.shown += sees;
    (void)snprintf(t->shows, sizeof t->shows, ",%s", asked->argument);
    t->shows[0] = shown ? ',' : 0;
    (void)snprintf(t->list, sizeof t->list, "%s", asked->key);
    return lacks ? "each copy was said to have applied it, and this one does not show it" : NULL;
}

static void ask(struct talk *t)
{
    struct asker *a = t->asker;
    char beside[REQUEST_BYTES];
    size_t n = a->is_operator ? 0 : hop_asks(a, beside, sizeof beside);
    t->waiting = true;
    t->aside = n > 0;
    if (t->aside) {
        realm_note(a->run->realm, a->host, "asks %s", beside);
        io_stream_write(t->stream, beside, n);
        sleep_for(t, PATIENCE);
        return;
    }
    if (!t->again) {
        choose(t);
    }
    realm_note(t->asker->run->realm, t->asker->host, "asks %zu: %s", t->asked, t->request);
    io_stream_write(t->stream, t->request, t->request_n);
    sleep_for(t, PATIENCE);
}

/* Nobody knows what became of it. */
static void lost(struct talk *t)
{
    if (t->aside) {
        return;
    }
    if (t->asker->is_operator) {
        rules_lost(t->asker->run, t->rule);
        ordered_lost(&t->asker->run->ordered);
    } else {
        t->again = t->again || t->asker->run->story.v[t->asked].has_id;
        t->asker->run->unknown += !t->again;
        const struct model *model = model_of(&t->asker->run->story.v[t->asked]);
        if (model != NULL && model->lost != NULL) {
            model->lost(t->asker, &t->asker->run->story.v[t->asked]);
        }
    }
}

static void fail(struct talk *t, const char *what)
{
    struct span text = tree_text(&t->tree, 0);
    realm_fail(t->asker->run->realm, t->asker->host, "%s: %c%.*s", what, tree_type(&t->tree, 0),
               (int)text.n, (const char *)text.p);
}

static void told_aside(struct talk *t)
{
    const char *wrong = hop_answered(t->asker, &t->tree);
    t->waiting = false;
    realm_note(t->asker->run->realm, t->asker->host, "told: %c", tree_type(&t->tree, 0));
    if (wrong != NULL) {
        fail(t, wrong);
    }
}

/* An operator is needed as long as somebody may wait for him. */
static bool is_needed(const struct asker *a)
{
    if (a->run->backup.stuck_since != 0) {
        return true;
    }
    for (uint32_t i = 0; i < a->run->askers; i++) {
        if (&a->run->asker[i] != a && !a->run->asker[i].done) {
            return a->run->backup.is;
        }
    }
    return false;
}

static void told(struct talk *t)
{
    struct run *run = t->asker->run;
    struct deed *asked = &run->story.v[t->asked];
    struct span text = tree_text(&t->tree, 0);
    char type = tree_type(&t->tree, 0);
    t->waiting = false;
    realm_note(run->realm, t->asker->host, "told %zu: %c%.*s", t->asked, type, (int)text.n,
               (const char *)text.p);
    if (t->asker->is_operator) {
        const char *wrong = ordered_answered(&run->ordered, type, text);
        if (wrong != NULL) {
            fail(t, wrong);
        }
        if (want_is_uncertain(&t->tree)) {
            lost(t);
        } else {
            rules_answered(run, t->rule, &t->tree);
        }
        bool makes = strstr(t->request, "CREATE") != NULL;
        bool made = makes && want_is_made(&t->tree);
        t->asker->done = t->last && made && !is_needed(t->asker);
        run->backup.last_orders += t->last && !want_is_uncertain(&t->tree);
        run->backup.made = run->backup.made || (made && strstr(t->request, "cart") != NULL);
        return;
    }
    bool writes = asked->kind != OP_GET; /* of a read nothing can be uncertain */
    if (type == '-' && (t->again || (writes && want_is_uncertain(&t->tree)))) {
        lost(t); /* a refusal is of this try alone */
        return;
    }
    t->again = false;
    rules_shown(run, asked);
    asked->apart = asked->apart || backup_shows_early(&run->backup, asked);
    const char *wrong = want_told(t->asker, asked, &t->tree, now_of(t));
    wrong = wrong != NULL ? wrong : look_at_copy(t, asked);
    if (wrong != NULL) {
        fail(t, wrong);
    }
    bool good = asked->result != RESULT_FAIL && asked->result != RESULT_UNKNOWN;
    if (t->last && good) {
        t->next_read++;
        t->asker->done = t->next_read == want_last_count(t->asker);
    }
}

/* --- The connection ------------------------------------------------------------------------- */

static void hang_up(struct talk *t)
{
    if (t->stream != NULL) {
        io_stream_close(t->stream);
    }
}

static void dial(struct talk *t);

static void gone(struct talk *t)
{
    if (t->waiting) {
        lost(t);
    }
    t->stream = NULL;
    t->connected = t->waiting = false;
    t->shows[0] = 0;
    t->in_n = 0;
    tree_reset(&t->tree);
    sleep_for(t, (qr_time)rng_below(&t->asker->rng, DIAL_PAUSE));
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    gone(io_stream_owner(stream));
}

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct talk *t = io_stream_owner(stream);
    *p = t->in + t->in_n;
    *n = IN_BYTES - t->in_n;
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct talk *t = io_stream_owner(stream);
    t->in_n += n;
    enum tree_result result = tree_read(&t->tree, t->in, t->in_n);
    if (result == TREE_MORE && t->in_n < IN_BYTES) {
        return;
    }
    if (result != TREE_WHOLE || !t->waiting) {
        realm_fail(t->asker->run->realm, t->asker->host, "bytes that are no reply to anything");
        hang_up(t);
        return;
    }
    (t->aside ? told_aside : told)(t);
    t->in_n -= t->tree.at;
    qr_assert(t->in_n == 0); /* one at a time */
    tree_reset(&t->tree);
    qr_time pause = (qr_time)rng_below(&t->asker->rng, (uint64_t)t->asker->run->think + 1);
    sleep_for(t, pause);
    if (hop_leaves(t->asker)) {
        hang_up(t);
    }
}

static void on_connect(void *context, struct io_stream *stream, int error)
{
    static const struct io_stream_callbacks callbacks = { .on_read = on_read,
                                                          .buffer = give_buffer,
                                                          .on_close = on_close };
    struct talk *t = context;
    if (error != 0) {
        gone(t);
        return;
    }
    hop_connected(t->asker);
    t->connected = true;
    io_stream_open(stream, &callbacks, t);
    ask(t);
}

static void dial(struct talk *t)
{
    struct run *run = t->asker->run;
    const struct seat *seat = &run->seat[rng_below(&t->asker->rng, run->seats)];
    t->seat = seat;
    int error = io_connect(t->io, seat->host->address, SEAT_PORT, on_connect, t, &t->stream);
    qr_assert(error == 0);
    sleep_for(t, PATIENCE);
}

static void on_timer(struct io_timer *timer)
{
    struct talk *t = timer->context;
    if (t->stream == NULL) {
        if (!t->asker->done) {
            dial(t);
        }
    } else if (!t->connected || t->waiting) {
        hang_up(t); /* no patience left */
    } else if (t->asker->done) {
        hang_up(t);
    } else {
        ask(t);
    }
}

static void turn(void *context)
{
    (void)context;
}

static void live(struct process *process)
{
    struct talk *t = qr_zalloc(sizeof *t);
    t->asker = process->argument;
    t->io = io_new();
    t->timer.fire = on_timer;
    t->timer.context = t;
    sleep_for(t, (qr_time)rng_below(&t->asker->rng, QR_SECOND));
    io_run(t->io, turn, t);
}

void asker_start(struct asker *asker)
{
    process_start(asker->host, live, asker);
}
