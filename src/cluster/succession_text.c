/* What is done and why, in words for people. */
#include "base/panic.h"
#include "cluster/succession_internal.h"

static const char *reason_text(enum succession_reason reason)
{
    static const char *const texts[] = {
#define SUCCESSION_TEXT(name, text) [SUCCESSION_##name] = (text),
        SUCCESSION_REASONS(SUCCESSION_TEXT)
#undef SUCCESSION_TEXT
    };
    qr_assert(reason < ARRAY_COUNT(texts));
    return texts[reason];
}

static void put_nodes(struct text *out, uint16_t nodes, const uint64_t *ids)
{
    text_put(out, succession_count(nodes) == 1 ? "node" : "nodes");
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (succession_has(nodes, i)) {
            nodes &= (uint16_t)~succession_bit(i);
            text_char(out, ' ');
            text_u64(out, ids[i]);
            text_put(out, nodes != 0 ? "," : "");
        }
    }
}

static void put_loss(struct text *out, const struct succession_loss *loss)
{
    text_put(out, "; writes acknowledged after entry ");
    text_u64(out, loss->slot);
    text_put(out, " of term ");
    text_u64(out, loss->term);
    text_put(out, ", up to term ");
    text_u64(out, loss->through);
    text_put(out, ", may be lost");
}

static void put_written(struct text *out, const struct succession_action *action,
                        const uint64_t *ids)
{
    const struct succession *next = &action->next;
    text_put(out, "term ");
    text_u64(out, next->term);
    text_put(out, next->primary == NODE_NONE ? " without a primary" : " of ");
    if (next->primary != NODE_NONE) {
        put_nodes(out, succession_bit(next->primary), ids);
    }
    text_put(out, ": ");
    text_put(out, reason_text(action->reason));
    if (action->loss.possible) {
        put_loss(out, &action->loss);
    }
}

void succession_explain(struct text *out, const struct succession *now,
                        const struct succession_action *action, const uint64_t *ids)
{
    if (action->kind == SUCCESSION_WRITE) {
        put_written(out, action, ids);
    } else if (action->kind == SUCCESSION_HAND_OVER) {
        text_put(out, "hand over to ");
        put_nodes(out, succession_bit(action->to), ids);
    } else if (action->kind == SUCCESSION_STOP) {
        text_put(out, now->primary == NODE_NONE ? "no primary in term " : "term ");
        text_u64(out, now->term);
        text_put(out, ": ");
        text_put(out, reason_text(action->reason));
        if (action->needed > 0) {
            text_put(out, ", ");
            text_u64(out, succession_count(action->stand));
            text_put(out, " of ");
            text_u64(out, action->needed);
            text_put(out, ", awaited: ");
            put_nodes(out, action->awaited, ids);
        }
    } else {
        text_put(out, "nothing to do");
    }
}
