/* The one table of commands (commands.def): what the parser, the router, COMMAND and the engine
 * know about a command, and nothing about how it is carried out. */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/types.h"

/* Where a command is carried out. */
enum command_place {
    PLACE_LOCAL, /* by the node that the client is connected to */
    PLACE_READ,  /* by the leader's engine, once confirmed (linearizable) */
    PLACE_WRITE, /* by every engine, through the log */
    PLACE_WAIT,  /* by the leader: WAIT */
};

/* Redis's command flags, as COMMAND INFO names them. */
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

struct command_spec {
    uint16_t tag;         /* hand-written, in the log, never reused; 0 for containers' parents */
    const char *name;     /* lower case; "client|list" for a subcommand */
    const char *container; /* "client" for client|list, NULL for top-level commands */
    enum command_place place;
    int16_t arity;        /* Redis's: counts the name; negative = at least */
    uint32_t flags;       /* CF_ */
    int16_t first_key, last_key, key_step;
    const char *group;
    const char *since;    /* "1.0.0" */
    const char *complexity;
    const char *summary;  /* one sentence of our own */
    const char *acl;      /* space-separated categories: "@read @string @fast" */
};

/* Finds the command that argv names, subcommands included; case-insensitive. On a container with
 * an unknown subcommand returns NULL and sets *container_spec. */
const struct command_spec *command_find(const struct span *argv, uint32_t argc,
                                        const struct command_spec **container_spec);

/* By tag, for ops from the log; NULL when this binary does not know it. */
const struct command_spec *command_by_tag(uint16_t tag);

/* How many leading arguments are the name: 1, or 2 for a subcommand. */
uint32_t command_name_words(const struct command_spec *spec);

bool command_arity_fits(const struct command_spec *spec, uint32_t argc);

/* The whole table, for COMMAND, tests and documentation. */
size_t command_count(void);
const struct command_spec *command_at(size_t i);

#endif
