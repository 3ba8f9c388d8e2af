/* The binary: one program, several subcommands. */
#include "main/main.h"

#include "base/types.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: this build was made without it */
};

#ifdef QUORATE_WITH_SERVER
#define SERVER_MAIN server_main
#else
#define SERVER_MAIN NULL
#endif
#ifdef QUORATE_WITH_SIM
#define SIM_MAIN sim_main
#define CHECK_HISTORY_MAIN check_history_main
#else
#define SIM_MAIN NULL
#define CHECK_HISTORY_MAIN NULL
#endif

static const struct subcommand subcommands[] = {
    { "server", SERVER_MAIN },
    { "up", up_main },
    { "status", status_main },
    { "admin", admin_main },
    { "bench", bench_main },
    { "sim", SIM_MAIN },
    { "check-history", CHECK_HISTORY_MAIN },
};

static const struct subcommand *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(subcommands); i++) {
        if (strcmp(subcommands[i].name, name) == 0) {
            return &subcommands[i];
        }
    }
    return NULL;
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static int print_help(const char *topic)
{
    if (topic != NULL && find(topic) == NULL) {
        fprintf(stderr, "quorate help: there is no subcommand '%s'\n", topic);
        return 1;
    }
    help_print(topic);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "quorate: a subcommand is missing; see quorate --help\n");
        return 1;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-v") == 0) {
        printf("quorate %s\n", QUORATE_VERSION);
        return 0;
    }
    if (is_help(name) || strcmp(name, "help") == 0) {
        return print_help(argc > 2 ? argv[2] : NULL);
    }
    const struct subcommand *subcommand = find(name);
    if (subcommand == NULL) {
        fprintf(stderr, "quorate: there is no subcommand '%s'; see quorate --help\n", name);
        return 1;
    }
    /* -h with something behind it is an option of bench. */
    if (argc > 2 && is_help(argv[2]) && (argc == 3 || argv[2][1] == '-')) {
        return print_help(name);
    }
    if (subcommand->run == NULL) {
        fprintf(stderr, "quorate: '%s' is not built into this binary\n", name);
        return 1;
    }
    return subcommand->run(argc - 1, argv + 1);
}
