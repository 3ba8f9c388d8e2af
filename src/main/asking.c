#include "main/asking.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 6379
#define SECONDS_MAX 86400

static bool number(const char *program, const char *name, const char *text, long most, long *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 || *out < 1 || *out > most) {
        fprintf(stderr, "quorate %s: %s wants a number from 1 to %ld\n", program, name, most);
        return false;
    }
    return true;
}

static bool is(const char *word, const char *name, const char *letter)
{
    return strcmp(word, name) == 0 || (letter != NULL && strcmp(word, letter) == 0);
}

static bool take(struct asking *a, const char *program, const char *name, const char *value)
{
    long n = 0;
    if (is(name, "--host", "-h") && value[0] != 0 && strlen(value) < sizeof a->host) {
        (void)snprintf(a->host, sizeof a->host, "%s", value);
        return true;
    }
    if (is(name, "--port", "-p")) {
        bool good = number(program, name, value, 65535, &n);
        a->where.port = (uint16_t)n;
        return good;
    }
    if (is(name, "--password", "-a")) {
        a->where.password = value;
        return true;
    }
    if (is(name, "--user", NULL)) {
        a->where.user = value;
        return true;
    }
    if (is(name, "--timeout", NULL)) {
        bool good = number(program, name, value, SECONDS_MAX, &n);
        a->where.timeout_ms = (int)n * 1000;
        return good;
    }
    fprintf(stderr, "quorate %s: unknown option '%s'; see quorate %s --help\n", program, name,
            program);
    return false;
}

int asking_parse(struct asking *a, const char *program, int timeout_ms, int argc, char **argv)
{
    *a = (struct asking){ .host = "127.0.0.1",
                          .where = { .port = PORT_DEFAULT,
                                     .timeout_ms = timeout_ms,
                                     .password = getenv("REDISCLI_AUTH") } };
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            a->json = true;
        } else if (strcmp(argv[i], "--watch") == 0 && strcmp(program, "status") == 0) {
            a->watch = true;
        } else if (i + 1 == argc) {
            fprintf(stderr, "quorate %s: '%s' is unknown or wants a value; see quorate %s --help\n",
                    program, argv[i], program);
            return -1;
        } else if (!take(a, program, argv[i], argv[i + 1])) {
            return -1;
        } else {
            i++;
        }
    }
    a->where.host = a->host;
    (void)snprintf(a->name, sizeof a->name, "%s:%u", a->host, a->where.port);
    return i;
}

bool asking_written(const char *program)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return true;
    }
    fprintf(stderr, "quorate %s: standard output cannot be written: %s\n", program,
            strerror(errno));
    return false;
}
