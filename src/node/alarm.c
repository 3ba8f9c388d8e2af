#include "node/alarm.h"

#include "node/node.h"
#include "node/peers.h"
#include "node/run.h"

#include <stdarg.h>
#include <stdio.h>

static void tell(struct node *node, node_index peer, const struct alarm *row)
{
    uint8_t bytes[ALARM_BYTES_MAX];
    if (node->peers != NULL) { /* not while the node is being made */
        peers_tell(node->peers, peer, FRAME_ALARM, span_of(bytes, alarm_write(row, bytes)));
    }
}

static void raise_v(struct node *node, enum alarm_kind kind, uint32_t about, const char *format,
                    va_list arguments)
{
    if (alarms_own(&node->alarms, kind, about) != NULL) {
        return;
    }
    char text[ALARM_TEXT_BYTES];
    (void)vsnprintf(text, sizeof text, format, arguments);
    const struct alarm *row = alarms_raise(&node->alarms, kind, about, io_wall(node->io), text);
    if (row != NULL) {
        node_log(node, NODE_LOG_WARNING, "Alarm %u-%u %s about node %u: %s", row->reporter,
                 row->number, alarm_name(kind), about, text);
        tell(node, NODE_NONE, row);
    }
}

void alarm_raise(struct node *node, enum alarm_kind kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    raise_v(node, kind, node->identity.node_id, format, arguments);
    va_end(arguments);
}

void alarm_raise_about(struct node *node, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    va_list arguments;
    va_start(arguments, format);
    raise_v(node, kind, about, format, arguments);
    va_end(arguments);
}

void alarm_clear_about(struct node *node, enum alarm_kind kind, uint32_t about)
{
    const struct alarm *row = alarms_clear(&node->alarms, kind, about, io_wall(node->io));
    if (row != NULL) {
        node_log(node, NODE_LOG_NOTICE, "Alarm %u-%u %s about node %u is over", row->reporter,
                 row->number, alarm_name(kind), about);
        tell(node, NODE_NONE, row);
    }
}

void alarm_clear(struct node *node, enum alarm_kind kind)
{
    alarm_clear_about(node, kind, node->identity.node_id);
}

void alarm_clear_all(struct node *node, enum alarm_kind kind)
{
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        const struct alarm *row = &node->alarms.row[i];
        if (row->number != 0 && row->kind == kind && row->about != node->identity.node_id) {
            alarm_clear_about(node, kind, row->about);
        }
    }
}

bool alarm_ack(struct node *node, uint32_t reporter, uint32_t number)
{
    const struct alarm *row = alarms_ack(&node->alarms, reporter, number);
    if (row != NULL) {
        tell(node, NODE_NONE, row);
    }
    return row != NULL;
}

uint32_t alarm_ack_all(struct node *node)
{
    const struct alarm *list[ALARMS_MAX];
    uint32_t n = alarms_list(&node->alarms, list);
    for (uint32_t i = 0; i < n; i++) {
        (void)alarm_ack(node, list[i]->reporter, list[i]->number);
    }
    return n;
}

bool alarm_receive(struct node *node, struct span head)
{
    struct alarm told;
    bool again;
    if (!alarm_read(head, &told)) {
        return false;
    }
    const struct alarm *row = alarms_merge(&node->alarms, &told, io_wall(node->io), &again);
    if (row != NULL && again) {
        tell(node, NODE_NONE, row);
    }
    return true;
}

void alarm_tell_all(struct node *node, node_index peer)
{
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        if (node->alarms.row[i].number != 0) {
            tell(node, peer, &node->alarms.row[i]);
        }
    }
}
