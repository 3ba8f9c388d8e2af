/* What must be true of a write before it is answered, in words (features D3, U1 to U5):
 *
 *   LOCAL | ANY k | MAJORITY | QUORUM | ALL | EACH <dc|zone> | w=<n>  [OF <zone>]
 *   [ON received|durable|applied]
 *
 * One grammar for all strategies; which of it one gives stands in its promise. What it does not
 * give is refused and never weakened. */
#ifndef CLUSTER_ACK_H
#define CLUSTER_ACK_H

#include "base/text.h"
#include "base/types.h"
#include "protocol/protocol.h"

#define NODE_ZONE_BYTES 32u /* of a zone's name, with the end */

/* Zeroed: what raft gives to every write, on a majority's disks. */
struct ack {
    enum ack_kind kind;
    enum ack_stage stage;
    uint8_t n;                  /* of ANY and w= */
    char zone[NODE_ZONE_BYTES]; /* OF: only replicas there count; "": wherever they are */
};

/* Reads the words of a specification. False with the error in *why, and *out as it was: words that
 * make none, or (-LEVEL) something that the strategy, of that name, cannot give. */
bool ack_read(struct ack *out, struct span spec, const char *strategy,
              const struct promise *promise, struct text *why);

bool ack_is_given(const struct ack *ack, const struct promise *promise);
/* The error that it is not, in the words that asked for it. */
void ack_refuse(struct text *why, struct span spec, const char *strategy,
                const struct promise *promise);

/* The same for the grammar alone. */
bool ack_parse(struct ack *out, struct span spec, struct text *why);

/* In words, which read back the same. */
#define ACK_TEXT_BYTES 80u
void ack_put(struct text *out, const struct ack *ack);

/* Those that a strategy gives: "MAJORITY, QUORUM, EACH zone; ON durable". */
void ack_names(struct text *out, const struct promise *promise);

#endif
