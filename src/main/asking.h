/* The options that `quorate status` and `quorate admin` share: whom to ask, and how to answer. */
#ifndef MAIN_ASKING_H
#define MAIN_ASKING_H

#include "main/talk.h"

/* How both end, beside 0 and what only one of them has. */
#define EXIT_USAGE 2
#define EXIT_UNREACHED 3 /* no answer */
#define EXIT_UNWRITTEN 4 /* it was done, but what was answered could not be told */

struct asking {
    struct talk_where where;
    char host[256], name[272]; /* name: host:port, for messages */
    bool json, watch;
};

/* Takes the options at the beginning; the index of the first argument behind them. -1: something is
 * wrong, and it was said to standard error. */
int asking_parse(struct asking *asking, const char *program, int timeout_ms, int argc, char **argv);

/* At the end: whether all of standard output could be written; if not, why was said. */
bool asking_written(const char *program);

#endif
