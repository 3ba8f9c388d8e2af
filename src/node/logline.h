/* Log lines for people (Redis's shape) or for machines (one JSON object each). */
#ifndef NODE_LOGLINE_H
#define NODE_LOGLINE_H

#include "base/types.h"

#include <stdarg.h>

struct config;

/* The numbers are those of the setting loglevel and of enum node_log_level. */
enum logger_level { LOGGER_DEBUG, LOGGER_VERBOSE, LOGGER_NOTICE, LOGGER_WARNING };

#define LOG_LINE_BYTES_MAX 2048 /* a longer message is cut */

struct logger {
    enum logger_level level; /* less important lines are dropped */
    char role;               /* 'M' leads, 'S' does not; the node keeps it up to date */
    bool json;
    char path[1024]; /* empty: standard output */
    uint64_t lost;   /* lines that could not be written */
    /* When set, lines go here instead (tests, simulation). */
    void (*sink)(void *context, enum logger_level level, const char *message);
    void *context;
};

/* A logger by the settings loglevel, log-format and logfile. */
struct logger logger_from(const struct config *config);

/* Writes one line, whole: "pid:role DD Mon YYYY HH:MM:SS.mmm level message", or JSON. A log file is
 * opened for every line, so that it can be rotated without telling the node. A line that cannot be
 * written is counted in `lost`: the log is no reason to stop a node. */
void logger_line(struct logger *logger, enum logger_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void logger_line_v(struct logger *logger, enum logger_level level, const char *format,
                   va_list arguments) __attribute__((format(printf, 3, 0)));

/* Whether the log file can be written; 0 or a negative errno. */
int logger_test(const struct logger *logger);

#endif
