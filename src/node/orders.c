#include "node/orders.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "command/op.h"

#include <stdlib.h>

typedef void order_handler(struct node *node, struct pending *p, const struct span *argv,
                           uint32_t argc);

/* In the order of commands.def. */
static order_handler *const handlers[] = {
#define READ(...) NULL,
#define WRITE(...) NULL,
#define LOCAL(...) NULL,
#define WAITING(...) NULL,
#define PARENT(...) NULL,
#define ORDER(tag, ident, ...) order_cmd_##ident,
#include "command/commands.def"
};

void orders_begin(struct node *node, struct pending *p)
{
    struct op op;
    order_handler *handler = handlers[command_index(p->spec)];
    qr_assert(handler != NULL);
    if (!op_read(span_of(p->op, p->op_bytes), &op) ||
        !command_arity_fits(p->spec, op.argc + command_name_words(p->spec))) {
        stream_refuse(p, STATUS_BAD_MESSAGE); /* of a peer */
        return;
    }
    struct span *argv = qr_alloc((op.argc + 1) * sizeof *argv);
    op_arguments(&op, argv, NULL);
    handler(node, p, argv, op.argc);
    free(argv);
}
