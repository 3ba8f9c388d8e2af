/* The options of WITH and CONSISTENCY: whatever the words, either they are refused with a reason
 * that fits and says that nothing was applied, or what was read holds what was given, within its
 * bounds. The first byte says who reads; words end at a line end. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/word.h"
#include "cluster/asked.h"

#define WHY_BYTES 512

static const struct promise promise = {
    .reads = (1u << READ_LEVELS) - 1,
    .acks = (1u << ACK_KINDS) - 1,
    .ack_stages = (1u << ACK_STAGES) - 1,
};

static void check_level(const struct level_asked *level)
{
    char text[LEVEL_BYTES], why[WHY_BYTES];
    struct text out = text_in(text, sizeof text), reason = text_in(why, sizeof why);
    struct level_asked again;
    level_put(&out, level);
    qr_assert(!out.cut && level_read(span_of(text, out.n), &again, &reason));
    qr_assert(again.level == level->level && again.bound == level->bound &&
              again.group == level->group && again.by_ops == level->by_ops);
}

static void check(const struct asked *asked, const struct asked_by *by)
{
    uint16_t given = asked->given;
    check_level(&asked->read);
    qr_assert(((given & ASKED_TIMEOUT) != 0) == (asked->timeout_ms != 0));
    qr_assert(((given & ASKED_LEADERWINDOW) != 0) == (asked->window_ms != 0));
    qr_assert(((given & ASKED_KS) != 0) == (asked->keyspace.n != 0));
    qr_assert(((given & ASKED_SESSION) != 0) == (asked->token.n != 0));
    qr_assert(((given & ASKED_IDMP) != 0) == (asked->pid.n != 0 && asked->iid.n != 0));
    qr_assert(asked->timeout_ms <= ASKED_TIMEOUT_MS_MAX && asked->window_ms <= LEVEL_MS_MAX);
    qr_assert(asked->pid.n <= ASKED_NAME_BYTES_MAX && asked->iid.n <= ASKED_NAME_BYTES_MAX);
    qr_assert(by->with || (given & (ASKED_KS | ASKED_META | ASKED_SESSION | ASKED_IDMP)) == 0);
    struct asked twice = { 0 };
    asked_merge(&twice, asked);
    qr_assert(memcmp(&twice.read, &asked->read, sizeof twice.read) == 0 && twice.given == given);
}

static uint32_t split(const uint8_t *p, size_t n, struct span words[WITH_WORDS_MAX])
{
    uint32_t count = 0;
    const uint8_t *end = p + n;
    while (p < end && count < WITH_WORDS_MAX) {
        const uint8_t *line = memchr(p, '\n', (size_t)(end - p));
        const uint8_t *to = line != NULL ? line : end;
        words[count++] = span_of(p, (size_t)(to - p));
        p = line != NULL ? line + 1 : end;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct span words[WITH_WORDS_MAX];
    struct asked asked = { 0 };
    char text[WHY_BYTES];
    struct text why = text_in(text, sizeof text);
    if (n == 0) {
        return 0;
    }
    struct asked_by by = { .strategy = "raft", .promise = &promise, .with = (data[0] & 1) != 0 };
    uint8_t *copy = qr_alloc(n); /* overruns are seen */
    memcpy(copy, data + 1, n - 1);
    uint32_t count = split(copy, n - 1, words);
    bool good = asked_read(&asked, words, count, &by, &why);
    qr_assert(!why.cut && good == (why.n == 0));
    if (good) {
        check(&asked, &by);
    } else {
        qr_assert(asked.given == 0 && strstr(text, "not applied") != NULL);
    }
    uint32_t at = with_command_at(words, count, &why);
    qr_assert(at < count || count == 0);
    free(copy);
    return 0;
}
