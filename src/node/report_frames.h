/* Reports: what group 0's leader hears of every node, so that it can tell people how keyspaces do,
 * settle moves and judge orders. Bytes only; knows nothing of a node. */
#ifndef NODE_REPORT_FRAMES_H
#define NODE_REPORT_FRAMES_H

#include "base/limits.h"
#include "base/types.h"

/* Of one partition, by its leader. */
struct partition_report {
    uint32_t group;
    qr_term term;
    uint64_t epoch; /* of the wish that its membership is, decided; 0: it is not there yet */
    qr_slot last;
    uint64_t keys, bytes;      /* of the state: bytes as MAXMEMORY counts them */
    uint32_t ops;              /* commands a second, of late */
    uint32_t refused;          /* of them for a quota */
    uint16_t voters, others;   /* in force; others: learners and those that leave */
    uint64_t lag[MEMBERS_MAX]; /* entries, by node index */
    /* How it does, and what it lacked when it was asked last (lagging.h); REPORT_UNKNOWN: that says
     * nothing. Where the report says nothing of followers all of it is zero. */
    uint8_t state[MEMBERS_MAX]; /* 1 + enum follower_state; 0: not told */
    uint32_t lag_ms[MEMBERS_MAX];
    uint64_t lag_bytes[MEMBERS_MAX];
    /* While there are others: of the snapshot that one of them is getting, bytes that are still to
     * come, and all of it; 0: none is given. */
    uint64_t copy_left, copy;
};

#define REPORT_UNKNOWN UINT32_MAX

struct client_count {
    uint32_t keyspace, clients;
};

struct report {
    uint64_t nonce;   /* of the last question that it answers; 0: none */
    uint64_t version; /* of the map that the sender has applied */
    uint16_t level;   /* the highest that the sender knows */
    bool whole;       /* all that the sender leads: what is not named it does not lead */
    bool followers;   /* it says how they do: from MAP_LEVEL_FOLLOWERS on */
    uint32_t client_counts;
    struct client_count clients[REPORT_KEYSPACES_MAX]; /* that have selected a keyspace but 0 */
    uint32_t partitions;
    struct partition_report partition[REPORT_PARTITIONS_MAX];
};

enum report_kind { REPORT_FIGURES = 1, REPORT_QUESTION = 2 };

#define REPORT_BYTES_MAX \
    (32 + 8 * REPORT_KEYSPACES_MAX + REPORT_PARTITIONS_MAX * (72 + 21 * MEMBERS_MAX))

size_t report_write(const struct report *report, uint8_t *p);
/* False when malformed. */
bool report_read(struct span in, struct report *out);

/* A question for figures from now on: 9 bytes. */
size_t report_question_write(uint64_t nonce, uint8_t *p);
bool report_question_read(struct span in, uint64_t *nonce);

#endif
