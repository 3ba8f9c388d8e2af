/* WAIT numreplicas timeout on its way: to the leader, which counts the replicas (wait.c), and when
 * leadership ends on to the next one, with what is left of its time. So a client that waits hears a
 * number and no error: what it was answered OK for is on a majority's disks, whoever leads. */
#include "node/router_internal.h"

#include "base/number.h"
#include "command/op.h"
#include "node/replica.h"

#include <inttypes.h>
#include <stdio.h>

struct wait {
    int64_t wanted, timeout_ms; /* 0: for ever */
    const char *error;          /* NULL: both were understood */
};

static struct wait wait_of(const struct pending *p)
{
    struct wait wait = { .error = NULL };
    struct op op;
    struct span argv[2];
    bool valid = op_read(span_of(p->op, p->op_bytes), &op) && op.argc == 2;
    if (valid) {
        op_arguments(&op, argv, NULL);
    }
    if (!valid || !number_from(argv[0], &wait.wanted)) {
        wait.error = "ERR value is not an integer or out of range";
    } else if (!number_from(argv[1], &wait.timeout_ms)) {
        wait.error = "ERR timeout is not an integer or out of range";
    } else if (wait.timeout_ms < 0) {
        wait.error = "ERR timeout is negative";
    }
    wait.timeout_ms = (int64_t)min_u64((uint64_t)wait.timeout_ms, QR_NEVER / 2 / QR_MILLISECOND);
    return wait;
}

void router_begin_wait(struct router *router, struct pending *p)
{
    struct node *node = router->node;
    struct wait wait = wait_of(p);
    if (wait.error != NULL) {
        reply_error(stream_reply(p), wait.error);
        stream_answered(p, STATUS_OK);
        return;
    }
    p->wanted = wait.wanted < 0             ? 0
                : wait.wanted > MEMBERS_MAX ? MEMBERS_MAX + 1
                                            : (uint32_t)wait.wanted;
    qr_time timeout = wait.timeout_ms * QR_MILLISECOND;
    qr_time longest = node->config.request_timeout_ms * QR_MILLISECOND;
    /* Whether its client is still there only the node knows that it is connected to. */
    bool relayed = p->stream != NULL && p->stream->relayed;
    p->comes_back = relayed && (timeout == 0 || timeout > longest);
    if (p->comes_back) {
        p->until = io_now(node->io) + longest;
    } else if (p->until == 0 && timeout != 0) {
        p->until = io_now(node->io) + timeout;
    }
    p->after_write = p->stream != NULL ? p->strand->writes_begun : 0;
    replica_wait(p->partition->replica, p);
}

void router_shorten_wait(struct router *router, struct pending *p)
{
    qr_time now = io_now(router->node->io);
    struct wait wait = wait_of(p);
    if (wait.error != NULL || wait.timeout_ms == 0) {
        return;
    }
    p->until = p->until != 0 ? p->until : p->arrived + wait.timeout_ms * QR_MILLISECOND;
    int64_t left_ms = p->until > now ? (p->until - now + QR_MILLISECOND - 1) / QR_MILLISECOND : 1;
    if (left_ms >= wait.timeout_ms) {
        return;
    }
    struct op head;
    char wanted[24];
    char left[24];
    bool valid = op_read(span_of(p->op, p->op_bytes), &head);
    qr_assert(valid);
    struct span argv[2] = {
        span_of(wanted, (size_t)snprintf(wanted, sizeof wanted, "%" PRId64, wait.wanted)),
        span_of(left, (size_t)snprintf(left, sizeof left, "%" PRId64, left_ms)),
    };
    pending_drop_op(p);
    size_t n = op_bytes(argv, 2);
    op_write(pending_take_room(p, n), &head, argv, 2);
}

void router_refuse_wait(struct pending *p)
{
    reply_error(stream_reply(p),
                "CLUSTERDOWN no leader, the replicas were not counted; writes that were answered "
                "OK are on a majority and stay");
    stream_answered(p, STATUS_OK);
}
