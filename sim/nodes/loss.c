/* See loss.h. */
#include "sim/nodes/loss.h"

#include "base/panic.h"

#include <stdlib.h>
#include <string.h>

static void add(struct loss *v, uint32_t *count, struct loss one)
{
    qr_assert(*count < LOSSES_MAX);
    v[(*count)++] = one;
}

void loss_heard(struct losses *losses, const char *line, qr_time now)
{
    static const char head[] = "keyspace cart, partition ";
    const char *at = strstr(line, head);
    if (at == NULL) {
        return;
    }
    struct loss one = { .partition = (uint32_t)strtoul(at + sizeof head - 1, NULL, 10), .at = now };
    if (strstr(at, ", may be lost") != NULL) {
        add(losses->told, &losses->told_count, one);
        losses->promised = losses->promised || strstr(at, ": by FAILOVER FORCE;") != NULL;
    } else if (strstr(at, ": too few members for the rule: FALLBACK async") != NULL) {
        add(losses->fell, &losses->fell_count, one);
    }
}
