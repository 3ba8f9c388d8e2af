/* The table of queues.def, for whoever shows it: see queues.h. */
#include "base/limits.h"
#include "node/node.h"

static const char *const names[] = {
#define QUEUE(name, limit, what) #name,
#include "node/queues.def"
#undef QUEUE
};

const char *queue_name(enum queue_id id)
{
    return names[id];
}

uint64_t queue_limit(const struct node *node, enum queue_id id)
{
    switch (id) {
#define QUEUE(name, limit, what) \
    case QUEUE_##name:           \
        return (uint64_t)(limit);
#include "node/queues.def"
#undef QUEUE
    case QUEUES:
        break;
    }
    qr_unreachable();
}
