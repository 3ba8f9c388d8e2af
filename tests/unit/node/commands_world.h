/* Commands of a client, from the bytes that it sends to whoever is to carry them out: the real
 * client_commands.c, client_wants.c, route.c, stream.c and local commands, on a cardboard node
 * whose router and gathering only note what they are given. */
#ifndef TESTS_NODE_COMMANDS_WORLD_H
#define TESTS_NODE_COMMANDS_WORLD_H

#include "facades_world.h"

#define SENT_MAX 64u
#define FAR (1000 * QR_SECOND)

/* A command that was sent on. */
struct sent {
    const struct command_spec *spec;
    struct partition *partition; /* NULL: to all of its keyspace */
    uint32_t keyspace;           /* then: which */
    struct pending *pending;     /* it has no answer until `answers` */
    struct wants wants;
    char words[128], pid[65], iid[65];
    struct token token;
    bool has_id, has_token, by_prefix, silent, led_here, laden;
    uint8_t version, db;
};
extern struct sent sent[SENT_MAX];
extern uint32_t sent_count;
extern uint32_t noted;                  /* replies that were counted, */
extern size_t noted_bytes;              /* and how long the last one was */
extern struct span large_value;         /* what came with the last one that was laden */
extern uint32_t written, written_group; /* what gather_written says */
extern uint32_t semantics_level;

/* cmocka's set-up and tear-down: keyspace 0; `cart` of partitions 2 to 5, prefix `cart:`. */
int commands_begin(void **state);
int commands_end(void **state);
/* The same, by cluster-port. */
int commands_begin_at_cluster_port(void **state);

/* The client sends lines, each a request (words split at blanks); returns what it hears, good until
 * the next call. What is held stays in its buffer, and is tried again by the next call. */
const char *hears(const char *lines);
bool is_held(void);
/* The command has its answer. */
void answers(struct sent *s, const char *status);
/* All that have none have one. What the client hears of that is gone. */
void answer_all(void);
/* The last that was sent on. */
struct sent *last(void);
/* Says that a line is sent on as it is, and returns how. */
struct sent *goes(const char *line);
/* The keyspace says so. */
void keyspace_gives(uint32_t id, enum read_level read, uint8_t ack_kind);
/* A sealed token of this cluster. */
const char *token_of(const struct token *token);

#define SAYS(line, text) assert_string_equal(hears(line), text)
#define SAYS_ERROR(line, part) says_error(line, part, __LINE__)
/* It hears one error with that beginning, and nothing was sent on. */
void says_error(const char *lines, const char *begin, int at);

#endif
