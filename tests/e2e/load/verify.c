/* Afterwards: what was acknowledged has to be there. */
#include "load.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64u
#define PATIENCE_NS 30000000000 /* until every node is there again */
#define COMPLAINTS_MAX 20u

struct reader {
    struct load *load;
    int fd;
    uint32_t next_port;
    int64_t deadline;
    char *in, *out;
    uint64_t wrong, checked;
};

static bool selects(struct reader *reader)
{
    char out[REQUEST_BYTES_MAX];
    char in[512];
    size_t n = select_write(out, reader->load->keyspace);
    return send(reader->fd, out, n, MSG_NOSIGNAL) == (ssize_t)n &&
           recv(reader->fd, in, sizeof in, 0) > 0 && in[0] == '+';
}

static bool dial(struct reader *reader)
{
    struct load *load = reader->load;
    struct timeval patience = { .tv_sec = 5 };
    struct sockaddr_in address = client_address(load, reader->next_port++ % load->port_count);
    reader->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(reader->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(reader->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        (load->keyspace == NULL || selects(reader))) {
        return true;
    }
    close(reader->fd);
    reader->fd = -1;
    return false;
}

/* Sends n GETs and reads until all replies are in reader->in; their length, 0 on any trouble. */
static size_t exchange(struct reader *reader, const enum kind *kinds, const uint32_t *keys,
                       uint32_t n)
{
    char key[KEY_TEXT_MAX];
    size_t out_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        record_key_text(kinds[i], keys[i], key);
        out_n += request_write(reader->out + out_n, KIND_GET, key, NULL, 0);
    }
    if (send(reader->fd, reader->out, out_n, MSG_NOSIGNAL) != (ssize_t)out_n) {
        return 0;
    }
    size_t in_n = 0;
    size_t at = 0;
    for (uint32_t got = 0; got < n;) {
        struct reply_view view;
        ssize_t r = recv(reader->fd, reader->in + in_n, BATCH * REQUEST_BYTES_MAX - in_n, 0);
        if (r <= 0) {
            return 0;
        }
        in_n += (size_t)r;
        size_t length;
        while (at < in_n && got < n &&
               (length = reply_parse(reader->in + at, reader->in + in_n, &view)) > 0) {
            if (view.type != '$') {
                return 0; /* an error: a read may be asked again */
            }
            at += length;
            got++;
        }
    }
    return in_n;
}

/* Until it works, or the deadline has passed. */
static bool ask(struct reader *reader, const enum kind *kinds, const uint32_t *keys, uint32_t n)
{
    while (clock_now() < reader->deadline) {
        if (reader->fd >= 0 || dial(reader)) {
            if (exchange(reader, kinds, keys, n) > 0) {
                return true;
            }
            close(reader->fd);
            reader->fd = -1;
        }
        struct timespec pause = { .tv_nsec = 20000000 };
        (void)nanosleep(&pause, NULL);
    }
    (void)printf("wrong: the final reads got no answer\n");
    return false;
}

/* --- Keys that were written once ------------------------------------------------------------ */

static void complain(struct reader *reader, const struct operation *op, const char *what)
{
    if (reader->wrong++ < COMPLAINTS_MAX) {
        (void)printf("wrong: once:%" PRIu32 " of client %" PRIu32 ": %s\n", op->key, op->client,
                     what);
    }
}

static void judge(struct reader *reader, const struct operation *op, const struct reply_view *view)
{
    size_t n;
    const char *value = once_value(op->key, &n);
    reader->checked++;
    if (view->nil) {
        if (op->outcome == OUTCOME_OK) {
            complain(reader, op, "acknowledged, but not there");
        }
        return;
    }
    if (op->outcome == OUTCOME_FAIL) {
        complain(reader, op, "refused as surely not applied, but it is there");
    }
    if (view->n != n || memcmp(view->p, value, n) != 0) {
        complain(reader, op, "its bytes are not those that were written");
    }
}

static bool check_batch(struct reader *reader, const struct operation **ops, uint32_t n)
{
    enum kind kinds[BATCH];
    uint32_t keys[BATCH];
    for (uint32_t i = 0; i < n; i++) {
        kinds[i] = KIND_ONCE;
        keys[i] = ops[i]->key;
    }
    if (n > 0 && !ask(reader, kinds, keys, n)) {
        return false;
    }
    const char *at = reader->in;
    for (uint32_t i = 0; i < n; i++) {
        struct reply_view view;
        at += reply_parse(at, reader->in + BATCH * REQUEST_BYTES_MAX, &view);
        judge(reader, ops[i], &view);
    }
    return true;
}

static bool check_once(struct reader *reader)
{
    const struct record *record = &reader->load->record;
    const struct operation *batch[BATCH];
    uint32_t n = 0;
    for (size_t i = 0; i < record->count; i++) {
        if (record->operations[i].kind == KIND_ONCE) {
            batch[n++] = &record->operations[i];
        }
        if (n == BATCH || (n > 0 && i + 1 == record->count)) {
            if (!check_batch(reader, batch, n)) {
                return false;
            }
            n = 0;
        }
    }
    return true;
}

/* --- Contended keys ------------------------------------------------------------------------- */

static bool read_contended(struct reader *reader)
{
    struct record *record = &reader->load->record;
    uint32_t count = record_last_key(record) + 1;
    for (uint32_t first = 0; first < count; first += BATCH) {
        enum kind kinds[BATCH];
        uint32_t keys[BATCH];
        uint32_t n = count - first < BATCH ? count - first : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            kinds[i] = KIND_GET;
            keys[i] = first + i;
        }
        int64_t start = clock_now();
        if (!ask(reader, kinds, keys, n)) {
            return false;
        }
        const char *at = reader->in;
        for (uint32_t i = 0; i < n; i++) {
            struct reply_view view;
            at += reply_parse(at, reader->in + BATCH * REQUEST_BYTES_MAX, &view);
            struct operation *op =
                record_add(record, reader->load->client_count, KIND_GET, keys[i], start);
            op->end = clock_now();
            op->outcome = OUTCOME_OK;
            if (!view.nil) {
                record_result(record, op, view.p, view.n);
            }
        }
    }
    return true;
}

bool verify(struct load *load)
{
    struct reader reader = { .load = load, .fd = -1, .deadline = clock_now() + PATIENCE_NS };
    reader.in = qr_alloc(BATCH * REQUEST_BYTES_MAX);
    reader.out = qr_alloc(BATCH * REQUEST_BYTES_MAX);
    bool complete = check_once(&reader) && read_contended(&reader);
    (void)printf("checked %" PRIu64 "\nwrong %" PRIu64 "\n", reader.checked, reader.wrong);
    if (reader.fd >= 0) {
        close(reader.fd);
    }
    free(reader.in);
    free(reader.out);
    return complete && reader.wrong == 0;
}
