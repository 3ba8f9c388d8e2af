/* The two frames of joining, see join.h. */
#include "node/join.h"

#include "base/panic.h"
#include "base/wire.h"

#include <string.h>

static void put_text(struct wire_writer *w, const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    wire_put_u8(w, (uint8_t)n);
    wire_put_bytes(w, text, n);
}

/* A text of less than cap bytes; `bad` when it is longer or holds a zero. */
static void get_text(struct wire_reader *r, char *out, size_t cap)
{
    size_t n = wire_get_u8(r);
    struct span text = wire_get_bytes(r, n);
    if (r->bad || n >= cap || (n > 0 && memchr(text.p, 0, n) != NULL)) {
        r->bad = true;
        return;
    }
    if (n > 0) {
        memcpy(out, text.p, n);
    }
    out[n] = 0;
}

size_t join_request_write(const struct join_request *request, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, JOIN_BYTES_MAX);
    wire_put_u8(&w, request->observer ? 1 : 0);
    wire_put_u32(&w, request->id);
    wire_put_bytes(&w, request->uuid, 16);
    wire_put_u16(&w, request->client_port);
    wire_put_u16(&w, request->peer_port);
    put_text(&w, request->address, sizeof request->address - 1);
    if (request->level != 0) {
        wire_put_u16(&w, request->level);
    }
    qr_assert(!w.bad);
    return w.n;
}

bool join_request_read(struct span in, struct join_request *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct join_request){ 0 };
    uint8_t observer = wire_get_u8(&r);
    out->observer = observer == 1;
    out->id = wire_get_u32(&r);
    struct span uuid = wire_get_bytes(&r, 16);
    out->client_port = wire_get_u16(&r);
    out->peer_port = wire_get_u16(&r);
    get_text(&r, out->address, sizeof out->address);
    bool levelled = !r.bad && !wire_finished(&r);
    out->level = levelled ? wire_get_u16(&r) : 0;
    if (!wire_finished(&r) || (levelled && out->level == 0) || observer > 1 ||
        out->client_port == 0 || out->peer_port == 0 || !roster_is_address(out->address)) {
        return false;
    }
    memcpy(out->uuid, uuid.p, 16);
    return true;
}

size_t join_answer_write(const struct join_answer *answer, uint8_t *head, uint8_t *tail,
                         size_t *tail_n)
{
    struct wire_writer w = wire_writer(head, JOIN_ANSWER_BYTES_MAX);
    *tail_n = 0;
    wire_put_u8(&w, (uint8_t)answer->result);
    if (answer->result == JOIN_TAKEN) {
        wire_put_bytes(&w, answer->cluster, 16);
        wire_put_u32(&w, answer->id);
        wire_put_u8(&w, answer->index);
        wire_put_u64(&w, answer->slot);
        wire_put_u64(&w, answer->term);
        *tail_n = roster_write(&answer->roster, tail);
    } else {
        wire_put_u16(&w, answer->peer_port);
        put_text(&w, answer->text, sizeof answer->text - 1);
    }
    qr_assert(!w.bad);
    return w.n;
}

/* The roster must have the node where the answer says that it is. */
static bool is_consistent(const struct join_answer *answer)
{
    return answer->index < MEMBERS_MAX && answer->id != 0 && answer->slot > 0 && answer->term > 0 &&
           answer->roster.node[answer->index].id == answer->id;
}

bool join_answer_read(struct span head, struct span tail, struct join_answer *out)
{
    struct wire_reader r = wire_reader(head);
    *out = (struct join_answer){ .result = (enum join_result)wire_get_u8(&r) };
    switch (out->result) {
    case JOIN_TAKEN: {
        struct span cluster = wire_get_bytes(&r, 16);
        out->id = wire_get_u32(&r);
        out->index = wire_get_u8(&r);
        out->slot = wire_get_u64(&r);
        out->term = wire_get_u64(&r);
        if (!wire_finished(&r) || !roster_read(tail, &out->roster)) {
            return false;
        }
        memcpy(out->cluster, cluster.p, 16);
        return is_consistent(out);
    }
    case JOIN_ELSEWHERE:
    case JOIN_LATER:
    case JOIN_REFUSED:
        out->peer_port = wire_get_u16(&r);
        get_text(&r, out->text, sizeof out->text);
        return wire_finished(&r) && tail.n == 0;
    }
    return false;
}
