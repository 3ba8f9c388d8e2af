/* A node of cardboard: of a node only what the local commands look at, and a client to run them. */
#ifndef TESTS_NODE_CARDBOARD_H
#define TESTS_NODE_CARDBOARD_H

#include "node/local_internal.h"

extern struct node node;
extern struct partition zero;
extern struct partition others[4]; /* groups 2 to 5; tests put them into node.map */
extern struct client clients[3]; /* in node.clients; the first one runs the commands */
extern struct client *const me;
extern struct command_stats command_stats[256];
extern struct outlook outlook;
extern char changed[256]; /* names given to node_config_changed */
extern const struct client *killed, *closed_gently;
extern bool stopped;
extern uint16_t wire_version; /* of node 1 */
extern qr_time io_step;       /* time passes by that whenever somebody looks; 0 */

/* Discard journals: of the keyspace that was asked for last. */
extern uint32_t journal_asked;
extern struct discards *journal;    /* any pointer; NULL: there is none */
extern const char *journal_trouble; /* it cannot be opened */
extern struct discards_stats journal_stats;
extern const struct discards_item *journal_items;
extern uint32_t journal_item_count;
extern uint64_t journal_cursor, journal_next; /* of a scan, and its answer */
extern uint32_t journal_count;
extern int journal_error;

/* Puts everything back; a cmocka set-up function. */
int fresh(void **state);

/* Runs a line (words split at blanks; \s in a word is a blank) as clients.c does. The result is the
 * reply's bytes, valid until the next call. */
const char *run(const char *line);

#endif
