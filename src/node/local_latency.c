/* LATENCY: how long commands took, as clients of this node saw it. */
#include "node/local_internal.h"

/* Bounds above the last one that adds something are left out, and so are those that add nothing:
 * Redis's shape, with powers of two (less one from 127 on) for the bounds. */
static void write_buckets(const struct histogram *h, struct reply *reply)
{
    uint64_t upto[HISTOGRAM_BOUNDS];
    size_t pairs = 0;
    histogram_cumulate(h, upto);
    for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        pairs += upto[i] > (i > 0 ? upto[i - 1] : 0);
    }
    reply_map(reply, pairs);
    for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        if (upto[i] > (i > 0 ? upto[i - 1] : 0)) {
            reply_integer(reply, (int64_t)histogram_bound(i));
            reply_integer(reply, (int64_t)upto[i]);
        }
    }
}

static void write_command(const struct node *node, size_t command, struct reply *reply)
{
    const struct histogram *h = node->measure->latency[command];
    reply_bulk_text(reply, command_at(command)->name);
    reply_map(reply, 2);
    reply_field_integer(reply, "calls", (int64_t)h->count);
    reply_bulk_text(reply, "histogram_usec");
    write_buckets(h, reply);
}

/* The commands that a name stands for, those of a container's subcommands included, as far as they
 * have been called: [*begin, *end) in the table; an unknown name stands for none. */
static void named(struct span name, size_t *begin, size_t *end)
{
    const struct command_spec *spec = command_by_name(name);
    *begin = *end = 0;
    if (spec != NULL) {
        *begin = command_index(spec);
        *end = *begin + 1;
        if ((spec->flags & CF_CONTAINER) != 0 || spec->place == PLACE_NONE) {
            size_t first;
            local_subcommands_of(spec, &first, end);
        }
    }
}

static size_t write_range(const struct node *node, size_t begin, size_t end, struct reply *reply)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i++) {
        if (node->measure->latency[i] != NULL) {
            n++;
            if (reply != NULL) {
                write_command(node, i, reply);
            }
        }
    }
    return n;
}

/* Writes those asked for, or with reply == NULL only counts them. */
static size_t write_asked(const struct node *node, const struct span *names, uint32_t n,
                          struct reply *reply)
{
    size_t count = n == 0 ? write_range(node, 0, command_count(), reply) : 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t begin, end;
        named(names[i], &begin, &end);
        count += write_range(node, begin, end, reply);
    }
    return count;
}

void local_cmd_LATENCY_HISTOGRAM(struct client *client, const struct span *argv, uint32_t argc,
                                 struct reply *reply)
{
    if (local_too_many(reply, argc - 2)) {
        return;
    }
    reply_map(reply, write_asked(client->node, argv + 2, argc - 2, NULL));
    write_asked(client->node, argv + 2, argc - 2, reply);
}

void local_cmd_LATENCY_HELP(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    static const char *const lines[] = {
        "HISTOGRAM [<command> ...]",
        "    How many calls took at most so many microseconds, by command.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "LATENCY", lines, ARRAY_COUNT(lines));
}
