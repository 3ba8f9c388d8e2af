/* ALARM: what an operator has to look at (alarm.h). */
#include "node/local_internal.h"

#include "node/alarm.h"

#include <stdio.h>
#include <string.h>

static void write_id(struct reply *reply, const struct alarm *row)
{
    char id[32];
    int n = snprintf(id, sizeof id, "%u-%u", row->reporter, row->number);
    reply_bulk(reply, span_of(id, (size_t)n));
}

static void write_row(struct reply *reply, const struct alarm *row)
{
    const char *name = alarm_name((enum alarm_kind)row->kind);
    reply_map(reply, 6);
    reply_bulk_text(reply, "id");
    write_id(reply, row);
    reply_field_text(reply, "alarm", name != NULL ? name : "UNKNOWN"); /* of a newer version */
    reply_field_integer(reply, "node", row->about);
    reply_field_integer(reply, "since", row->since / QR_MILLISECOND);
    reply_field_integer(reply, "until", row->over / QR_MILLISECOND);
    reply_field_text(reply, "text", row->text);
}

void local_cmd_ALARM_LIST(struct client *client, const struct span *argv, uint32_t argc,
                          struct reply *reply)
{
    (void)argv;
    (void)argc;
    const struct alarm *list[ALARMS_MAX];
    uint32_t n = alarms_list(&client->node->alarms, list);
    reply_array(reply, n);
    for (uint32_t i = 0; i < n; i++) {
        write_row(reply, list[i]);
    }
}

/* "2-17": the 17th that node 2 has raised. */
static bool read_id(struct span text, uint32_t *reporter, uint32_t *number)
{
    const uint8_t *dash = memchr(text.p, '-', text.n);
    uint64_t a, b;
    if (dash == NULL) {
        return false;
    }
    size_t left = (size_t)(dash - text.p);
    if (!local_id(span_of(text.p, left), &a) ||
        !local_id(span_of(dash + 1, text.n - left - 1), &b) || a > UINT32_MAX || b > UINT32_MAX) {
        return false;
    }
    *reporter = (uint32_t)a;
    *number = (uint32_t)b;
    return true;
}

void local_cmd_ALARM_ACK(struct client *client, const struct span *argv, uint32_t argc,
                         struct reply *reply)
{
    (void)argc;
    uint32_t reporter, number;
    if (word_is(argv[2], "ALL")) {
        reply_integer(reply, alarm_ack_all(client->node));
    } else if (!read_id(argv[2], &reporter, &number)) {
        reply_error(reply, "ERR an alarm's id looks like 2-17");
    } else if (!alarm_ack(client->node, reporter, number)) {
        reply_error(reply, "ERR no such alarm in the list");
    } else {
        reply_integer(reply, 1);
    }
}

void local_cmd_ALARM_HELP(struct client *client, const struct span *argv, uint32_t argc,
                          struct reply *reply)
{
    static const char *const lines[] = {
        "ACK <id>|ALL",
        "    Takes an alarm, or all, from the list until the cause comes anew.",
        "LIST",
        "    What needs to be looked at in the cluster, oldest first.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "ALARM", lines, ARRAY_COUNT(lines));
}
