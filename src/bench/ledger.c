#include "bench/ledger.h"

#include "base/alloc.h"
#include "base/panic.h"

void ledger_init(struct ledger *l, uint64_t keys)
{
    *l = (struct ledger){ .keys = qr_zalloc(keys * sizeof *l->keys), .count = keys, .next = 1 };
}

void ledger_free(struct ledger *l)
{
    free(l->keys);
    l->keys = NULL;
}

static struct ledger_key *entry(const struct ledger *l, uint64_t key)
{
    qr_assert(key < l->count);
    return &l->keys[key];
}

void ledger_write_begins(struct ledger *l, uint64_t key, uint64_t sequence)
{
    struct ledger_key *k = entry(l, key);
    qr_assert(sequence > k->chain);
    if (k->under_way++ == 0) {
        k->chain = sequence;
    }
}

void ledger_write_done(struct ledger *l, uint64_t key)
{
    struct ledger_key *k = entry(l, key);
    qr_assert(k->under_way > 0);
    k->under_way--;
    k->floor = k->chain;
}

void ledger_write_void(struct ledger *l, uint64_t key)
{
    struct ledger_key *k = entry(l, key);
    qr_assert(k->under_way > 0);
    k->under_way--;
}

uint64_t ledger_floor(const struct ledger *l, uint64_t key)
{
    return entry(l, key)->floor;
}

enum value_fault ledger_judge(const struct ledger *l, const struct value_form *form, uint64_t key,
                              uint64_t floor, const struct value_reader *reader)
{
    if (reader == NULL) {
        return floor > 0 ? VALUE_MISSING : VALUE_RIGHT;
    }
    if (!reader->sound) {
        return VALUE_DAMAGED;
    }
    if (reader->key != key) {
        return VALUE_FOREIGN;
    }
    if (reader->run != form->run) {
        return floor > 0 ? VALUE_STALE : VALUE_RIGHT;
    }
    if (reader->sequence == 0 || reader->sequence >= l->next) {
        return VALUE_UNSENT;
    }
    if (reader->bytes != value_bytes(form, reader->sequence)) {
        return VALUE_DAMAGED;
    }
    return reader->sequence < floor ? VALUE_STALE : VALUE_RIGHT;
}

const char *value_fault_text(enum value_fault fault)
{
    switch (fault) {
    case VALUE_DAMAGED:
        return "a value that nobody has written so";
    case VALUE_FOREIGN:
        return "the value of another key";
    case VALUE_STALE:
        return "a stale value: it had been overwritten before the read began";
    case VALUE_MISSING:
        return "nothing, although a write was acknowledged before the read began";
    case VALUE_UNSENT:
        return "a value that this run has not sent yet";
    case VALUE_RIGHT:
        break;
    }
    return "the right value";
}
