#include "talk_played.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/number.h"

#define REPLY_BYTES 8192u

const struct played *played;
char played_asked[512];
struct talk_where played_where;

/* --- Replies --------------------------------------------------------------------------------- */

static const char *word_at(const char *at, struct span *word)
{
    at += strspn(at, " ");
    size_t n = strcspn(at, " ");
    *word = span_of(at, n);
    return at + n;
}

/* One value, and where the next one begins. */
static const char *put_value(const char *at, FILE *out)
{
    struct span word;
    int64_t number;
    at = word_at(at, &word);
    assert_true(word.n > 0);
    if (number_from(word, &number)) {
        (void)fprintf(out, ":%lld\r\n", (long long)number);
    } else if (word.p[0] == '~') {
        (void)fputs("$0\r\n\r\n", out);
    } else if (word.p[0] != '[') {
        (void)fprintf(out, "$%zu\r\n", word.n);
        for (size_t i = 0; i < word.n; i++) {
            (void)fputc(word.p[i] == '^' ? ' ' : word.p[i], out);
        }
        (void)fputs("\r\n", out);
    } else {
        char *inner = NULL;
        size_t bytes = 0;
        int count = 0;
        FILE *elements = open_memstream(&inner, &bytes);
        for (;; count++) {
            const char *behind = word_at(at, &word);
            assert_true(word.n > 0);
            if (word.p[0] == ']') {
                at = behind;
                break;
            }
            at = put_value(at, elements);
        }
        (void)fclose(elements);
        (void)fprintf(out, "*%d\r\n%s", count, inner);
        free(inner);
    }
    return at;
}

static size_t write_reply(const char *reply, char *bytes)
{
    FILE *out = fmemopen(bytes, REPLY_BYTES, "w");
    if (reply[0] == '-' || reply[0] == '+') {
        (void)fprintf(out, "%s\r\n", reply);
    } else if (reply[0] == '#') {
        (void)fprintf(out, "$%zu\r\n%s\r\n", strlen(reply + 1), reply + 1);
    } else {
        (void)put_value(reply, out);
    }
    size_t n = (size_t)ftell(out);
    (void)fclose(out);
    return n;
}

/* --- Talking --------------------------------------------------------------------------------- */

static const char *keep(int i, const char *text)
{
    static char kept[3][128];
    (void)snprintf(kept[i], sizeof kept[i], "%s", text != NULL ? text : "");
    return text != NULL ? kept[i] : NULL;
}

bool talk_open(struct talk *talk, const struct talk_where *where)
{
    *talk = (struct talk){ .fd = -1 };
    played_where = *where;
    played_where.host = keep(0, where->host);
    played_where.user = keep(1, where->user);
    played_where.password = keep(2, where->password);
    for (const struct played *p = played; p->port != 0; p++) {
        if (p->port == where->port) {
            talk->fd = where->port;
            return true;
        }
    }
    (void)snprintf(talk->error, sizeof talk->error, "Connection refused");
    return false;
}

void talk_close(struct talk *talk)
{
    tree_free(&talk->reply);
    free(talk->in);
}

bool talk_ask_line(struct talk *talk, const char *line)
{
    (void)snprintf(played_asked, sizeof played_asked, "%s", line);
    const struct played *p = played;
    while (p->port != 0 && (p->port != talk->fd || strcmp(p->line, line) != 0)) {
        p++;
    }
    if (p->port == 0) {
        fail_msg("nobody has an answer to '%s' at port %d", line, talk->fd);
    }
    if (p->reply == NULL) {
        (void)snprintf(talk->error, sizeof talk->error, "it hung up");
        return false;
    }
    talk->in = realloc(talk->in, REPLY_BYTES);
    talk->in_n = write_reply(p->reply, (char *)talk->in);
    tree_reset(&talk->reply);
    assert_int_equal(tree_read(&talk->reply, talk->in, talk->in_n), TREE_WHOLE);
    return true;
}

bool talk_ask(struct talk *talk, const char *const *words, size_t count)
{
    char line[512] = "";
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(line);
        (void)snprintf(line + n, sizeof line - n, "%s%s", i > 0 ? " " : "", words[i]);
    }
    return talk_ask_line(talk, line);
}

bool talk_refused(struct talk *talk)
{
    if (tree_type(&talk->reply, 0) != '-') {
        return false;
    }
    struct span text = tree_text(&talk->reply, 0);
    (void)snprintf(talk->error, sizeof talk->error, "%.*s", (int)text.n, (const char *)text.p);
    return true;
}

/* --- What is printed ------------------------------------------------------------------------- */

static struct gathered {
    FILE *to;
    FILE *file;
    int fd;
    char text[16384];
} gathered[2];

void gather_begin(void)
{
    gathered[0].to = stdout;
    gathered[1].to = stderr;
    for (int i = 0; i < 2; i++) {
        struct gathered *g = &gathered[i];
        (void)fflush(g->to);
        g->file = tmpfile();
        g->fd = dup(fileno(g->to));
        assert_true(g->file != NULL && g->fd >= 0);
        assert_true(dup2(fileno(g->file), fileno(g->to)) >= 0);
    }
}

void gather_end(const char **out, const char **err)
{
    for (int i = 0; i < 2; i++) {
        struct gathered *g = &gathered[i];
        (void)fflush(g->to);
        (void)dup2(g->fd, fileno(g->to));
        close(g->fd);
        rewind(g->file);
        size_t n = fread(g->text, 1, sizeof g->text - 1, g->file);
        g->text[n] = 0;
        (void)fclose(g->file);
    }
    *out = gathered[0].text;
    *err = gathered[1].text;
}
