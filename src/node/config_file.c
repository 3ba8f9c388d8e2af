/* Settings from files and command lines: redis.conf's syntax. One directive per line, its words
 * separated by blanks, quoted where needed ("\xHH", '..'); a line that starts with # is a comment.
 */
#include "node/config_internal.h"

#include "base/alloc.h"
#include "base/number.h"
#include "base/panic.h"
#include "base/word.h"
#include "resp/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct source {
    struct config *config;
    const char *name;
    uint32_t depth;
    struct text *error;
};

static bool read_file(struct source *from, const char *path);

/* --- Lines ---------------------------------------------------------------------------------- */

/* "file:line: 'the line': " in front of what went wrong. */
static void blame(struct source *from, uint32_t number, struct span line)
{
    text_put(from->error, from->name);
    text_char(from->error, ':');
    text_u64(from->error, number);
    text_put(from->error, ": '");
    for (size_t i = 0; i < line.n && i < 200; i++) {
        text_char(from->error, line.p[i] < ' ' ? ' ' : (char)line.p[i]);
    }
    text_put(from->error, "': ");
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Splits a line; the words lie in `room`. Returns how many, or -1: quotes out of balance, or more
 * words than any directive has. */
static int split(struct span line, uint8_t *room, struct span *words)
{
    int count = 0;
    size_t i = 0;
    for (;;) {
        while (i < line.n && is_blank(line.p[i])) {
            i++;
        }
        if (i == line.n) {
            return count;
        }
        size_t n;
        size_t took = resp_next_word(line.p + i, line.n - i, room, &n);
        if (took == 0 || (uint32_t)count == CONFIG_LINE_WORDS_MAX) {
            return -1;
        }
        words[count++] = span_of(room, n);
        room += n;
        i += took;
    }
}

/* One directive: words[0] is its name. */
static bool carry_out(struct source *from, const struct span *words, uint32_t n,
                      struct text *reason)
{
    if (word_is(words[0], "include")) {
        char path[PATH_MAX];
        if (n != 2 || words[1].n >= sizeof path) {
            text_put(reason, "wrong number of arguments");
            return false;
        }
        memcpy(path, words[1].p, words[1].n);
        path[words[1].n] = 0;
        return read_file(from, path);
    }
    const struct directive *d = directive_find(words[0]);
    if (d == NULL) {
        text_put(reason, "Bad directive or wrong number of arguments");
        return false;
    }
    return directive_set(from->config, d, words + 1, n - 1, false, reason);
}

static bool read_line(struct source *from, struct span line, uint32_t number)
{
    size_t start = 0;
    while (start < line.n && is_blank(line.p[start])) {
        start++;
    }
    if (start == line.n || line.p[start] == '#') {
        return true;
    }
    char reason_text[512];
    struct text reason = text_in(reason_text, sizeof reason_text);
    uint8_t room[CONFIG_LINE_BYTES_MAX];
    struct span words[CONFIG_LINE_WORDS_MAX];
    int n = line.n <= sizeof room ? split(line, room, words) : -1;
    if (n < 0) {
        text_put(&reason, line.n <= sizeof room ? "Unbalanced quotes in configuration line"
                                                : "the line is too long");
    } else if (carry_out(from, words, (uint32_t)n, &reason)) {
        return true;
    }
    if (reason.n > 0) { /* an included file has blamed its own line */
        blame(from, number, line);
        text_put(from->error, reason_text);
    }
    return false;
}

static bool read_text(struct source *from, struct span text)
{
    uint32_t number = 0;
    size_t at = 0;
    while (at < text.n) {
        const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end != NULL ? (size_t)(end - (text.p + at)) : text.n - at;
        number++;
        if (!read_line(from, span_of(text.p + at, n), number)) {
            return false;
        }
        at += n + 1;
    }
    return true;
}

bool config_parse_text(struct config *config, struct span text, const char *source, char *error,
                       size_t cap)
{
    struct text out = text_in(error, cap);
    struct source from = { .config = config, .name = source, .depth = 0, .error = &out };
    return read_text(&from, text);
}

/* --- Files ---------------------------------------------------------------------------------- */

static bool read_stream(struct source *from, FILE *file)
{
    uint8_t *bytes = qr_alloc(CONFIG_FILE_BYTES_MAX + 1);
    size_t n = fread(bytes, 1, CONFIG_FILE_BYTES_MAX + 1, file);
    bool ok = ferror(file) == 0 && n <= CONFIG_FILE_BYTES_MAX;
    if (ok) {
        ok = read_text(from, span_of(bytes, n));
    } else {
        text_put(from->error, from->name);
        text_put(from->error, n > CONFIG_FILE_BYTES_MAX ? ": the file is too long"
                                                        : ": the file cannot be read");
    }
    free(bytes);
    return ok;
}

static bool read_file(struct source *from, const char *path)
{
    struct source inner = *from;
    inner.name = path;
    inner.depth = from->depth + 1;
    if (inner.depth > CONFIG_INCLUDE_DEPTH_MAX) {
        text_put(from->error, path);
        text_put(from->error, ": files include each other too deeply");
        return false;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        text_put(from->error, "Can't open config file '");
        text_put(from->error, path);
        text_put(from->error, "': ");
        text_put(from->error, strerror(errno));
        return false;
    }
    bool ok = read_stream(&inner, file);
    (void)fclose(file);
    return ok;
}

static bool read_first(struct source *from, const char *path)
{
    if (strcmp(path, "-") == 0) {
        from->name = "standard input";
        memcpy(from->config->file, "-", 2);
        return read_stream(from, stdin);
    }
    /* An absolute path, because the node may be asked for it from anywhere. */
    char absolute[PATH_MAX];
    if (realpath(path, absolute) != NULL && strlen(absolute) < sizeof from->config->file) {
        memcpy(from->config->file, absolute, strlen(absolute) + 1);
    }
    return read_file(from, path);
}

/* --- Command lines -------------------------------------------------------------------------- */

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2] != 0;
}

/* `--name value...` at argv[*i]; moves *i behind it. */
static bool read_option(struct source *from, int argc, char *const *argv, int *i)
{
    struct span words[CONFIG_LINE_WORDS_MAX];
    const char *option = argv[*i];
    uint32_t n = 0;
    words[n++] = span_of(option + 2, strlen(option + 2));
    while (++*i < argc && !is_option(argv[*i])) {
        if (n == CONFIG_LINE_WORDS_MAX) {
            text_put(from->error, option);
            text_put(from->error, ": too many words");
            return false;
        }
        words[n++] = span_of(argv[*i], strlen(argv[*i]));
    }
    const struct directive *d = directive_find(words[0]);
    if (n == 1 && d != NULL && d->kind == DIRECTIVE_SWITCH) {
        words[n++] = SPAN_LITERAL("yes");
    }
    char reason_text[512];
    struct text reason = text_in(reason_text, sizeof reason_text);
    if (carry_out(from, words, n, &reason)) {
        return true;
    }
    if (reason.n > 0) {
        text_put(from->error, option);
        text_put(from->error, ": ");
        text_put(from->error, reason_text);
    }
    return false;
}

bool config_parse_arguments(int argc, char *const *argv, struct config *config, char *error,
                            size_t cap)
{
    struct text out = text_in(error, cap);
    struct source from = { .config = config, .name = "", .depth = 0, .error = &out };
    int i = 0;
    if (argc > 0 && !is_option(argv[0])) {
        i = 1;
        if (!read_first(&from, argv[0])) {
            return false;
        }
    }
    while (i < argc) {
        if (!is_option(argv[i])) {
            text_put(&out, argv[i]);
            text_put(&out, ": expected --name value");
            return false;
        }
        if (!read_option(&from, argc, argv, &i)) {
            return false;
        }
    }
    return config_check(config, error, cap);
}

/* --- The whole ------------------------------------------------------------------------------ */

static bool is_cluster_id(const char *id)
{
    return strlen(id) == 32 && strspn(id, "0123456789abcdefABCDEF") == 32;
}

static bool check_members(const struct config *config, struct text *out)
{
    uint32_t me = config->node_id == 0 ? 1 : config->node_id; /* of a new directory */
    bool self = config->member_count == 0 || (config->node_id == 0 && !config->bootstrap);
    for (uint32_t i = 0; i < config->member_count; i++) {
        self = self || config->members[i].id == me;
        for (uint32_t j = 0; j < i; j++) {
            if (config->members[i].id == config->members[j].id) {
                text_put(out, "member: two members have the id ");
                text_u64(out, config->members[i].id);
                return false;
            }
        }
    }
    if (!self) {
        text_put(out, "member: no member has this node's id, node-id ");
        text_u64(out, me);
        return false;
    }
    if (config->member_count > 1 && config->bootstrap && config->cluster_id[0] == 0) {
        text_put(out, "cluster-id: a cluster of several nodes needs one, the same for all "
                      "members: 32 hex digits");
        return false;
    }
    return true;
}

/* A '-' stands in front of an address that may fail, never alone. */
static bool check_addresses(const char *name, const char *list, struct text *out)
{
    char address[64];
    bool optional;
    for (uint32_t i = 0; config_address(list, i, address, &optional); i++) {
        if (address[0] == 0) {
            text_put(out, name);
            text_put(out, ": '-' without an address behind it");
            return false;
        }
    }
    return true;
}

static bool check_join(const struct config *config, struct text *out)
{
    char host[64];
    uint16_t port;
    uint16_t client_port;
    bool valid = true;
    bool numeric = true;
    for (uint32_t i = 0; config_join_target(config->join, i, host, &port, &client_port, &valid);
         i++) {
        numeric = numeric && config_is_numeric(host);
    }
    if (!valid || !numeric) {
        text_put(out,
                 "join: addresses of nodes that are there, host:port[@peer-port], separated by "
                 "commas; the hosts are numeric, names are not looked up");
        valid = false;
    } else if (config->join[0] != 0 && config->bootstrap) {
        text_put(out, "join: a node is either made with the cluster (--bootstrap) or joins it");
        valid = false;
    }
    return valid;
}

bool config_check(const struct config *config, char *error, size_t cap)
{
    struct text out = text_in(error, cap);
    if (!check_addresses("bind", config->bind, &out) ||
        !check_addresses("metrics-bind", config->metrics_bind, &out)) {
        return false;
    }
    if (config->cluster_id[0] != 0 && !is_cluster_id(config->cluster_id)) {
        text_put(&out, "cluster-id: must be 32 hex digits");
        return false;
    }
    if (config->lease_ms >= config->election_timeout_ms) {
        text_put(&out, "lease-ms: must be below election-timeout-ms");
        return false;
    }
    if (config->heartbeat_ms >= config->election_timeout_ms) {
        text_put(&out, "heartbeat-ms: must be below election-timeout-ms");
        return false;
    }
    if (config->node_timeout_ms != 0 && config->node_timeout_ms <= 2 * config->heartbeat_ms) {
        text_put(&out, "node-timeout-ms: must be above twice heartbeat-ms, or 0");
        return false;
    }
    if (config->peer_port == 0 && config->port > 65535 - 10000) {
        text_put(&out, "peer-port: must be given, because the client port plus 10000 is no port");
        return false;
    }
    return check_join(config, &out) && check_members(config, &out);
}

void config_own_address(const struct config *config, char address[64])
{
    char first[64] = "";
    char candidate[64];
    bool optional;
    for (uint32_t i = 0; config_address(config->bind, i, candidate, &optional); i++) {
        bool any = strcmp(candidate, "0.0.0.0") == 0 || strcmp(candidate, "::") == 0;
        if (any || strcmp(candidate, address) == 0) {
            return;
        }
        bool loopback = strncmp(first, "127.", 4) == 0 || strcmp(first, "::1") == 0;
        if (first[0] == 0 || loopback) {
            memcpy(first, candidate, sizeof first);
        }
    }
    if (config->bind_given && first[0] != 0) {
        memcpy(address, first, sizeof first);
    }
}

bool config_is_numeric(const char *host)
{
    char address[64];
    uint8_t bytes[16];
    (void)snprintf(address, sizeof address, "%.*s", (int)strcspn(host, "%"), host);
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

bool config_join_target(const char *list, uint32_t i, char host[64], uint16_t *peer_port,
                        uint16_t *client_port, bool *valid)
{
    const char *p = list;
    *valid = true;
    for (; i > 0 && *p != 0; i--) {
        p += strcspn(p, ", ");
        p += strspn(p, ", ");
    }
    size_t n = strcspn(p, ", ");
    if (n == 0) {
        return false;
    }
    *valid = false;
    struct span at =
        span_of(p, n); /* host:port[@peer-port]; the host may hold colons or brackets */
    const uint8_t *peer = memchr(at.p, '@', n);
    size_t whole = peer != NULL ? (size_t)(peer - at.p) : n;
    const uint8_t *colon = memrchr(at.p, ':', whole);
    if (colon == NULL) {
        return false;
    }
    size_t bytes = (size_t)(colon - at.p);
    bool bracketed = bytes >= 2 && at.p[0] == '[' && colon[-1] == ']';
    struct span name = bracketed ? span_of(at.p + 1, bytes - 2) : span_of(at.p, bytes);
    struct span port = span_of(colon + 1, (size_t)(at.p + whole - colon - 1));
    int64_t client = 0;
    int64_t to = 0;
    if (name.n == 0 || name.n >= 64 || !number_from(port, &client) || client < 1 ||
        client > UINT16_MAX) {
        return false;
    }
    to = client + 10000;
    if (peer != NULL && !number_from(span_of(peer + 1, n - whole - 1), &to)) {
        return false;
    }
    (void)snprintf(host, 64, "%.*s", (int)name.n, (const char *)name.p);
    *peer_port = (uint16_t)to;
    *client_port = (uint16_t)client;
    *valid = to >= 1 && to <= UINT16_MAX;
    return *valid;
}

bool config_address(const char *list, uint32_t i, char address[64], bool *optional)
{
    const char *p = list;
    for (;;) {
        p += strspn(p, " ");
        size_t n = strcspn(p, " ");
        if (n == 0) {
            return false;
        }
        if (i == 0) {
            *optional = p[0] == '-';
            p += *optional ? 1 : 0;
            n -= *optional ? 1 : 0;
            bool any6 = n == 3 && memcmp(p, "::*", 3) == 0;
            bool any4 = n == 1 && p[0] == '*';
            (void)snprintf(address, 64, "%.*s", (int)n, p);
            if (any4 || any6) {
                (void)snprintf(address, 64, "%s", any4 ? "0.0.0.0" : "::");
            }
            return true;
        }
        i--;
        p += n;
    }
}

int config_percentiles(const char *text, double out[PERCENTILES_MAX])
{
    int n = 0;
    while (text += strspn(text, " "), *text != 0) {
        char *end;
        double value = strtod(text, &end);
        bool number = end != text && (*end == ' ' || *end == 0) && value >= 0 && value <= 100;
        if (!number || n == PERCENTILES_MAX) {
            return -1;
        }
        out[n++] = value;
        text = end;
    }
    return n;
}

bool config_denies_remote(const struct config *config, const char *peer_name)
{
    if (!config->protected_mode || config->requirepass[0] != 0) {
        return false;
    }
    const char *colon = strrchr(peer_name, ':');
    if (colon == NULL || peer_name[0] == '/') {
        return false; /* a Unix socket is near too */
    }
    char address[64];
    size_t bracket = peer_name[0] == '[' ? 1 : 0;
    (void)snprintf(address, sizeof address, "%.*s", (int)(colon - peer_name), peer_name);
    address[strcspn(address, "]")] = 0;
    const char *host = address + bracket;
    bool near = strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
                strncmp(host, "::ffff:127.", 11) == 0;
    return !near;
}
