#include "node/report_frames.h"

#include "base/wire.h"
#include "node/lagging.h"

enum report_flag { REPORT_WHOLE = 1, REPORT_FOLLOWERS = 2, REPORT_FLAGS = 3 };

static void write_partition(struct wire_writer *w, const struct partition_report *r, bool followers)
{
    wire_put_u32(w, r->group);
    wire_put_u64(w, r->term);
    wire_put_u64(w, r->epoch);
    wire_put_u64(w, r->last);
    wire_put_u64(w, r->keys);
    wire_put_u64(w, r->bytes);
    wire_put_u32(w, r->ops);
    wire_put_u32(w, r->refused);
    wire_put_u16(w, r->voters);
    wire_put_u16(w, r->others);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (((r->voters | r->others) >> i & 1) != 0) {
            wire_put_u64(w, r->lag[i]);
        }
        if (followers && ((r->voters | r->others) >> i & 1) != 0) {
            wire_put_u8(w, r->state[i]);
            wire_put_u32(w, r->lag_ms[i]);
            wire_put_u64(w, r->lag_bytes[i]);
        }
    }
    if (r->others != 0) {
        wire_put_u64(w, r->copy_left);
        wire_put_u64(w, r->copy);
    }
}

size_t report_write(const struct report *report, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, REPORT_BYTES_MAX);
    wire_put_u8(&w, REPORT_FIGURES);
    wire_put_u64(&w, report->nonce);
    wire_put_u64(&w, report->version);
    wire_put_u16(&w, report->level);
    wire_put_u8(&w, (uint8_t)((report->whole ? REPORT_WHOLE : 0) |
                              (report->followers ? REPORT_FOLLOWERS : 0)));
    wire_put_u16(&w, (uint16_t)report->client_counts);
    for (uint32_t i = 0; i < report->client_counts; i++) {
        wire_put_u32(&w, report->clients[i].keyspace);
        wire_put_u32(&w, report->clients[i].clients);
    }
    wire_put_u16(&w, (uint16_t)report->partitions);
    for (uint32_t i = 0; i < report->partitions; i++) {
        write_partition(&w, &report->partition[i], report->followers);
    }
    return w.n;
}

static bool read_partition(struct wire_reader *r, struct partition_report *out, bool followers)
{
    *out = (struct partition_report){ .group = wire_get_u32(r) };
    out->term = wire_get_u64(r);
    out->epoch = wire_get_u64(r);
    out->last = wire_get_u64(r);
    out->keys = wire_get_u64(r);
    out->bytes = wire_get_u64(r);
    out->ops = wire_get_u32(r);
    out->refused = wire_get_u32(r);
    out->voters = wire_get_u16(r);
    out->others = wire_get_u16(r);
    if (((out->voters | out->others) >> MEMBERS_MAX) != 0) {
        return false;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (((out->voters | out->others) >> i & 1) != 0) {
            out->lag[i] = wire_get_u64(r);
        }
        if (followers && ((out->voters | out->others) >> i & 1) != 0) {
            out->state[i] = wire_get_u8(r);
            out->lag_ms[i] = wire_get_u32(r);
            out->lag_bytes[i] = wire_get_u64(r);
            r->bad = r->bad || out->state[i] > FOLLOWER_STATE_COUNT;
        }
    }
    if (out->others != 0) {
        out->copy_left = wire_get_u64(r);
        out->copy = wire_get_u64(r);
    }
    return !r->bad && out->copy_left <= out->copy;
}

bool report_read(struct span in, struct report *out)
{
    struct wire_reader r = wire_reader(in);
    bool valid = wire_get_u8(&r) == REPORT_FIGURES;
    out->nonce = wire_get_u64(&r);
    out->version = wire_get_u64(&r);
    out->level = wire_get_u16(&r);
    uint8_t flags = wire_get_u8(&r);
    out->whole = (flags & REPORT_WHOLE) != 0;
    out->followers = (flags & REPORT_FOLLOWERS) != 0;
    out->client_counts = wire_get_u16(&r);
    valid = valid && flags <= REPORT_FLAGS && !r.bad && out->client_counts <= REPORT_KEYSPACES_MAX;
    for (uint32_t i = 0; valid && i < out->client_counts; i++) {
        out->clients[i].keyspace = wire_get_u32(&r);
        out->clients[i].clients = wire_get_u32(&r);
    }
    out->partitions = valid ? wire_get_u16(&r) : 0;
    valid = valid && !r.bad && out->partitions <= REPORT_PARTITIONS_MAX;
    for (uint32_t i = 0; valid && i < out->partitions; i++) {
        valid = read_partition(&r, &out->partition[i], out->followers);
    }
    return valid && !r.bad && r.at == in.n;
}

size_t report_question_write(uint64_t nonce, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, 9);
    wire_put_u8(&w, REPORT_QUESTION);
    wire_put_u64(&w, nonce);
    return w.n;
}

bool report_question_read(struct span in, uint64_t *nonce)
{
    struct wire_reader r = wire_reader(in);
    bool valid = wire_get_u8(&r) == REPORT_QUESTION;
    *nonce = wire_get_u64(&r);
    return valid && !r.bad && in.n == 9;
}
