/* Orders to the nodes of a group, and what they answered. Part of group.c. */
#include "tests/unit/protocol/group.h"

void group_admin(struct group *g, node_index i, enum admin_kind order, uint64_t argument)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = order;
    event.admin.argument = argument;
    group_step(g, i, &event);
}

static qr_req order(struct group *g, node_index i, struct event *event)
{
    event->kind = EVENT_ADMIN;
    event->admin.req = g->node[i].next_req++;
    group_step(g, i, event);
    return event->admin.req;
}

qr_req group_change(struct group *g, node_index i, struct membership wanted, bool forced)
{
    struct event event = { 0 };
    event.admin.order = ADMIN_MEMBERS;
    event.admin.members = wanted;
    event.admin.forced = forced;
    return order(g, i, &event);
}

qr_req group_restate(struct group *g, node_index i, uint16_t passed)
{
    struct event event = { 0 };
    event.admin.order = ADMIN_MEMBERS;
    event.admin.members = group_members(g, i);
    event.admin.restated = true;
    event.admin.passed = passed;
    return order(g, i, &event);
}

qr_req group_hand_over(struct group *g, node_index i, node_index to, qr_time timeout)
{
    struct event event = { 0 };
    event.admin.order = ADMIN_TRANSFER;
    event.admin.argument = to;
    event.admin.timeout = timeout;
    return order(g, i, &event);
}

/* --- What happened ---------------------------------------------------------------------------- */

const struct group_note *group_noted(const struct group *g, node_index i, enum effect_kind kind,
                                     qr_req first)
{
    const struct group_node *node = &g->node[i];
    for (uint32_t k = 0; k < node->note_count; k++) {
        const struct group_note *note = &node->note[k];
        if (note->kind == kind && first >= note->first && first < note->first + note->count) {
            return note;
        }
        if (note->kind == kind && kind == EFFECT_TRIM) {
            return note;
        }
    }
    return NULL;
}

int group_answer(const struct group *g, node_index i, qr_req req)
{
    const struct group_note *note = group_noted(g, i, EFFECT_ANSWER, req);
    return note == NULL ? -1 : (int)note->status;
}

struct membership group_members(struct group *g, node_index i)
{
    return group_raft(g, i)->members.members;
}
