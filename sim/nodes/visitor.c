/* A visitor: beside the guest, who tries every command there is, one who asks for what makes sense,
 * many commands at a time, also where nobody else's keys are. What it is told is not judged, but
 * that no command has two replies, nor half of one (one that never has any is given up); and large
 * values, of which it knows what may stand there.
 * That nodes survive it, and end up equal, is what it is for. */
#include "sim/nodes/seat.h"

#include "resp/tree.h"

#define PATIENCE (6 * QR_SECOND)
#define PAUSE_MAX (500 * QR_MILLISECOND)
#define IN_BYTES (4u << 20)
#define OUT_BYTES (1u << 20)
#define PIPELINE_MAX 12u
#define VALUE_BYTES 270000u /* beyond an entry's size */

enum visit_place { ANYWHERE, ASIDE, JUNK, CLUSTER, SENTINEL };

static const struct visit {
    enum visit_place where;
    const char *words;
} visits[] = {
#define VISIT(where, words) { where, words },
#include "sim/nodes/visits.def"
#undef VISIT
};

struct guest {
    struct visitor *visitor;
    struct io *io;
    struct io_timer timer;
    struct io_stream *stream;
    struct seat *seat; /* whom it visits */
    uint16_t port;
    bool connected, waiting, aside, junk, selects;
    bool blind; /* what comes is not RESP2 */
    bool large[PIPELINE_MAX]; /* which of the commands reads a large value */
    uint32_t asked, told;
    char *out;
    size_t out_n;
    uint8_t *in;
    size_t in_n;
    struct tree tree;
};

static struct rng *dice(struct guest *g)
{
    return &g->visitor->rng;
}

/* --- What it asks --------------------------------------------------------------------------- */

static void put(struct guest *g, const void *p, size_t n)
{
    qr_assert(g->out_n + n <= OUT_BYTES);
    memcpy(g->out + g->out_n, p, n);
    g->out_n += n;
}

static size_t print_argument(struct guest *g, char kind, char *p, size_t cap)
{
    unsigned n = (unsigned)rng_below(dice(g), 1u << rng_below(dice(g), 13));
    qr_wall now = (REALM_WALL + g->visitor->run->realm->now) / QR_SECOND;
    switch (kind) {
    case 'k':
        return (size_t)snprintf(p, cap, "x%u", (unsigned)rng_below(dice(g), 40));
    case 'p':
        return (size_t)snprintf(p, cap, "j:%u", (unsigned)rng_below(dice(g), 40));
    case 'v':
        return (size_t)snprintf(p, cap, "w%0*u", (int)rng_below(dice(g), 60), n);
    case 'i':
        return (size_t)snprintf(p, cap, "%u", 1 + n % 5);
    case 't':
        return (size_t)snprintf(p, cap, "%lld", (long long)now + (long long)(n % 5));
    default:
        return (size_t)snprintf(p, cap, "%u", n + 1);
    }
}

/* The next word of `words`, with its marks replaced; returns where the word behind it begins. */
static const char *print_word(struct guest *g, const char *words, char *word, size_t cap)
{
    size_t n = 0;
    for (; *words != 0 && *words != ' '; words++) {
        if (*words == '%') {
            n += print_argument(g, *++words, word + n, cap - n);
        } else {
            word[n++] = *words == '_' ? ' ' : *words;
        }
    }
    word[n] = 0;
    return *words == ' ' ? words + 1 : words;
}

static void ask_for(struct guest *g, const char *words)
{
    char word[200];
    char head[40];
    size_t count = 1;
    for (const char *c = words; *c != 0; c++) {
        count += *c == ' ';
    }
    put(g, head, (size_t)snprintf(head, sizeof head, "*%zu\r\n", count));
    while (*words != 0) {
        words = print_word(g, words, word, sizeof word);
        put(g, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", strlen(word)));
        put(g, word, strlen(word));
        put(g, "\r\n", 2);
    }
}

/* The number that it begins with says what all of a large value is. */
static size_t large_length(uint64_t number)
{
    return VALUE_BYTES + number % 7 * 50000;
}

static char large_byte(uint64_t number, size_t i)
{
    return (char)('a' + (number + i / 61) % 26);
}

static void ask_for_large(struct guest *g)
{
    char head[80];
    uint64_t number = rng_below(dice(g), 100000000);
    size_t n = large_length(number);
    put(g, head,
        (size_t)snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$6\r\nlarge%u\r\n$%zu\r\n",
                         (unsigned)rng_below(dice(g), 3), n));
    put(g, head, (size_t)snprintf(head, sizeof head, "%08u", (unsigned)number));
    for (size_t i = 8; i < n; i++) {
        g->out[g->out_n++] = large_byte(number, i);
    }
    put(g, "\r\n", 2);
}

static bool is_large(struct span text)
{
    char digits[9] = { 0 };
    if (text.n < sizeof digits) {
        return false;
    }
    memcpy(digits, text.p, 8);
    uint64_t number = strtoull(digits, NULL, 10);
    for (size_t i = 8; i < text.n; i++) {
        if ((char)text.p[i] != large_byte(number, i)) {
            return false;
        }
    }
    return text.n == large_length(number);
}

static void ask_for_any(struct guest *g)
{
    enum visit_place where = g->port == SEAT_CLUSTER_PORT    ? CLUSTER
                             : g->port == SEAT_SENTINEL_PORT ? SENTINEL
                                                        : ANYWHERE;
    const struct visit *v;
    do {
        v = &visits[rng_below(dice(g), ARRAY_COUNT(visits))];
    } while (v->where != where && !(v->where == ASIDE && g->aside) &&
             !(v->where == JUNK && g->aside && g->junk));
    bool stops = strcmp(v->words, "SHUTDOWN") == 0;
    if (!stops || rng_chance(dice(g), 1, 10)) {
        g->seat->told_to_end = g->seat->told_to_end || stops;
        ask_for(g, v->words);
        g->asked++;
    }
}

static void compose(struct guest *g)
{
    struct run *run = g->visitor->run;
    g->out_n = g->asked = g->told = 0;
    memset(g->large, 0, sizeof g->large);
    bool aside = g->port == SEAT_PORT && !g->aside && rng_chance(dice(g), 1, 3);
    g->selects = aside;
    if (aside) {
        g->junk = rng_chance(dice(g), 1, 2);
        ask_for(g, g->junk ? "SELECT junk" : "SELECT 3");
        g->asked = 1;
        return;
    }
    if (g->port == SEAT_PORT && run->large && rng_chance(dice(g), 1, 8)) {
        ask_for_large(g);
        g->asked = 1;
    }
    uint32_t count = 1 + (uint32_t)rng_below(dice(g), PIPELINE_MAX - 2);
    while (g->asked < count || g->asked == 0) {
        g->large[g->asked] = run->large && g->port == SEAT_PORT && rng_chance(dice(g), 1, 20);
        if (g->large[g->asked]) {
            ask_for(g, rng_chance(dice(g), 1, 2) ? "GET large1" : "GET large2");
            g->asked++;
        } else {
            ask_for_any(g);
        }
    }
}

static void compose_blindly(struct guest *g)
{
    static const char metrics[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char health[] =
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.0\r\n\r\n";
    static const char wrong[] = "PUT /nothing HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    uint64_t which = rng_below(dice(g), 3);
    g->out_n = 0;
    if (g->port == SEAT_METRICS_PORT) {
        const char *text = which == 0 ? metrics : which == 1 ? health : wrong;
        put(g, text, strlen(text));
        return;
    }
    if (g->port == SEAT_SENTINEL_PORT) {
        ask_for(g, "SUBSCRIBE +switch-master +sdown");
        ask_for(g, "PSUBSCRIBE *");
        ask_for(g, "PING");
        ask_for(g, which == 0 ? "UNSUBSCRIBE" : "PUNSUBSCRIBE *");
        return;
    }
    ask_for(g, "HELLO 3");
    for (uint32_t i = 0; i < PIPELINE_MAX; i++) {
        ask_for_any(g);
    }
    ask_for(g, which == 0 ? "QUIT" : which == 1 ? "RESET" : "CLIENT REPLY SKIP");
}

/* --- The connection ------------------------------------------------------------------------- */

static void sleep_for(struct guest *g, qr_time wait)
{
    io_timer_start(g->io, &g->timer, io_now(g->io) + wait);
}

static void send_all(struct guest *g)
{
    g->waiting = true;
    if (g->blind) {
        compose_blindly(g);
    } else {
        compose(g);
    }
    realm_note(g->visitor->run->realm, g->visitor->host, "visits %u with %u: %.*s", g->port,
               g->asked, (int)min_u64(g->out_n, 400), g->out);
    io_stream_write(g->stream, g->out, g->out_n);
    sleep_for(g, g->blind ? QR_SECOND : PATIENCE);
}

static void gone(struct guest *g)
{
    g->stream = NULL;
    g->connected = g->waiting = g->aside = false;
    g->in_n = 0;
    tree_reset(&g->tree);
    sleep_for(g, (qr_time)rng_below(dice(g), PAUSE_MAX));
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    gone(io_stream_owner(stream));
}

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct guest *g = io_stream_owner(stream);
    g->in_n = g->blind ? 0 : g->in_n;
    *p = g->in + g->in_n;
    *n = IN_BYTES - g->in_n;
}

static void fail(struct guest *g, const char *what)
{
    realm_fail(g->visitor->run->realm, g->visitor->host, "%s", what);
    io_stream_close(g->stream);
}

/* One reply. */
static void told(struct guest *g)
{
    struct span text = tree_text(&g->tree, 0);
    char type = tree_type(&g->tree, 0);
    realm_note(g->visitor->run->realm, g->visitor->host, "is told %u: %c%.*s", g->told, type,
               (int)min_u64(text.n, 200), (const char *)text.p);
    if (g->told >= g->asked) {
        fail(g, "one reply more than commands");
        return;
    }
    if (g->large[g->told] && type == '$' && !g->tree.items[0].null && !is_large(text)) {
        fail(g, "a large value that nobody wrote");
        return;
    }
    if (g->selects && g->told == 0) {
        g->aside = type == '+';
    }
    g->told++;
    g->visitor->run->visits++;
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct guest *g = io_stream_owner(stream);
    g->in_n += n;
    enum tree_result result = TREE_MORE;
    while (!g->blind && g->in_n > 0 &&
           (result = tree_read(&g->tree, g->in, g->in_n)) == TREE_WHOLE) {
        told(g);
        g->in_n -= g->tree.at;
        memmove(g->in, g->in + g->tree.at, g->in_n);
        tree_reset(&g->tree);
    }
    if (!g->blind && (result == TREE_BAD || g->in_n == IN_BYTES)) {
        fail(g, "bytes that are no reply");
    } else if (!g->blind && g->waiting && g->told == g->asked) {
        g->waiting = false;
        sleep_for(g, (qr_time)rng_below(dice(g), PAUSE_MAX));
    }
}

static void on_connect(void *context, struct io_stream *stream, int error)
{
    static const struct io_stream_callbacks callbacks = { .on_read = on_read,
                                                          .buffer = give_buffer,
                                                          .on_close = on_close };
    struct guest *g = context;
    if (error != 0) {
        gone(g);
        return;
    }
    g->connected = true;
    io_stream_open(stream, &callbacks, g);
    send_all(g);
}

static void dial(struct guest *g)
{
    static const uint16_t ports[] = { SEAT_PORT,    SEAT_PORT,     SEAT_PORT,   SEAT_PORT,
                                      SEAT_CLUSTER_PORT, SEAT_SENTINEL_PORT, SEAT_METRICS_PORT };
    struct run *run = g->visitor->run;
    struct seat *seat = &run->seat[rng_below(dice(g), run->seats)];
    g->seat = seat;
    g->port = ports[rng_below(dice(g), ARRAY_COUNT(ports))];
    g->blind = g->port == SEAT_METRICS_PORT || rng_chance(dice(g), 1, 6);
    int error = io_connect(g->io, seat->host->address, g->port, on_connect, g, &g->stream);
    qr_assert(error == 0);
    sleep_for(g, PATIENCE);
}

static void on_timer(struct io_timer *timer)
{
    struct guest *g = timer->context;
    bool ends = g->visitor->run->ending;
    if (g->stream == NULL && !ends) {
        dial(g);
    } else if (g->stream != NULL &&
               (!g->connected || g->waiting || ends || rng_chance(dice(g), 1, 8))) {
        io_stream_close(g->stream);
    } else if (g->stream != NULL) {
        send_all(g);
    }
}

static void turn(void *context)
{
    (void)context;
}

static void live(struct process *process)
{
    struct guest *g = qr_zalloc(sizeof *g);
    g->visitor = process->argument;
    g->out = qr_alloc(OUT_BYTES);
    g->in = qr_alloc(IN_BYTES);
    g->io = io_new();
    g->timer.fire = on_timer;
    g->timer.context = g;
    sleep_for(g, (qr_time)rng_below(dice(g), QR_SECOND));
    io_run(g->io, turn, g);
}

void visitor_start(struct visitor *visitor)
{
    process_start(visitor->host, live, visitor);
}
