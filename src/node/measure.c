#include "node/measure.h"

#include "base/alloc.h"
#include "protocol/protocol.h"

#include <string.h>

const uint32_t measure_stall_usec[STALL_LEVELS] = { 1000, 5000, 20000, 100000 };

struct measure *measure_new(void)
{
    struct measure *m = qr_zalloc(sizeof *m);
    m->latency = qr_zalloc(command_count() * sizeof *m->latency);
    return m;
}

static void free_parts(struct measure *m)
{
    for (size_t i = 0; i < command_count(); i++) {
        free(m->latency[i]);
        m->latency[i] = NULL;
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        free(m->append_usec[i]);
    }
}

void measure_free(struct measure *m)
{
    if (m != NULL) {
        free_parts(m);
        free(m->latency);
        free(m);
    }
}

void measure_reset(struct measure *m)
{
    struct histogram **latency = m->latency;
    free_parts(m);
    *m = (struct measure){ .latency = latency };
}

static void add_lazily(struct histogram **h, uint64_t value)
{
    if (*h == NULL) {
        *h = qr_zalloc(sizeof **h);
    }
    histogram_add(*h, value, 1);
}

void measure_turn(struct measure *m, uint64_t usec)
{
    histogram_add(&m->turn_usec, usec, 1);
    for (uint32_t i = 0; i < STALL_LEVELS && usec > measure_stall_usec[i]; i++) {
        m->stalls[i]++;
    }
}

void measure_latency(struct measure *m, const struct command_spec *spec, qr_time usec)
{
    add_lazily(&m->latency[command_index(spec)], usec > 0 ? (uint64_t)usec : 0);
}

/* --- Errors --------------------------------------------------------------------------------- */

static struct span code_of(struct span reply)
{
    size_t n = 1;
    while (n < reply.n && n < ERROR_CODE_BYTES && reply.p[n] != ' ' && reply.p[n] != '\r') {
        n++;
    }
    return span_of(reply.p + 1, n - 1);
}

void measure_error(struct measure *m, struct span reply)
{
    char code[ERROR_CODE_BYTES] = "";
    struct span word = code_of(reply);
    memcpy(code, word.p, word.n);
    uint32_t at = 0;
    while (at < m->error_codes && strcmp(m->errors[at].code, code) < 0) {
        at++;
    }
    if (at < m->error_codes && strcmp(m->errors[at].code, code) == 0) {
        m->errors[at].count++;
    } else if (m->error_codes == ERROR_CODES_MAX) {
        m->other_errors++;
    } else {
        memmove(&m->errors[at + 1], &m->errors[at], (m->error_codes - at) * sizeof m->errors[0]);
        m->error_codes++;
        memcpy(m->errors[at].code, code, sizeof code);
        m->errors[at].count = 1;
    }
}

/* --- Append messages ------------------------------------------------------------------------ */

void measure_append(struct measure *m, node_index to, uint32_t count, qr_slot last, qr_time now)
{
    histogram_add(&m->records_per_append, count, 1);
    if (m->watched[to].slot == 0) {
        m->watching++;
        m->watched[to].slot = last;
        m->watched[to].sent = now;
    }
}

void measure_acks(struct measure *m, const struct outlook *outlook, uint8_t members, qr_time now)
{
    for (node_index i = 0; i < members && m->watching > 0; i++) {
        if (m->watched[i].slot == 0) {
            continue;
        }
        if (outlook->role != ROLE_LEADER) {
            m->watched[i].slot = 0;
            m->watching--;
        } else if (outlook->member[i].match >= m->watched[i].slot) {
            m->watched[i].slot = 0;
            m->watching--;
            add_lazily(&m->append_usec[i], (uint64_t)(now - m->watched[i].sent));
        }
    }
}
