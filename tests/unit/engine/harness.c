#include "harness.h"

#include "base/limits.h"
#include "command/command.h"

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 64 * KIB };
    memcpy(config.hash_key, "0123456789abcdef", sizeof config.hash_key);
    return engine_new(&config);
}

int harness_setup(void **state)
{
    struct harness *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->engine = new_engine();
    h->follower = new_engine();
    reply_init(&h->reply, 2);
    reply_init(&h->silence, 2);
    h->silence.discard = true;
    at_ms(h, 0);
    *state = h;
    return 0;
}

int harness_teardown(void **state)
{
    struct harness *h = *state;
    assert_true(engine_digest(h->engine) == engine_digest(h->follower));
    engine_free(h->engine);
    engine_free(h->follower);
    reply_free(&h->reply);
    reply_free(&h->silence);
    free(h);
    return 0;
}

void at_ms(struct harness *h, int64_t ms)
{
    h->stamp = (START_MS + ms) * 1000;
}

void tick(struct harness *h)
{
    engine_tick(h->engine, h->stamp);
    engine_tick(h->follower, h->stamp);
}

uint8_t *encode_command(const struct harness *h, const struct span *argv, uint32_t argc,
                        qr_wall stamp, struct op *op)
{
    const struct command_spec *container = NULL;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    uint32_t words = command_name_words(spec);
    assert_true(argc >= words);
    struct op head = {
        .stamp = stamp, .seed = h->seed, .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = h->db
    };
    size_t n = op_bytes(argv + words, argc - words);
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    op_write(bytes, &head, argv + words, argc - words);
    assert_true(op_read(span_of(bytes, n), op));
    return bytes;
}

void run_command(struct harness *h, const struct span *argv, uint32_t argc)
{
    struct op op;
    uint8_t *bytes = encode_command(h, argv, argc, h->stamp, &op);
    reply_reset(&h->reply);
    h->result = ENGINE_READ_DONE;
    if (command_by_tag(op.tag)->place == PLACE_WRITE) {
        engine_apply(h->engine, &op, &h->reply);
        engine_apply(h->follower, &op, &h->silence);
    } else {
        h->result = engine_read(h->engine, &op, &h->reply);
    }
    free(bytes);
}

uint32_t split_words(char *text, struct span *argv)
{
    uint32_t argc = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = strcmp(word, "~") == 0 ? span_of("", 0) : span_of(word, strlen(word));
    }
    return argc;
}

char *shown_reply(const struct harness *h)
{
    char *got = calloc(1, h->reply.n + 1);
    assert_non_null(got);
    size_t n = 0;
    for (size_t i = 0; i < h->reply.n; i++) {
        uint8_t byte = h->reply.p[i];
        if (byte != '\r') {
            got[n++] = byte == '\n' ? '|' : (char)byte;
        }
    }
    return got;
}

void expect_at(struct harness *h, const char *command, const char *expected, const char *file,
               int line)
{
    char *text = strdup(command);
    assert_non_null(text);
    struct span argv[WORDS_MAX];
    run_command(h, argv, split_words(text, argv));
    free(text);

    char *got = shown_reply(h);
    if (strcmp(got, expected) != 0) {
        print_error("%s: got %s, expected %s\n", command, got, expected);
        _fail(file, line);
    }
    free(got);
}
