/* What an error of the disk means for the node: see run.h. */
#include "node/run.h"

#include "base/panic.h"
#include "io/io.h"

#include <stdio.h>
#include <string.h>

void node_disk_failed(struct node *node, const char *what, int error)
{
    char why[512];
    qr_assert(error < 0);
    (void)snprintf(why, sizeof why, "%s: %s", what, strerror(-error));
    if (io_wants_room(error)) {
        node_log(node, NODE_LOG_WARNING, "%s", why);
    } else {
        node_fail(node, why);
    }
}
