/* The load generator's etcd: gRPC over HTTP/2, framed by hand (RFC 9113 section 4, RFC 7541).
 *
 * Each request is a HEADERS frame and a DATA frame on a stream of its own. The first request puts
 * its headers into HPACK's dynamic table; the later ones refer to them with four bytes. */
#include "lbench.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum frame {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RESET = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW = 8
};
#define END_STREAM 1
#define END_HEADERS 4
#define ACKNOWLEDGED 1
#define FRAME_HEAD 9
#define GRPC_HEAD 5
#define FRAME_BYTES_MAX 16384u  /* RFC 9113 section 4.2, as we ask for no more */
#define WINDOW_BYTES (1u << 20) /* reported back when so many were received */

static void put_u32(char *p, uint32_t v)
{
    p[0] = (char)(v >> 24);
    p[1] = (char)(v >> 16);
    p[2] = (char)(v >> 8);
    p[3] = (char)v;
}

static uint32_t get_u32(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static char *frame_head(char *p, size_t n, enum frame kind, int flags, uint32_t stream)
{
    p[0] = (char)(n >> 16);
    p[1] = (char)(n >> 8);
    p[2] = (char)n;
    p[3] = (char)kind;
    p[4] = (char)flags;
    put_u32(p + 5, stream);
    return p + FRAME_HEAD;
}

void etcd_hello(struct connection *c)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    char out[128];
    memcpy(out, preface, sizeof preface - 1);
    char *p = frame_head(out + sizeof preface - 1, 6, FRAME_SETTINGS, 0, 0);
    p[0] = 0;
    p[1] = 4; /* SETTINGS_INITIAL_WINDOW_SIZE */
    put_u32(p + 2, 1u << 24);
    p = frame_head(p + 6, 4, FRAME_WINDOW, 0, 0);
    put_u32(p, 1u << 30);
    p += 4;
    if (write(c->fd, out, (size_t)(p - out)) != p - out) {
        die("write");
    }
}

/* A header in HPACK's literal form with incremental indexing. `name` is its index in the static
 * table, 0 for a new one that follows. */
static char *put_header(char *p, int name, const char *new_name, const char *value)
{
    *p++ = (char)(0x40 | name);
    if (name == 0) {
        *p++ = (char)strlen(new_name);
        p = stpcpy(p, new_name);
    }
    *p++ = (char)strlen(value);
    return stpcpy(p, value);
}

static size_t put_headers(const struct bench *b, struct connection *c, char *out)
{
    char *p = out;
    *p++ = (char)0x83; /* :method POST */
    *p++ = (char)0x86; /* :scheme http */
    if (!c->greeted) {
        c->greeted = true;
        p = put_header(p, 4, NULL,
                       b->operation == OPERATION_GET ? "/etcdserverpb.KV/Range"
                                                     : "/etcdserverpb.KV/Put");
        p = put_header(p, 1, NULL, "127.0.0.1");
        p = put_header(p, 31, NULL, "application/grpc");
        p = put_header(p, 0, "te", "trailers");
    } else {
        for (int index = 65; index >= 62; index--) { /* the dynamic table begins at 62 */
            *p++ = (char)(0x80 | index);
        }
    }
    return (size_t)(p - out);
}

void etcd_encode(struct bench *b, struct connection *c, uint64_t key)
{
    char headers[256];
    uint32_t stream = c->sent * 2 + 1;
    size_t n = put_headers(b, c, headers);
    char *p = frame_head(c->out + c->out_n, n, FRAME_HEADERS, END_HEADERS, stream);
    memcpy(p, headers, n);
    p += n;
    char *data = p;
    char *message = data + FRAME_HEAD + GRPC_HEAD;
    p = message;
    *p++ = 0x0a; /* field 1: key */
    *p++ = KEY_BYTES;
    memcpy(p, "key:000000000000", KEY_BYTES);
    put_key_digits(p, key);
    p += KEY_BYTES;
    if (b->operation != OPERATION_GET) {
        *p++ = 0x12; /* field 2: value */
        *p++ = VALUE_BYTES;
        memcpy(p, b->value, VALUE_BYTES);
        p += VALUE_BYTES;
    }
    message[-GRPC_HEAD] = 0; /* not compressed */
    put_u32(message - 4, (uint32_t)(p - message));
    frame_head(data, (size_t)(p - message) + GRPC_HEAD, FRAME_DATA, END_STREAM, stream);
    c->has_data[c->sent % RING] = false;
    c->out_n = (size_t)(p - c->out);
}

/* Whether a message holds the value that was written. It stands in front of the last field, the
 * number of keys found; what is unusual is searched for it. */
static bool holds_value(const struct bench *b, const char *p, uint32_t n)
{
    static const uint32_t count_bytes = 2;
    if (n >= VALUE_BYTES + count_bytes &&
        memcmp(p + n - count_bytes - VALUE_BYTES, b->value, VALUE_BYTES) == 0) {
        return true;
    }
    return memmem(p, n, b->value, VALUE_BYTES) != NULL;
}

static void on_data(struct bench *b, struct connection *c, uint32_t sequence, const char *p,
                    uint32_t n)
{
    if (b->operation == OPERATION_GET && !holds_value(b, p, n)) {
        errno = 0;
        die("etcd answered without the value that was written");
    }
    c->has_data[sequence % RING] = true;
    c->unreported += n;
    if (c->unreported > WINDOW_BYTES) {
        char *out = frame_head(c->out + c->out_n, 4, FRAME_WINDOW, 0, 0);
        put_u32(out, c->unreported);
        c->out_n += FRAME_HEAD + 4;
        c->unreported = 0;
    }
}

/* The trailers, which end a stream. Their status is compressed; an error comes without a message.
 */
static void on_end(struct bench *b, struct connection *c, uint32_t sequence)
{
    if (!c->has_data[sequence % RING]) {
        errno = 0;
        die("etcd answered with an error");
    }
    completed(b, c, sequence);
}

static void on_control(struct connection *c, const char *frame, enum frame kind, uint32_t n)
{
    if ((frame[4] & ACKNOWLEDGED) != 0 || (kind == FRAME_PING && n != 8)) {
        return;
    }
    uint32_t echoed = kind == FRAME_PING ? 8 : 0;
    char *p = frame_head(c->out + c->out_n, echoed, kind, ACKNOWLEDGED, 0);
    memcpy(p, frame + FRAME_HEAD, echoed);
    c->out_n += FRAME_HEAD + echoed;
}

static void on_frame(struct bench *b, struct connection *c, const char *frame, uint32_t n)
{
    enum frame kind = (enum frame)frame[3];
    uint32_t sequence = ((get_u32(frame + 5) & 0x7fffffff) - 1) / 2;
    errno = 0;
    switch (kind) {
    case FRAME_DATA:
        on_data(b, c, sequence, frame + FRAME_HEAD, n);
        break;
    case FRAME_HEADERS:
        if ((frame[4] & END_STREAM) != 0) {
            on_end(b, c, sequence);
        }
        break;
    case FRAME_RESET:
        die("etcd reset a stream");
    case FRAME_SETTINGS:
    case FRAME_PING:
        on_control(c, frame, kind, n);
        break;
    case FRAME_GOAWAY:
        die("etcd sent GOAWAY");
    case FRAME_WINDOW:
        break;
    }
}

size_t etcd_decode(struct bench *b, struct connection *c)
{
    size_t at = 0;
    while (c->in_n - at >= FRAME_HEAD) {
        const uint8_t *u = (const uint8_t *)c->in + at;
        uint32_t n = (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];
        if (n > FRAME_BYTES_MAX) {
            die_answer("a frame of HTTP/2", c->in + at, c->in_n - at);
        }
        if (c->in_n - at < FRAME_HEAD + n) {
            break;
        }
        on_frame(b, c, c->in + at, n);
        at += FRAME_HEAD + n;
    }
    return at;
}
