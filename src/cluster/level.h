/* Levels of reads in words, and the options that ask for one (features D3).
 *
 * The same options stand behind CONSISTENCY, for all commands of a connection, and behind WITH, for
 * one command. Each is a word and its value. */
#ifndef CLUSTER_LEVEL_H
#define CLUSTER_LEVEL_H

#include "base/text.h"
#include "base/types.h"
#include "protocol/protocol.h"

const char *level_name(enum read_level level);

/* Those that a strategy gives, strongest first: "linearizable, leader, ...". */
void level_names(struct text *out, const struct promise *promise);

/* Whether any replica may answer: no leader is needed. */
static inline bool level_is_of_any_replica(enum read_level level)
{
    return level == READ_PREFIX || level == READ_LOCAL;
}

/* What was asked for. Zeroed: nothing, everything is as the keyspace has it. */
struct asked {
    enum read_level read;
    bool has_read;
    bool meta; /* the reply is to come with what it shows (WITH only) */
};

/* Reads `n` words of options into *out. False with the error in *why, and *out as it was: an option
 * that is not known, stands twice, has no value or a wrong one, or a level that the strategy, of
 * that name, cannot give. */
bool asked_read(struct asked *out, const struct span *words, uint32_t n, const char *strategy,
                const struct promise *promise, struct text *why);

/* WITH <n> <n words of options> <command ...>: where the command begins in argv; 0 with the error
 * when there is none. */
uint32_t with_command_at(const struct span *argv, uint32_t argc, struct text *why);

#define WITH_WORDS_MAX 64u

#endif
