/* See commands_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands_world.h"

#include "command/op.h"
#include "node/clients_internal.h"
#include "node/control.h"
#include "node/gather.h"
#include "node/leaders.h"
#include "node/partitions.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/session.h"
#include "tests/unit/cluster/put_records.h"

#define INPUT_BYTES (1u << 16)

struct sent sent[SENT_MAX];
size_t noted_bytes;
uint32_t sent_count, noted, written, written_group, semantics_level;
struct span large_value;
static uint8_t large_bytes[INPUT_BYTES], input[INPUT_BYTES];
static bool held;

/* --- The rest of the node ------------------------------------------------------------------- */

uint32_t control_level(const struct node *of)
{
    assert_ptr_equal(of, &node);
    return semantics_level;
}

struct partition *partitions_of_map(struct node *of, uint32_t group)
{
    return partition_of_group(of, group);
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

void replica_abandon(struct replica *r, const struct cargo *cargo)
{
    (void)r, (void)cargo;
    fail();
}

void router_forget_cargo(struct cargo *cargo)
{
    (void)cargo;
}

void router_recall(struct router *router, struct pending *p)
{
    (void)router, (void)p;
    fail();
}

void router_withdraw(struct router *router, struct pending *p)
{
    (void)router, (void)p;
    fail();
}

qr_time io_turn_began(const struct io *io)
{
    (void)io;
    return node.clock;
}

void clients_line_up(struct client_line *line, struct client *client)
{
    (void)line, (void)client;
    fail();
}

void client_note_reply(struct client *client)
{
    assert_ptr_equal(client, me);
    noted++;
    noted_bytes = client->out.n - client->reply_began;
}

uint32_t gather_written(const struct stream *stream, uint32_t *group)
{
    assert_ptr_equal(stream, &me->stream);
    *group = written_group;
    return written;
}

static struct sent *note(struct stream *stream, const struct command_spec *spec, uint8_t version,
                         const struct span *argv, uint32_t argc, bool silent)
{
    assert_true(sent_count < SENT_MAX);
    struct sent *s = &sent[sent_count++];
    *s = (struct sent){ .spec = spec, .version = version, .silent = silent };
    s->wants = stream->wants;
    s->by_prefix = stream->by_prefix;
    s->has_token = stream->token != NULL;
    s->token = s->has_token ? *stream->token : s->token;
    s->has_id = stream->id != NULL;
    if (s->has_id) {
        memcpy(s->pid, stream->id->pid.p, stream->id->pid.n);
        memcpy(s->iid, stream->id->iid.p, stream->id->iid.n);
    }
    struct text words = text_in(s->words, sizeof s->words);
    for (uint32_t i = 0; i < argc; i++) {
        text_put(&words, i > 0 ? " " : "");
        for (size_t k = 0; k < argv[i].n && argv[i].p != NULL; k++) {
            text_char(&words, (char)argv[i].p[k]);
        }
    }
    s->pending = stream_push(stream, spec, version, node.clock);
    s->pending->silent = silent;
    return s;
}

void router_command(struct router *router, struct partition *partition, struct stream *stream,
                    const struct command_spec *spec, uint8_t version, uint8_t db,
                    const struct span *argv, uint32_t argc, bool silent)
{
    (void)router;
    assert_non_null(partition);
    struct sent *s = note(stream, spec, version, argv, argc, silent);
    s->partition = partition;
    s->db = db;
}

void router_command_laden(struct router *router, struct partition *partition, struct stream *stream,
                          const struct command_spec *spec, uint8_t version, uint8_t db,
                          const struct span *argv, uint32_t argc, bool silent, struct cargo *cargo)
{
    router_command(router, partition, stream, spec, version, db, argv, argc, silent);
    last()->laden = true;
    const struct rope *rope = cargo->v[0].rope;
    rope_copy(rope, 0, rope->n, large_bytes);
    large_value = span_of(large_bytes, rope->n);
    cargo_free(&node, cargo);
}

void gather_command(struct router *router, struct stream *stream, const struct route *route,
                    const struct command_spec *spec, uint8_t version, const struct span *argv,
                    uint32_t argc, bool silent, bool led_here)
{
    (void)router;
    struct sent *s = note(stream, spec, version, argv, argc, silent);
    s->keyspace = route->keyspace->id;
    s->led_here = led_here;
}

/* --- The client ----------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream;
    me->out.version = p->version;
    return &me->out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)p, (void)status;
}

static int begin(enum listener_kind listener)
{
    (void)facades_by(listener);
    struct map_keyspace k = a_keyspace(16, "cart", "cart:", 2, 4);
    put_all(node.map, &k, 7, NODE_NONE);
    node.clock = 100 * QR_SECOND; /* as io_now() has it */
    node.contact.coverage.until = FAR;
    node.config.leader_wait_ms = 1000;
    node.identity.level = MAP_LEVEL_REQUESTS;
    semantics_level = MAP_LEVEL_REQUESTS;
    static const struct engine_config config = { .value_bytes_max = INPUT_BYTES };
    zero.hint.leader = 0;
    zero.engine = engine_new(&config); /* large values go by its store */
    stream_init(&me->stream, &node, STREAM_CLIENT);
    me->stream.begin_reply = begin_reply;
    me->stream.end_reply = end_reply;
    reply_init(&me->out, 2);
    reply_init(&node.nowhere, 2);
    node.nowhere.discard = true; /* replies that nobody wants */
    parser_init(&me->parser);
    me->parser.apart_min = 200;
    me->parser.apart_bytes_max = INPUT_BYTES;
    me->input = input;
    sent_count = noted = written = written_group = 0;
    held = false;
    return 0;
}

int commands_begin(void **state)
{
    (void)state;
    return begin(LISTENER_PLAIN);
}

int commands_begin_at_cluster_port(void **state)
{
    (void)state;
    return begin(LISTENER_CLUSTER);
}

int commands_end(void **state)
{
    stream_detach(&me->stream);
    pending_free_all(&node);
    parser_free(&me->parser);
    cargo_free(&node, me->cargo);
    free(me->with);
    engine_free(zero.engine);
    return facades_clean(state);
}

static void put(const void *bytes, size_t n)
{
    assert_true(me->input_n + n <= INPUT_BYTES);
    memcpy(me->input + me->input_n, bytes, n);
    me->input_n += n;
}

/* In a word `_` stands for a blank. */
static void put_request(char *line)
{
    struct span argv[64];
    uint32_t argc = 0;
    char head[32];
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
        for (char *blank = strchr(word, '_'); blank != NULL; blank = strchr(blank, '_')) {
            *blank = ' ';
        }
    }
    put(head, (size_t)snprintf(head, sizeof head, "*%u\r\n", (unsigned)argc));
    for (uint32_t i = 0; i < argc; i++) {
        put(head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", argv[i].n));
        put(argv[i].p, argv[i].n);
        put("\r\n", 2);
    }
}

/* As clients.c does. */
static void run_input(void)
{
    held = false;
    while (!held && me->input_at < me->input_n) {
        me->parser.authenticated = client_is_known(me);
        switch (parser_next(&me->parser, me->input + me->input_at, me->input_n - me->input_at)) {
        case PARSE_APART:
            client_begin_apart(me);
            assert_int_equal(me->apart_left, 0);
            break;
        case PARSE_INCOMPLETE:
            return;
        case PARSE_ERROR:
            client_protocol_error(me);
            return;
        case PARSE_COMMAND:
            me->input_at += me->parser.consumed;
            held = me->parser.argc > 0 && !client_run_command(me, me->parser.argv, me->parser.argc);
            me->input_at -= held ? me->parser.consumed : 0;
            break;
        }
    }
    if (me->input_at == me->input_n) {
        me->input_at = me->input_n = 0;
    }
}

const char *hears(const char *lines)
{
    static char out[1 << 16];
    me->last_active = lines[0] != 0 ? node.clock : me->last_active; /* as clients.c does */
    char *copy = strdup(lines), *rest = copy;
    while (rest != NULL && rest[0] != 0) {
        char *line = rest;
        rest = strchr(line, '\n');
        if (rest != NULL) {
            *rest++ = 0;
        }
        put_request(line);
    }
    free(copy);
    run_input();
    assert_true(me->out.n < sizeof out);
    if (me->out.n > 0) {
        memcpy(out, me->out.p, me->out.n);
    }
    out[me->out.n] = 0;
    reply_reset(&me->out);
    return out;
}

void answer_all(void)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        if (sent[i].pending != NULL) {
            answers(&sent[i], "x");
        }
    }
    reply_reset(&me->out);
}

bool is_held(void)
{
    return held;
}

void answers(struct sent *s, const char *status)
{
    reply_status(stream_reply(s->pending), status);
    stream_answered(s->pending, STATUS_OK);
    s->pending = NULL;
}

struct sent *last(void)
{
    assert_true(sent_count > 0);
    return &sent[sent_count - 1];
}

struct sent *goes(const char *line)
{
    uint32_t before = sent_count;
    assert_string_equal(hears(line), "");
    assert_int_equal(sent_count, before + 1);
    return last();
}

void keyspace_gives(uint32_t id, enum read_level read, uint8_t ack_kind)
{
    struct map_keyspace k = *map_keyspace(node.map, id);
    k.read = (struct level_asked){ .level = (uint8_t)read };
    k.ack_kind = ack_kind;
    put_keyspace(node.map, &k);
}

const char *token_of(const struct token *token)
{
    static char text[TOKEN_TEXT_MAX + 1];
    text[session_write(&node, token, text)] = 0;
    return text;
}

void says_error(const char *lines, const char *begin_of_it, int at)
{
    uint32_t before = sent_count;
    const char *heard = hears(lines);
    const char *end = strchr(heard, '\n');
    if (heard[0] != '-' || strncmp(heard + 1, begin_of_it, strlen(begin_of_it)) != 0 ||
        end == NULL || end[1] != 0 || sent_count != before || held) {
        fail_msg("line %d: '%s' heard '%s'", at, lines, heard);
    }
}
