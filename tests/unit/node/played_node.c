#include "played_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/cargo.h"
#include "node/node.h"
#include "node/router.h"

static struct node *node;

struct rope_bin *engine_bin(struct engine *engine)
{
    (void)engine;
    fail();
    return NULL;
}

void cargo_free(struct node *n, struct cargo *cargo)
{
    (void)n;
    assert_null(cargo);
}

void router_recall(struct router *router, struct pending *p)
{
    (void)router, (void)p;
    fail();
}

void router_withdraw(struct router *router, struct pending *p)
{
    (void)router, (void)p;
    fail();
}

qr_time io_now(struct io *io)
{
    (void)io;
    return node->clock;
}

struct node *played_node(void)
{
    node = calloc(1, sizeof *node);
    node->measure = measure_new();
    node->command_stats = calloc(command_count(), sizeof *node->command_stats);
    reply_init(&node->nowhere, 2);
    node->nowhere.discard = true;
    return node;
}

void played_node_free(struct node *n)
{
    pending_free_all(n);
    measure_free(n->measure);
    free(n->command_stats);
    free(n);
}
