/* docs/commands.md, settings.md and failpoints.md are printed from commands.def, config.def and
 * failpoints.def: this compares what is checked in with what would be printed.
 *
 *     docs_test DOCS-DIRECTORY [--write] */
#include "base/alloc.h"
#include "command/details.h"
#include "node/config_internal.h"

#include <stdio.h>
#include <string.h>

#define PAGE_BYTES_MAX ((size_t)1 << 18)

/* --- Commands ----------------------------------------------------------------------------------
 */

static const char *place_name(enum command_place place)
{
    switch (place) {
    case PLACE_LOCAL:
        return "this node";
    case PLACE_READ:
        return "one replica, read";
    case PLACE_WRITE:
        return "all, through the log";
    case PLACE_WAIT:
    case PLACE_ORDER:
        return "the leader";
    case PLACE_NONE:
        break;
    }
    return "";
}

/* Upper case, the bar of a subcommand as a blank. */
static void put_name(FILE *out, const char *name)
{
    for (; *name != 0; name++) {
        (void)fputc(*name == '|' ? ' ' : (*name >= 'a' && *name <= 'z' ? *name - 32 : *name), out);
    }
}

/* Bars would end a cell of the table. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text != 0; text++) {
        (void)fputs(*text == '|' ? "\\|" : (char[]){ *text, 0 }, out);
    }
}

static void write_commands(FILE *out)
{
    (void)fputs("# Commands\n\n"
                "Printed from `src/command/commands.def` and `syntax.def`; "
                "`docs_test docs --write` renews it.\n\n"
                "Any node takes any command. *Carried out by* says who does the work: the node "
                "itself, the engine\nof the leader's replica or of this node's "
                "([levels.md](levels.md)), or all engines in the order of the\nlog. *Since* is "
                "the version of Redis that it comes from.\n\n"
                "| command | arguments | what it does | carried out by | cost | since |\n"
                "|---|---|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_spec *spec = command_at(i);
        if (spec->place == PLACE_NONE) {
            continue;
        }
        (void)fputs("| ", out);
        put_name(out, spec->name);
        (void)fputs(" | ", out);
        put_cell(out, command_syntax_of(spec));
        (void)fprintf(out, " | %s | %s | ", spec->summary, place_name(spec->place));
        put_cell(out, spec->complexity);
        (void)fprintf(out, " | %s |\n", spec->since);
    }
}

/* --- Settings ----------------------------------------------------------------------------------
 */

static void put_bytes(FILE *out, uint64_t n)
{
    static const char *const units[] = { "", "kb", "mb", "gb" };
    size_t unit = 0;
    while (n > 0 && n % 1024 == 0 && unit < 3) {
        n /= 1024;
        unit++;
    }
    (void)fprintf(out, "%llu%s", (unsigned long long)n, units[unit]);
}

static void put_range(FILE *out, const struct directive *d)
{
    if (d->kind == DIRECTIVE_SWITCH) {
        (void)fputs("yes or no", out);
    } else if (d->kind == DIRECTIVE_CHOICE) {
        for (const char *c = d->words; *c != 0; c++) {
            (void)fputs(*c == '|' ? ", " : (char[]){ *c, 0 }, out);
        }
    } else if (d->kind == DIRECTIVE_NUMBER) {
        (void)fprintf(out, "%llu to %llu", (unsigned long long)d->least,
                      (unsigned long long)d->most);
    } else if (d->kind == DIRECTIVE_SIZE) {
        put_bytes(out, d->least);
        (void)fputs(d->most == INT64_MAX ? " and more" : " to ", out);
        if (d->most != INT64_MAX) {
            put_bytes(out, d->most);
        }
    } else {
        (void)fputs("text", out);
    }
}

static const struct directive *at(uint32_t i)
{
    return directive_find(span_of(config_name(i), strlen(config_name(i))));
}

static bool is_alias(uint32_t i)
{
    return strcmp(config_target(i), config_name(i)) != 0;
}

static void put_default(FILE *out, const struct config *config, uint32_t i)
{
    char text[CONFIG_VALUE_BYTES];
    struct text value = text_in(text, sizeof text);
    if (at(i)->kind == DIRECTIVE_SIZE) {
        put_bytes(out, at(i)->initial);
        return;
    }
    if (config_shown(i)) {
        config_value(config, i, &value);
    }
    (void)fputs(text, out);
}

/* "name, name = value, ..." of all directives of a kind. */
static void put_list(FILE *out, const struct config *config, enum directive_kind kind)
{
    const char *between = "";
    for (uint32_t i = 0; i < config_count(); i++) {
        if (at(i)->kind == kind && !is_alias(i)) {
            (void)fprintf(out, "%s`%s", between, config_name(i));
            if (kind == DIRECTIVE_CONSTANT) {
                (void)fputc(' ', out);
                put_default(out, config, i);
            }
            (void)fputc('`', out);
            between = ",\n";
        }
    }
    (void)fputs("\n", out);
}

static void write_settings(FILE *out)
{
    struct config *config = qr_alloc(sizeof *config);
    config_defaults(config);
    (void)fputs("# Settings\n\n"
                "Printed from `src/node/config.def`; `docs_test docs --write` renews it.\n\n"
                "A file of settings has redis.conf's syntax: one `name value` a line, `#` for "
                "comments, quotes where a\nvalue holds blanks, `include FILE`. On the command line "
                "they read `--name value`. *Live* ones can be\nchanged by CONFIG SET.\n\n"
                "| name | default | values | live | what it is |\n|---|---|---|---|---|\n",
                out);
    for (uint32_t i = 0; i < config_count(); i++) {
        const struct directive *d = at(i);
        if (config_help(i)[0] == 0) {
            continue;
        }
        (void)fprintf(out, "| %s | ", config_name(i));
        put_default(out, config, i);
        (void)fputs(" | ", out);
        put_range(out, d);
        (void)fprintf(out, " | %s | %s |\n", d->anytime ? "yes" : "no", config_help(i));
    }
    (void)fputs("\n## How this server is\n\nAnother value in a file is noted in the log and has no "
                "effect; CONFIG SET refuses it.\n\n",
                out);
    put_list(out, config, DIRECTIVE_CONSTANT);
    (void)fputs(
        "\n## Refused\n\nTo ignore these would leave a door open that the operator believes "
        "shut, so a node does not start\nwith them.\n\n",
        out);
    put_list(out, config, DIRECTIVE_REFUSED);
    (void)fputs(
        "\n## Without effect\n\nKept and shown for clients that ask; named once in the log "
        "when a file has them. Their older names\n(`slave-...`, `...-ziplist-...`) are known "
        "too.\n\n",
        out);
    put_list(out, config, DIRECTIVE_NOTED);
    free(config);
}

/* --- Failpoints --------------------------------------------------------------------------------
 */

static void write_failpoints(FILE *out)
{
    static const struct {
        const char *name, *life, *text;
        bool errors;
    } points[] = {
#define FAILPOINT(name, life, errors, text) { #name, #life, text, errors },
#include "io/failpoints.def"
#undef FAILPOINT
    };
    (void)fputs("# Failpoints\n\n"
                "Printed from `src/io/failpoints.def`; `docs_test docs --write` renews it. "
                "docs/testing.md says how they\nare used; *reached by* is explained in that file. "
                "*Error* marks the places where the disk can be\nmade to report one.\n\n"
                "| name | reached by | error | where the process stands |\n|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        (void)fprintf(out, "| %s | %s | %s | %s |\n", points[i].name, points[i].life,
                      points[i].errors ? "yes" : "", points[i].text);
    }
}

/* --- Metrics -----------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *type, *labels, *help;
} metrics[] = {
#define ONE(name, type, help, expression) { #name, #type, "", help },
#define MANY(name, type, labels, help, writer) { #name, #type, labels, help },
#include "node/metrics.def"
#undef ONE
#undef MANY
};

static void write_metrics(FILE *out)
{
    (void)fputs(
        "# Metrics\n\n"
        "Printed from `src/node/metrics.def`; `docs_test docs --write` renews it.\n\n"
        "With `metrics-port` set, a node serves `GET /metrics` in Prometheus's text format, `GET "
        "/health` (200 while\nits loop turns) and `GET /ready` (503 while it knows no leader) on "
        "the addresses of `metrics-bind`.\n`quorate up` uses each node's port + 300. Names that "
        "begin with `redis_` are those of redis_exporter, so\nthat its dashboards show a node; "
        "what Redis does not have begins with `quorate_`. [info.md](info.md)\nlists the fields of "
        "INFO, which says the same to a client.\n\n"
        "Counters begin anew with the process and with CONFIG RESETSTAT. A command counts as "
        "executed where that\nwas done, mostly on the leader; latencies, errors and replies count "
        "at the node that the client is\nconnected to, so that sums over all nodes are right. "
        "Bounds of histograms are powers of two, less one\nfrom 127 on, where the counts are "
        "exact.\n\n"
        "| metric | type | labels | what it is |\n|---|---|---|---|\n",
        out);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        (void)fprintf(out, "| %s | %s | %s | %s |\n", metrics[i].name, metrics[i].type,
                      metrics[i].labels, metrics[i].help);
    }
}

/* --- Comparing -----------------------------------------------------------------------------------
 */

static bool same_as_file(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char *there = qr_alloc(PAGE_BYTES_MAX);
    size_t there_n = fread(there, 1, PAGE_BYTES_MAX, file);
    (void)fclose(file);
    bool same = there_n == n && memcmp(there, text, n) == 0;
    free(there);
    return same;
}

static bool page(const char *directory, const char *name, void (*write)(FILE *), bool renew)
{
    char path[1024];
    char *text = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = open_memstream(&text, &n);
    qr_assert(out != NULL);
    write(out);
    (void)fclose(out);
    if (renew) {
        FILE *file = fopen(path, "we");
        qr_assert(file != NULL);
        (void)fwrite(text, 1, n, file);
        (void)fclose(file);
    }
    bool same = same_as_file(path, text, n);
    free(text);
    return same;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *source;
        void (*write)(FILE *);
    } pages[] = { { "commands.md", "commands.def", write_commands },
                  { "settings.md", "config.def", write_settings },
                  { "failpoints.md", "failpoints.def", write_failpoints },
                  { "metrics.md", "metrics.def", write_metrics } };
    const size_t count = sizeof pages / sizeof pages[0];
    bool renew = argc > 2 && strcmp(argv[2], "--write") == 0;
    const char *directory = argc > 1 ? argv[1] : "docs";
    bool all = true;
    (void)printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        bool same = page(directory, pages[i].name, pages[i].write, renew);
        (void)printf("%s %zu - docs/%s is what %s says\n", same ? "ok" : "not ok", i + 1,
                     pages[i].name, pages[i].source);
        all = all && same;
    }
    if (!all) {
        (void)printf("# renew them: %s docs --write\n", argv[0]);
    }
    return !all;
}
