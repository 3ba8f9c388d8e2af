/* Log lines: see logline.h. */
#include "node/logline.h"

#include "base/panic.h"
#include "node/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A JSON escape takes two characters for one. */
#define LINE_CAP (2 * LOG_LINE_BYTES_MAX + 256)

struct logger logger_from(const struct config *config)
{
    struct logger logger = { .role = 'S', .json = config->log_json };
    logger.level = (enum logger_level)config->loglevel;
    _Static_assert(sizeof logger.path == sizeof config->logfile, "both hold any path");
    memcpy(logger.path, config->logfile, sizeof logger.path);
    return logger;
}

static int open_log(const struct logger *logger)
{
    if (logger->path[0] == 0) {
        return STDOUT_FILENO;
    }
    return open(logger->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

int logger_test(const struct logger *logger)
{
    int fd = open_log(logger);
    if (fd < 0) {
        return -errno;
    }
    if (fd != STDOUT_FILENO) {
        close(fd);
    }
    return 0;
}

static void put_json_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s != 0; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static void put_json(FILE *out, const struct logger *logger, enum logger_level level,
                     const struct timespec *now, const char *message)
{
    static const char *const names[] = { "debug", "verbose", "notice", "warning" };
    struct tm utc;
    char day[64];
    gmtime_r(&now->tv_sec, &utc);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out,
            "{\"time\":\"%s.%03ldZ\",\"pid\":%d,\"role\":\"%c\",\"level\":\"%s\",\"message\":", day,
            now->tv_nsec / 1000000, (int)getpid(), logger->role, names[level]);
    put_json_string(out, message);
    fputs("}\n", out);
}

static void put_plain(FILE *out, const struct logger *logger, enum logger_level level,
                      const struct timespec *now, const char *message)
{
    struct tm local;
    char day[64];
    localtime_r(&now->tv_sec, &local);
    strftime(day, sizeof day, "%d %b %Y %H:%M:%S", &local);
    fprintf(out, "%d:%c %s.%03ld %c %s\n", (int)getpid(), logger->role, day, now->tv_nsec / 1000000,
            ".-*#"[level], message);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            p += written;
            n -= (size_t)written;
        }
    }
    return true;
}

/* Messages may quote what a client or a peer has sent: it must not end the line. */
static void one_line(char *message)
{
    for (char *c = message; *c != 0; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
}

void logger_line_v(struct logger *logger, enum logger_level level, const char *format,
                   va_list arguments)
{
    qr_assert(level <= LOGGER_WARNING);
    if (level < logger->level) {
        return;
    }
    char message[LOG_LINE_BYTES_MAX];
    vsnprintf(message, sizeof message, format, arguments);
    one_line(message);
    if (logger->sink != NULL) {
        logger->sink(logger->context, level, message);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[LINE_CAP];
    FILE *out = fmemopen(line, sizeof line, "w");
    qr_assert(out != NULL);
    (logger->json ? put_json : put_plain)(out, logger, level, &now, message);
    size_t n = (size_t)ftell(out);
    fclose(out);

    int fd = open_log(logger);
    if (fd < 0 || !write_all(fd, line, n)) {
        logger->lost++;
    }
    if (fd >= 0 && fd != STDOUT_FILENO) {
        close(fd);
    }
}

void logger_line(struct logger *logger, enum logger_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    logger_line_v(logger, level, format, arguments);
    va_end(arguments);
}
