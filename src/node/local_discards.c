/* KEYSPACE DISCARDS: what this node has discarded of a keyspace (R8, docs/discards.md). */
#include "node/local_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/number.h"
#include "command/op.h"
#include "engine/rows_format.h"
#include "log/record.h"
#include "node/journals.h"

#include <stdio.h>
#include <string.h>

#define COUNT_BY_DEFAULT 10u
#define ITEM_FIELDS 15u
#define STATS_FIELDS 11u

/* --- A command ------------------------------------------------------------------------------ */

/* Its name in upper case, in one word or two. */
static void write_name(struct reply *reply, const struct command_spec *spec)
{
    char name[64];
    size_t n = 0;
    for (const char *p = spec->name;; p++) {
        if (*p != 0 && *p != '|' && n < sizeof name) {
            name[n++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
            continue;
        }
        reply_bulk(reply, span_of(name, n));
        n = 0;
        if (*p == 0) {
            return;
        }
    }
}

/* What a row has made of its key, in the words of commands: SET key value, and when it is due, or
 * DEL key. Of a value of which the row has a part alone it is told how many bytes it had. */
static void write_row(struct reply *reply, const struct row *row)
{
    char text[48];
    bool gone = row->after.type == ROW_ABSENT;
    reply_bulk_text(reply, gone ? "DEL" : "SET");
    reply_bulk(reply, row->key);
    if (gone) {
        return;
    }
    if (row->prefix + row->suffix > 0) {
        (void)snprintf(text, sizeof text, "(%u bytes)", row->after.n);
        reply_bulk_text(reply, text);
    } else {
        reply_bulk(reply, row->new);
    }
    if (row->after.expire != 0) {
        (void)snprintf(text, sizeof text, "%lld", (long long)row->after.expire / QR_MILLISECOND);
        reply_bulk_text(reply, "PXAT");
        reply_bulk_text(reply, text);
    }
}

static size_t words_of(const struct row *row)
{
    return row->after.type == ROW_ABSENT ? 2 : row->after.expire == 0 ? 3 : 5;
}

/* One row behind the other, but for the records of requests, which are no keys of clients. */
static void write_rows(struct reply *reply, const struct rows_entry *rows)
{
    struct row row;
    size_t words = 0;
    for (struct rows_cursor c = rows_begin(rows); rows_next(&c, &row);) {
        words += row.db < DATABASES ? words_of(&row) : 0;
    }
    reply_array(reply, words);
    for (struct rows_cursor c = rows_begin(rows); rows_next(&c, &row);) {
        if (row.db < DATABASES) {
            write_row(reply, &row);
        }
    }
}

/* As it was given, word for word; what was large is told by its bytes, which stand in entries
 * before. Nothing where the entry is no command, or is cut. */
static void write_command(struct reply *reply, const struct discard *entry)
{
    struct op op;
    struct rows_entry rows;
    const struct command_spec *spec = NULL;
    bool logical = entry->kind == RECORD_ROWS && rows_read(entry->payload, &rows);
    if (logical && rows.form == ROWS_FORM_ROWS) {
        write_rows(reply, &rows);
        return;
    }
    bool statement = logical && rows.form == ROWS_FORM_STATEMENT;
    if (op_read(statement ? rows.body : entry->payload, &op) &&
        (statement || entry->kind == RECORD_COMMAND)) {
        spec = command_by_tag(op.tag);
    }
    if (spec == NULL) {
        reply_array(reply, 0);
        return;
    }
    struct span *argv = qr_alloc(op.argc * sizeof *argv);
    op_arguments(&op, argv, NULL);
    reply_array(reply, command_name_words(spec) + op.argc);
    write_name(reply, spec);
    for (uint32_t i = 0; i < op.argc; i++) {
        char text[48];
        if (op_is_ref(argv[i])) {
            (void)snprintf(text, sizeof text, "(%zu bytes)", argv[i].n);
            reply_bulk_text(reply, text);
        } else {
            reply_bulk(reply, argv[i]);
        }
    }
    free(argv);
}

static const char *kind_name(const struct discards_item *item)
{
    switch (item->entry.kind) {
    case RECORD_COMMAND:
        return "command";
    case RECORD_BLOB:
        return "blob";
    case RECORD_NOOP:
        return "noop";
    case RECORD_TICK:
        return "tick";
    case RECORD_ROWS:
        return "rows";
    case RECORD_MEMBERS:
        return "members";
    default:
        return "unknown"; /* blind, or damaged */
    }
}

static int64_t db_of(const struct discard *entry)
{
    struct op op;
    struct rows_entry rows;
    struct row row;
    if (entry->kind == RECORD_ROWS && rows_read(entry->payload, &rows)) {
        struct rows_cursor c = rows_begin(&rows);
        return rows_next(&c, &row) && row.db < DATABASES ? row.db : 0;
    }
    return entry->kind == RECORD_COMMAND && op_peek(entry->payload, &op) ? op.db : 0;
}

/* --- SCAN ----------------------------------------------------------------------------------- */

struct items {
    struct reply reply;
    uint32_t count;
};

static void write_item(void *context, const struct discards_item *item)
{
    static const char *const acknowledged[] = { "no", "maybe", "yes" };
    struct items *items = context;
    struct reply *reply = &items->reply;
    const struct discard *entry = &item->entry;
    bool unread = item->unread > 0;
    items->count++;
    reply_map(reply, ITEM_FIELDS);
    reply_field_integer(reply, "number", (int64_t)entry->number);
    reply_field_text(reply, "state",
                     unread           ? "damaged"
                     : item->regained ? "regained"
                                      : "discarded");
    reply_field_integer(reply, "count", (int64_t)(unread ? item->unread : entry->slots));
    reply_field_text(reply, "reason", unread ? "unknown" : discard_reason_name(entry->reason));
    reply_field_text(reply, "acknowledged", acknowledged[unread ? 1 : entry->acknowledged]);
    reply_field_integer(reply, "at", (int64_t)entry->at / QR_MILLISECOND);
    reply_field_integer(reply, "partition", entry->partition);
    reply_field_integer(reply, "group", entry->group);
    reply_field_integer(reply, "slot", (int64_t)entry->slot);
    reply_field_integer(reply, "term", (int64_t)entry->term);
    reply_field_integer(reply, "lost-to", (int64_t)entry->lost_to);
    reply_field_text(reply, "kind", kind_name(item));
    reply_field_integer(reply, "db", db_of(entry));
    reply_field_integer(reply, "bytes", entry->bytes);
    reply_bulk_text(reply, "command");
    write_command(reply, entry);
}

static void write_page(struct reply *reply, uint64_t next, struct items *items)
{
    char cursor[24];
    (void)snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)next);
    reply_array(reply, 2);
    reply_bulk_text(reply, cursor);
    reply_array(reply, items->count);
    reply_move(reply, &items->reply);
}

static void scan(struct discards *discards, uint64_t cursor, uint32_t count, struct reply *reply)
{
    struct items items = { .count = 0 };
    uint64_t next = 0;
    int error = 0;
    reply_init(&items.reply, reply->version);
    if (discards != NULL) {
        error = discards_scan(discards, cursor, count, write_item, &items, &next);
    }
    if (error < 0) {
        reply_errorf(reply, "ERR the discard journal cannot be read: %s", strerror(-error));
    } else {
        write_page(reply, next, &items);
    }
    reply_free(&items.reply);
}

/* --- STATS ---------------------------------------------------------------------------------- */

static void write_stats(struct reply *reply, const struct discards *discards)
{
    struct discards_stats stats = { 0 };
    if (discards != NULL) {
        discards_stats(discards, &stats);
    }
    reply_map(reply, STATS_FIELDS);
    reply_field_integer(reply, "total", (int64_t)stats.total);
    reply_field_integer(reply, "kept", (int64_t)stats.kept);
    reply_field_integer(reply, "regained", (int64_t)stats.regained);
    reply_field_integer(reply, "overflowed", (int64_t)stats.overflowed);
    reply_field_integer(reply, "damaged", (int64_t)stats.damaged);
    reply_field_integer(reply, "blind-slots", (int64_t)stats.blind);
    reply_field_integer(reply, "oldest", (int64_t)stats.oldest);
    reply_field_integer(reply, "bytes-total", (int64_t)stats.bytes_total);
    reply_field_integer(reply, "bytes-overflowed", (int64_t)stats.overflowed_bytes);
    reply_field_integer(reply, "disk-bytes", (int64_t)stats.disk_bytes);
    reply_field_integer(reply, "unread-files", stats.unread_files);
}

/* --- The command ---------------------------------------------------------------------------- */

struct wanted {
    bool stats;
    int64_t cursor, count;
};

/* Behind the name: nothing, STATS, or SCAN cursor [COUNT count]. Writes the error. */
static bool read_wanted(const struct span *argv, uint32_t argc, struct wanted *out,
                        struct reply *reply)
{
    *out = (struct wanted){ .count = COUNT_BY_DEFAULT };
    out->stats = argc == 4 && word_is(argv[3], "STATS");
    bool is_scan = (argc == 5 || argc == 7) && word_is(argv[3], "SCAN") &&
                   (argc == 5 || word_is(argv[5], "COUNT"));
    if (argc > 3 && !out->stats && !is_scan) {
        local_syntax_error(reply);
        return false;
    }
    if (is_scan && (!number_from(argv[4], &out->cursor) || out->cursor < 0)) {
        reply_error(reply, "ERR invalid cursor");
        return false;
    }
    if (argc == 7 && (!number_from(argv[6], &out->count) || out->count < 1)) {
        reply_error(reply, "ERR value is not an integer or out of range");
        return false;
    }
    return true;
}

void local_cmd_KEYSPACE_DISCARDS(struct client *client, const struct span *argv, uint32_t argc,
                                 struct reply *reply)
{
    struct wanted wanted;
    char message[400];
    const struct map_keyspace *k = local_named_keyspace(client->node, argv[2], reply);
    if (k == NULL || !read_wanted(argv, argc, &wanted, reply)) {
        return;
    }
    struct discards *discards = journals_get(client->node, k->id, false, message, sizeof message);
    if (message[0] != 0) {
        reply_errorf(reply, "ERR the discard journal cannot be read: %s", message);
    } else if (wanted.stats) {
        write_stats(reply, discards);
    } else {
        scan(discards, (uint64_t)wanted.cursor,
             (uint32_t)min_u64((uint64_t)wanted.count, UINT32_MAX), reply);
    }
}
