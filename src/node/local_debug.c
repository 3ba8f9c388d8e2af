/* DEBUG: the digest of this node's data. Redis's other subcommands are for its own tests. */
#include "node/local_internal.h"

#include "cluster/map.h"

#include <stdio.h>
#include <string.h>

static void digest(const struct node *node, struct reply *reply)
{
    uint8_t bytes[20];
    char text[41];
    engine_content_digest(node->zero->engine, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    reply_status(reply, text);
}

/* What only builds with failpoints have; false in others. */
static bool test_subcommand(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
#ifdef QUORATE_FAILPOINTS
    if (argc == 3 && local_is(argv[1], "CORRUPT")) { /* this node's copy of a key, alone */
        reply_integer(reply,
                      engine_corrupt(client->node->zero->engine, client->selected.db, argv[2]));
        return true;
    }
    uint64_t level;
    if (argc == 3 && local_is(argv[1], "LEVEL") && local_id(argv[2], &level) &&
        level <= identity_level_known()) { /* stands for whatever such a level brings */
        uint32_t active = map_settings(client->node->map)->level;
        if (active < level) {
            reply_errorf(reply,
                         "UPGRADE that needs level %u of the cluster, and level %u is active: when "
                         "all nodes know it, CLUSTER UPGRADE FINALIZE raises it",
                         (unsigned)level, active);
        } else {
            reply_status(reply, "OK");
        }
        return true;
    }
#endif
    (void)client;
    (void)argv;
    (void)argc;
    (void)reply;
    return false;
}

void local_cmd_DEBUG(struct client *client, const struct span *argv, uint32_t argc,
                     struct reply *reply)
{
    static const char *const lines[] = {
        "DIGEST",
        "    A digest of all data as this node has it; equal replicas have equal ones.",
    };
    if (argc == 2 && local_is(argv[1], "DIGEST") && client->node->zero->engine != NULL) {
        digest(client->node, reply);
    } else if (argc == 2 && local_is(argv[1], "HELP")) {
        local_help(reply, "DEBUG", lines, ARRAY_COUNT(lines));
    } else if (!test_subcommand(client, argv, argc, reply)) {
        local_unknown_subcommand(reply, argv, argc);
    }
}
