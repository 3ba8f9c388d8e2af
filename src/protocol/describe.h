/* What all strategies say of themselves alike: texts for people, digests for simulators. */
#ifndef PROTOCOL_DESCRIBE_H
#define PROTOCOL_DESCRIBE_H

#include "protocol/journal.h"
#include "protocol/trail.h"

/* The members of a set, "0,2,3", behind a name. */
void describe_set(struct text *out, const char *name, uint32_t set);
/* The sentence of a trace point: %0 to %2 stand for its arguments, {0 to {2 for sets of members. */
void describe_point(const char *sentence, const uint64_t argument[3], struct text *out);

void describe_mix(uint64_t *digest, uint64_t v);
void describe_mix_log(uint64_t *digest, const struct trail *trail, const struct journal *journal);

#endif
