/* The history of a run, line by line as operations end, in the form of sim/history.c. A value is
 * named by the sequence number that --check has read out of it: v1f. One that is wrong gets a name
 * that nobody has written, so that the checker stumbles over it too. */
#ifndef BENCH_HISTORY_H
#define BENCH_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

struct history;

enum history_outcome { HISTORY_OK, HISTORY_FAIL, HISTORY_UNKNOWN };

struct history_line {
    uint32_t process;
    const char *key;
    bool write;
    enum history_outcome outcome;
    bool nil, wrong;   /* of a read */
    uint64_t sequence; /* of the value that was written or read */
    int64_t start, end;
};

/* NULL and errno when the file cannot be made. */
struct history *history_open(const char *path);
void history_write(struct history *history, const struct history_line *line);
/* False and errno when something could not be written. */
bool history_close(struct history *history);

#endif
