/* The one table of commands (commands.def): what the parser, the router, COMMAND and the engine
 * know about a command, and nothing about how it is carried out. */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/types.h"

/* Where a command is carried out. */
enum command_place {
    PLACE_LOCAL, /* by the node that the client is connected to */
    PLACE_READ,  /* by one replica's engine: cluster/freshness.h says whose */
    PLACE_WRITE, /* by every engine, through the log */
    PLACE_WAIT,  /* by the leader: WAIT, WAITAOF */
    PLACE_ORDER, /* by the leader's protocol: FAILOVER (node/orders.h) */
    PLACE_NONE,  /* nowhere: a container of subcommands */
};

/* Redis's command flags, as COMMAND INFO names them; the last three are our own. */
#define CF_WRITE 1u
#define CF_READONLY 2u
#define CF_DENYOOM 4u /* may grow the data: refused when space is short */
#define CF_ADMIN 8u
#define CF_NOSCRIPT 16u
#define CF_LOADING 32u
#define CF_STALE 64u
#define CF_FAST 128u
#define CF_NO_AUTH 256u
#define CF_BLOCKING 512u
#define CF_MOVABLEKEYS 1024u
#define CF_NO_ASYNC_LOADING 2048u
#define CF_ALLOW_BUSY 4096u
#define CF_NO_MULTI 8192u
#define CF_SKIP_MONITOR 16384u
#define CF_SKIP_SLOWLOG 32768u
#define CF_PUBSUB 65536u
#define CF_CONTAINER 131072u     /* has subcommands */
#define CF_CLUSTER_ONLY 524288u  /* refused at other ports than cluster-port */
#define CF_SENTINEL_ONLY 262144u /* known at sentinel-port alone */

#define COMMAND_SWAPDB 203u
#define COMMAND_WAITAOF 1405u
#define COMMAND_TTL 108u
#define COMMAND_PTTL 109u
#define COMMAND_WITH 2001u /* the tag of WITH, which is unpacked before anybody carries it out */
/* The subcommands of SESSION, but for HELP: what they tell or change is as of their place among the
 * commands of their connection. */
#define COMMAND_SESSION_FIRST 2011u
#define COMMAND_SESSION_LAST 2019u

struct command_spec {
    uint16_t tag;     /* hand-written, in the log, never reused; 0 for a PARENT */
    const char *name; /* lower case; "client|list" for a subcommand */
    uint8_t name_bytes;
    uint8_t name_words; /* 2 for a subcommand */
    enum command_place place;
    int16_t arity;  /* Redis's: counts the name; negative = at least */
    uint32_t flags; /* CF_ */
    int16_t first_key, last_key, key_step;
    const char *group;
    const char *since; /* "1.0.0" */
    const char *complexity;
    const char *summary; /* one sentence of our own */
    const char *acl;     /* space-separated categories: "@read @string @fast" */
};

/* Finds the command that argv names, subcommands included; case-insensitive. A container without a
 * subcommand is found itself (its arity then refuses it, COMMAND excepted). On a container with an
 * unknown subcommand returns NULL and sets *container_spec; else sets it to NULL. */
const struct command_spec *command_find(const struct span *argv, uint32_t argc,
                                        const struct command_spec **container_spec);

/* What was found of late; zeroed memory is an empty one. */
struct command_memo {
    const struct command_spec *spec[64];
};

/* The same, looking at what was found before first. */
const struct command_spec *command_recall(struct command_memo *memo, const struct span *argv,
                                          uint32_t argc,
                                          const struct command_spec **container_spec);

/* By tag, for ops from the log; NULL when this binary does not know it. */
const struct command_spec *command_by_tag(uint16_t tag);

/* How many leading arguments are the name: 1, or 2 for a subcommand. */
static inline uint32_t command_name_words(const struct command_spec *spec)
{
    return spec->name_words;
}

/* Which arguments are keys, the name counted: first, first + step, ... below end; none: an empty
 * range. Where the arity fits. */
struct key_range {
    uint32_t first, end, step;
};

static inline struct key_range command_keys(const struct command_spec *spec, uint32_t argc)
{
    if (spec->first_key == 0) {
        return (struct key_range){ .step = 1 };
    }
    int64_t last = spec->last_key < 0 ? (int64_t)argc + spec->last_key : spec->last_key;
    uint32_t end = last < (int64_t)argc ? (uint32_t)(last + 1) : argc;
    return (struct key_range){ (uint32_t)spec->first_key, end, (uint32_t)spec->key_step };
}

static inline bool command_arity_fits(const struct command_spec *spec, uint32_t argc)
{
    return spec->arity > 0 ? argc == (uint32_t)spec->arity : argc >= (uint32_t)-spec->arity;
}

/* Where the row of a spec is in the table: command_at(command_index(spec)) == spec. */
size_t command_index(const struct command_spec *spec);

/* By the name in the table ("client|list"), in any case; NULL when there is none. */
const struct command_spec *command_by_name(struct span name);

/* The whole table, in alphabetical order, for COMMAND, tests and documentation. */
size_t command_count(void);
const struct command_spec *command_at(size_t i);

#endif
