/* WAIT numreplicas timeout and WAITAOF numlocal numreplicas timeout on their way: to the leader,
 * which counts the replicas (wait.c), and when leadership ends on to the next one, with what is
 * left of their time. So a client that waits hears a number and no error: what it was answered OK
 * for is on a majority's disks, whoever leads. */
#include "node/router_internal.h"

#include "base/number.h"
#include "command/op.h"
#include "node/replica.h"

#include <inttypes.h>
#include <stdio.h>

#define ARGUMENTS_MAX 3u

struct wait {
    struct span argv[ARGUMENTS_MAX]; /* the last one is the timeout */
    uint32_t argc;
    int64_t wanted, local;
    int64_t timeout_ms; /* 0: for ever */
    const char *error;  /* NULL: all were understood */
};

/* What WAITAOF has ahead of WAIT's arguments, in Redis' words. */
static const char *read_local(struct wait *wait)
{
    if (!number_from(wait->argv[0], &wait->local)) {
        return "ERR value is not an integer or out of range";
    }
    if (wait->local < 0 || wait->local > 1) {
        return "ERR value is out of range, value must between 0 and 1";
    }
    return !number_from(wait->argv[1], &wait->wanted) || wait->wanted < 0
               ? "ERR value is out of range, must be positive"
               : NULL;
}

static struct wait wait_of(const struct pending *p)
{
    struct wait wait = { .error = NULL };
    struct op op;
    bool aof = p->spec->tag == COMMAND_WAITAOF;
    uint32_t argc = aof ? 3 : 2;
    bool valid = op_read(span_of(p->op, p->op_bytes), &op) && op.argc == argc;
    if (valid) {
        wait.argc = argc;
        op_arguments(&op, wait.argv, NULL);
    }
    if (valid && aof) {
        wait.error = read_local(&wait);
    } else if (!valid || !number_from(wait.argv[0], &wait.wanted)) {
        wait.error = "ERR value is not an integer or out of range";
    }
    if (wait.error != NULL) {
        return wait;
    }
    if (!number_from(wait.argv[argc - 1], &wait.timeout_ms)) {
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
    if (p->stream == NULL) {
        stream_answered(p, STATUS_OK); /* whoever asked is gone */
        return;
    }
    if (wait.error != NULL) {
        reply_error(stream_reply(p), wait.error);
        stream_answered(p, STATUS_OK);
        return;
    }
    if (p->spec->tag == COMMAND_WAITAOF && wait.wanted > 0 && p->partition->lazy) {
        reply_error(stream_reply(p), "LEVEL WAITAOF counts no replicas here: with APPENDFSYNC "
                                     "everysec nobody knows who has synced, WAIT tells who has "
                                     "written it");
        stream_refused(p);
        return;
    }
    p->wanted = wait.wanted < 0             ? 0
                : wait.wanted > MEMBERS_MAX ? MEMBERS_MAX + 1
                                            : (uint32_t)wait.wanted;
    p->wanted_local = wait.local != 0;
    qr_time timeout = wait.timeout_ms * QR_MILLISECOND;
    qr_time longest = node->config.request_timeout_ms * QR_MILLISECOND;
    /* Whether its client is still there only the node knows that it is connected to. */
    bool relayed = p->stream->relayed;
    p->comes_back = relayed && (timeout == 0 || timeout > longest);
    if (p->comes_back) {
        p->until = io_now(node->io) + longest;
    } else if (p->until == 0 && timeout != 0) {
        p->until = io_now(node->io) + timeout;
    }
    p->after_write = p->strand->writes_begun;
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
    int64_t numbers[ARGUMENTS_MAX] = { wait.wanted, left_ms };
    char text[ARGUMENTS_MAX][24];
    struct span argv[ARGUMENTS_MAX];
    if (wait.argc == 3) {
        numbers[0] = wait.local;
        numbers[1] = wait.wanted;
        numbers[2] = left_ms;
    }
    for (uint32_t i = 0; i < wait.argc; i++) {
        int n = snprintf(text[i], sizeof text[i], "%" PRId64, numbers[i]);
        argv[i] = span_of(text[i], (size_t)n);
    }
    bool valid = op_read(span_of(p->op, p->op_bytes), &head);
    qr_assert(valid);
    pending_drop_op(p);
    size_t n = op_bytes(argv, wait.argc);
    op_write(pending_take_room(p, n), &head, argv, wait.argc);
}

void router_refuse_wait(struct pending *p)
{
    reply_error(stream_reply(p),
                "CLUSTERDOWN no leader, the replicas were not counted; writes that were answered "
                "OK are on a majority and stay");
    stream_answered(p, STATUS_OK);
}
