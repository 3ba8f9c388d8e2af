/* What a request asks for beside its command, and how it says so (features D3).
 *
 * The same options stand behind CONSISTENCY, for all commands of a connection, and behind WITH, for
 * one command: in any order, each at most once, in any case. What is not asked for is as the
 * connection has it, else as the keyspace has it: WITH > CONSISTENCY > keyspace > linearizable.
 *
 * A1 What cannot be given is refused, never weakened (U3): a level that the strategy does not give.
 *    Every refusal says that the command was not applied. */
#ifndef CLUSTER_ASKED_H
#define CLUSTER_ASKED_H

#include "base/text.h"
#include "base/types.h"
#include "cluster/ack.h"
#include "cluster/level.h"
#include "cluster/token.h"

enum asked_option {
    ASKED_READ = 1u << 0,         /* READ level[:parameter] */
    ASKED_ACK = 1u << 1,          /* ACK spec: one word, with blanks inside */
    ASKED_FALLBACK = 1u << 2,     /* FALLBACK fail|async */
    ASKED_TIMEOUT = 1u << 3,      /* TIMEOUT ms */
    ASKED_KS = 1u << 4,           /* KS keyspace, by name or number; WITH alone */
    ASKED_META = 1u << 5,         /* META; WITH alone */
    ASKED_SESSION = 1u << 6,      /* SESSION token; WITH alone */
    ASKED_LEADERWINDOW = 1u << 7, /* LEADERWINDOW duration */
    ASKED_IDMP = 1u << 8,         /* IDMP pid iid; WITH alone */
};

#define ASKED_TIMEOUT_MS_MAX 3600000u
#define ASKED_NAME_BYTES_MAX 64u /* of a keyspace; of pid, and of iid */
#define WITH_WORDS_MAX 64u

/* Refusals that are also given where the options are not read. */
#define WITH_IN_WITH "ERR syntax error: WITH stands inside of WITH, the command was not applied"
#define WITH_TOO_LONG \
    "ERR WITH takes no command with arguments beyond 256 KiB, the command was not applied"

/* Zeroed: nothing was asked for. The spans are views of the words that were read: whoever keeps it
 * for longer keeps copies of what they need. */
struct asked {
    uint16_t given; /* enum asked_option */
    struct level_asked read;
    uint32_t timeout_ms;
    uint32_t window_ms; /* LEADERWINDOW */
    struct ack ack;
    bool fallback_async;
    struct span keyspace;
    struct span token;
    struct span pid, iid;
};

/* Who reads the options, and what there is. */
struct asked_by {
    const char *strategy; /* its name */
    const struct promise *promise;
    bool with; /* WITH; else CONSISTENCY */
};

/* Reads `n` words of options into *out, which then holds these and nothing else. False with the
 * error in *why, and *out as it was. */
bool asked_read(struct asked *out, const struct span *words, uint32_t n, const struct asked_by *by,
                struct text *why);

/* The error that less is never acknowledged there than was asked for. */
void asked_refuse_async(struct text *why, const char *strategy);

/* Both are CONSISTENCY's: what `later` names takes the place of what `asked` has. */
void asked_merge(struct asked *asked, const struct asked *later);

/* WITH <n> <n words of options> <command ...>: where the command begins in argv; 0 with the error
 * when there is none. */
uint32_t with_command_at(const struct span *argv, uint32_t argc, struct text *why);

#endif
