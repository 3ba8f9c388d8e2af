/* DEBUG: the digest of this node's data. Redis's other subcommands are for its own tests. */
#include "node/local_internal.h"

#include "cluster/map.h"
#include "cluster/slots.h"

#include <stdio.h>
#include <string.h>

static void digest(const struct node *node, struct span number, struct reply *reply)
{
    uint64_t group = 0;
    bool valid = word_is(number, "0") || (local_id(number, &group) && group <= UINT32_MAX);
    const struct partition *partition = valid ? partition_of_group(node, (uint32_t)group) : NULL;
    if (partition == NULL || partition->engine == NULL) {
        reply_error(reply, "ERR this node has no replica of that group");
        return;
    }
    uint8_t bytes[20];
    char text[41];
    engine_content_digest(partition->engine, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    reply_status(reply, text);
}

#ifdef QUORATE_FAILPOINTS
/* Of the keyspace that is selected; 0 where this node has no replica of the key's partition. */
static int corrupt(const struct client *client, struct span key)
{
    const struct selected *selected = &client->selected;
    const struct map_partition *mp =
        map_partition_of_slot(client->node->map, selected->keyspace, slot_of_key(key));
    struct partition *p = mp != NULL ? partition_of_group(client->node, mp->group) : NULL;
    if (p == NULL || p->engine == NULL) {
        return 0;
    }
    return engine_corrupt(p->engine, selected->keyspace == 0 ? selected->db : 0, key);
}
#endif

/* What only builds with failpoints have; false in others. */
static bool test_subcommand(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
#ifdef QUORATE_FAILPOINTS
    if (argc == 3 && word_is(argv[1], "CORRUPT")) { /* this node's copy of a key, alone */
        reply_integer(reply, corrupt(client, argv[2]));
        return true;
    }
    uint64_t level;
    if (argc == 3 && word_is(argv[1], "LEVEL") && local_id(argv[2], &level) &&
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
        "DIGEST [group]",
        "    A digest of all data as this node has it, or of one group's, which KEYSPACE INFO "
        "names;",
        "    equal replicas have equal ones.",
    };
    if ((argc == 2 || argc == 3) && word_is(argv[1], "DIGEST")) {
        digest(client->node, argc == 3 ? argv[2] : span_of("0", 1), reply);
    } else if (argc == 2 && word_is(argv[1], "HELP")) {
        local_help(reply, "DEBUG", lines, ARRAY_COUNT(lines));
    } else if (!test_subcommand(client, argv, argc, reply)) {
        local_unknown_subcommand(reply, argv, argc);
    }
}
