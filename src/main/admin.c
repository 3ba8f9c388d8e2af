/* `quorate admin`: what operators do, thin over the commands of the server. It adds nothing to what
 * they say but the form: tables for people, --json for scripts, an exit code. */
#include "main/main.h"

#include "base/limits.h"
#include "main/asking.h"
#include "main/show.h"
#include "main/table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXIT_REFUSED 1
#define PATIENCE_MS 30000

/* "keyspace create" is KEYSPACE CREATE, and so on; what follows goes to the server as it is. */
static const struct action {
    const char *words, *command;
    uint32_t least; /* words that have to follow */
} actions[] = {
    { "keyspace create", "KEYSPACE CREATE", 1 },
    { "keyspace alter", "KEYSPACE ALTER", 3 },
    { "keyspace drop", "KEYSPACE DROP", 1 },
    { "keyspace list", "KEYSPACE LIST", 0 },
    { "keyspace info", "KEYSPACE INFO", 1 },
    { "keyspace stats", "KEYSPACE STATS", 1 },
    { "keyspace lag", "KEYSPACE LAG", 1 },
    { "keyspace explain", "KEYSPACE EXPLAIN", 1 },
    { "member list", "MEMBER LIST", 0 },
    { "member add", "MEMBER ADD", 2 },
    { "member remove", "MEMBER REMOVE", 1 },
    { "member drain", "MEMBER DRAIN", 1 },
    { "member promote", "MEMBER PROMOTE", 1 },
    { "member demote", "MEMBER DEMOTE", 1 },
    { "member set", "MEMBER SET", 3 },
    { "rebalance", "REBALANCE", 0 },
    { "failover", "FAILOVER", 0 },
    { "upgrade status", "CLUSTER UPGRADE STATUS", 0 },
    { "upgrade finalize", "CLUSTER UPGRADE FINALIZE", 0 },
    { "alarm list", "ALARM LIST", 0 },
    { "alarm ack", "ALARM ACK", 1 },
};

/* How many of the arguments the action's name takes; 0: it is another one. */
static uint32_t matches(const struct action *a, int argc, char **argv)
{
    const char *at = a->words;
    uint32_t taken = 0;
    while (*at != 0) {
        size_t n = strcspn(at, " ");
        if ((int)taken >= argc || strlen(argv[taken]) != n ||
            strncasecmp(argv[taken], at, n) != 0) {
            return 0;
        }
        taken++;
        at += n + (at[n] == ' ' ? 1 : 0);
    }
    return taken;
}

static const struct action *find(int argc, char **argv, uint32_t *taken)
{
    for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
        *taken = matches(&actions[i], argc, argv);
        if (*taken > 0) {
            return &actions[i];
        }
    }
    return NULL;
}

/* The words of the command; 0: there are too many. */
static size_t compose(const struct action *a, int argc, char **argv, char *text, size_t cap,
                      const char **words)
{
    size_t count = 0;
    (void)snprintf(text, cap, "%s", a->command);
    char *rest = text;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        words[count++] = word;
    }
    if (argc > (int)(TALK_WORDS_MAX - count - 2)) {
        return 0;
    }
    bool strategy = strcmp(a->command, "KEYSPACE CREATE") != 0;
    for (int i = 0; i < argc; i++) {
        words[count++] = argv[i];
        strategy = strategy || (i > 0 && strcasecmp(argv[i], "STRATEGY") == 0);
    }
    if (!strategy) { /* there is one so far */
        words[count++] = "STRATEGY";
        words[count++] = "raft";
    }
    return count;
}

static int carry_out(const struct asking *asking, const char *const *words, size_t count)
{
    struct talk talk;
    int code = 0;
    if (!talk_open(&talk, &asking->where) || !talk_ask(&talk, words, count)) {
        fprintf(stderr, "quorate admin: %s: %s\n", asking->name, talk.error);
        code = EXIT_UNREACHED;
    } else if (talk_refused(&talk)) {
        fprintf(stderr, "%s\n", talk.error);
        code = EXIT_REFUSED;
    } else if (asking->json) {
        show_json(&talk.reply, 0, stdout);
        printf("\n");
    } else {
        show_reply(&talk.reply, 0, table_width(stdout), stdout);
    }
    talk_close(&talk);
    return asking_written("admin") ? code : EXIT_UNWRITTEN;
}

int admin_main(int argc, char **argv)
{
    struct asking asking;
    char text[64];
    const char *words[TALK_WORDS_MAX];
    uint32_t taken = 0;
    int first = asking_parse(&asking, "admin", PATIENCE_MS, argc, argv);
    if (first < 0) {
        return EXIT_USAGE;
    }
    const struct action *a = find(argc - first, argv + first, &taken);
    if (a == NULL) {
        const char *second = first + 1 < argc ? argv[first + 1] : "";
        if (first == argc) {
            fprintf(stderr, "quorate admin: an action is missing");
        } else {
            fprintf(stderr, "quorate admin: there is no action '%s%s%s'", argv[first],
                    *second != 0 ? " " : "", second);
        }
        fprintf(stderr, "; see quorate admin --help\n");
        return EXIT_USAGE;
    }
    int rest = argc - first - (int)taken;
    if (rest < (int)a->least) {
        fprintf(stderr, "quorate admin: '%s' wants more; see quorate admin --help\n", a->words);
        return EXIT_USAGE;
    }
    size_t count = compose(a, rest, argv + argc - rest, text, sizeof text, words);
    if (count == 0) {
        fprintf(stderr, "quorate admin: too many words\n");
        return EXIT_USAGE;
    }
    return carry_out(&asking, words, count);
}
