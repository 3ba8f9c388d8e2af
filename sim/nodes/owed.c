/* What is owed where acknowledged writes may be lost. Elements of lists are looked for when all is
 * well again and nobody writes: one that was refused is nowhere, none is in a list twice, or in its
 * list and named by one who knew that it was lost. One that was acknowledged is in its list; or
 *   - by LOCAL, or once FALLBACK async has begun: a node has named it in its discard journal, and
 *     not as one of which nobody was told. Where a journal says of entries only that they are gone,
 *     as many may be missing;
 *   - where memory was lost that nobody had synced, or FORCE was ordered, or FALLBACK async has
 *     begun and a drive has lost what was synced: the nodes said behind it that acknowledged
 *     writes may be lost (loss.h), and nothing of its list that came later and was acknowledged
 *     before they said so is there: what is lost is the end of a log. */
#include "sim/nodes/backup.h"

#include "cluster/slots.h"
#include "command/op.h"
#include "engine/rows_format.h"
#include "log/record.h"
#include "node/discards_format.h"
#include "sim/nodes/drive.h"
#include "sim/nodes/seat.h"
#include "store/store.h"

#include <inttypes.h>

#define NAMED_MAX 4096u
#define RANGES_MAX 256u
#define BLIND_MAX 256u

struct named {
    uint64_t number; /* in its journal */
    qr_slot slot;
    qr_term term, lost_to;
    uint32_t group, element;
    uint8_t acknowledged, reason;
};

struct journal_read {
    struct named named[NAMED_MAX];
    uint32_t count;
    struct {
        uint64_t first, last;
    } regained[RANGES_MAX];
    uint32_t ranges;
    struct {
        uint64_t number, slots;
    } blind[BLIND_MAX];
    uint32_t blinds;
};

struct owed {
    uint64_t blind, missing, found, told;
    uint8_t *named; /* by element: how, and one more; 0: nowhere */
    uint8_t *taken; /* by element: whether it was named as one that is gone for sure */
    uint8_t *there; /* by element: how often it is in its list */
    uint32_t elements;
    uint32_t partitions; /* of the keyspace */
    const struct run *run;
};

/* --- Journals -------------------------------------------------------------------------------- */

/* The last number of a list; 0: it is none. */
static uint32_t last_of(struct span key, struct span list)
{
    size_t from = list.n > 0 ? list.n - 1 : 0;
    char digits[12] = { 0 };
    while (from > 0 && list.p[from - 1] != ',') {
        from--;
    }
    bool is = key.n > 1 && key.p[0] == 'l' && list.n > 1 && list.p[list.n - 1] == ',' &&
              list.n - 1 - from < sizeof digits;
    if (is) {
        memcpy(digits, list.p + from, list.n - 1 - from);
    }
    return is ? (uint32_t)strtoul(digits, NULL, 10) : 0;
}

static uint32_t element_of_op(struct span payload)
{
    struct op op;
    struct span argv[2];
    bool is = op_read(payload, &op) && op.argc == 2 && op.refs == 0;
    if (is) {
        op_arguments(&op, argv, NULL);
    }
    return is ? last_of(argv[0], argv[1]) : 0;
}

/* The number that an APPEND to a list adds; 0: it is none. */
static uint32_t element_of(const struct discard *entry)
{
    struct rows_entry rows;
    struct row row;
    uint32_t element = 0;
    if (entry->kind == RECORD_COMMAND) {
        return element_of_op(entry->payload);
    }
    if (entry->kind != RECORD_ROWS || !rows_read(entry->payload, &rows)) {
        return 0;
    }
    if (rows.form == ROWS_FORM_STATEMENT) {
        return element_of_op(rows.body);
    }
    for (struct rows_cursor c = rows_begin(&rows); rows_next(&c, &row) && element == 0;) {
        bool is = row.db != IDS_DB && row.suffix == 0; /* it grows at its end */
        element = is ? last_of(row.key, row.new) : 0;
    }
    return element;
}

static void take_record(struct journal_read *j, const struct discard_record *r)
{
    if (r->kind == DISCARD_RECORD_REGAINED) {
        qr_assert(j->ranges < RANGES_MAX);
        j->regained[j->ranges].first = r->first;
        j->regained[j->ranges++].last = r->last;
    } else if (r->kind == DISCARD_RECORD_ENTRY && r->entry.kind == 0) {
        qr_assert(j->blinds < BLIND_MAX);
        j->blind[j->blinds].number = r->entry.number;
        j->blind[j->blinds++].slots = r->entry.slots;
    } else if (r->kind == DISCARD_RECORD_ENTRY && element_of(&r->entry) != 0) {
        qr_assert(j->count < NAMED_MAX);
        const struct discard *e = &r->entry;
        j->named[j->count++] =
            (struct named){ e->number, e->slot,       e->term,         e->lost_to,
                            e->group,  element_of(e), e->acknowledged, e->reason };
    }
}

static void read_segment(struct journal_read *j, struct span file)
{
    struct discards_header header;
    struct discard_record r;
    if (discards_read_header(file, &header) != DISCARDS_HEAD_WHOLE) {
        return;
    }
    for (size_t at = DISCARDS_HEAD_BYTES, n; at < file.n; at += n) {
        n = discard_read(span_of(file.p + at, file.n - at), header.salt, (uint32_t)at, &r);
        if (n == 0) {
            return;
        }
        take_record(j, &r);
    }
}

static bool is_regained(const struct journal_read *j, uint64_t number)
{
    for (uint32_t i = 0; i < j->ranges; i++) {
        if (number >= j->regained[i].first && number <= j->regained[i].last) {
            return true;
        }
    }
    return false;
}

/* One node has one journal of the one keyspace that there is. */
static void read_journal(struct owed *o, const struct host *host)
{
    static const char top[] = DRIVE_TOP "/node/discards/";
    const struct drive *drive = host->drive;
    struct journal_read *j = qr_zalloc(sizeof *j);
    for (size_t i = 0; i < drive->now.n; i++) {
        const struct name *name = &drive->now.v[i];
        if (strncmp(name->path, top, sizeof top - 1) == 0 && !name->inode->is_directory) {
            read_segment(j, span_of(name->inode->now.p, name->inode->now.n));
        }
    }
    for (uint32_t i = 0; i < j->count; i++) {
        const struct named *named = &j->named[i];
        if (named->element <= o->elements && !is_regained(j, named->number)) {
            uint8_t how = (uint8_t)(named->acknowledged + 1);
            uint8_t *known = &o->named[named->element];
            *known = how > *known ? how : *known;
            o->taken[named->element] |= named->reason == DISCARD_ROLLED_BACK;
            realm_note(host->realm, host,
                       "names element %" PRIu32 ": slot %" PRIu64 " of term %" PRIu64
                       " of group %" PRIu32 ", lost to term %" PRIu64 ", acknowledged %u",
                       named->element, named->slot, named->term, named->group, named->lost_to,
                       named->acknowledged);
        }
    }
    for (uint32_t i = 0; i < j->blinds; i++) {
        o->blind += is_regained(j, j->blind[i].number) ? 0 : j->blind[i].slots;
    }
    free(j);
}

/* --- Lists ----------------------------------------------------------------------------------- */

static bool is_owed(const struct deed *d)
{
    return d->owed && d->model == 0 && d->key[0] == 'l';
}

/* The last that anybody was shown of each list. */
static void read_lists(struct owed *o, const struct story *story)
{
    for (size_t i = 0; i < story->n; i++) {
        const struct deed *d = &story->v[i];
        bool last = is_owed(d) && d->kind == OP_GET && d->result == RESULT_VALUE;
        for (size_t k = i + 1; k < story->n && last; k++) {
            const struct deed *later = &story->v[k];
            last = !(is_owed(later) && later->kind == OP_GET && strcmp(later->key, d->key) == 0 &&
                     (later->result == RESULT_VALUE || later->result == RESULT_NIL));
        }
        char *rest = last ? d->value : NULL;
        while (rest != NULL && *rest != 0) {
            uint32_t element = (uint32_t)strtoul(rest, &rest, 10);
            o->there[element <= o->elements ? element : 0]++;
            rest += *rest == ',';
        }
    }
}

/* --- Verdicts -------------------------------------------------------------------------------- */

static uint32_t element_asked(const struct deed *d)
{
    return (uint32_t)strtoul(d->argument, NULL, 10);
}

static uint32_t partition_of(const struct owed *o, const struct deed *d)
{
    return slots_partition(slot_of_key(span_of(d->key, strlen(d->key))), o->partitions);
}

/* Whether something is there of the same list that came behind it, acknowledged before `at`. */
static bool is_outlived(const struct owed *o, const struct deed *d, qr_time at)
{
    const struct story *story = &o->run->story;
    for (size_t i = 0; i < story->n; i++) {
        const struct deed *f = &story->v[i];
        if (is_owed(f) && f->kind == OP_APPEND && f->result == RESULT_VALUE && f->start > d->end &&
            f->end < at && strcmp(f->key, d->key) == 0 && o->there[element_asked(f)] > 0) {
            return true;
        }
    }
    return false;
}

/* Whether it may have been acknowledged by the primary alone. */
static bool is_weak(const struct owed *o, const struct deed *d)
{
    const struct losses *l = &o->run->backup.losses;
    bool weak = o->run->backup.local;
    for (uint32_t i = 0; i < l->fell_count && !weak; i++) {
        weak = l->fell[i].partition == partition_of(o, d) && d->end >= l->fell[i].at;
    }
    return weak;
}

/* Whether a drive has lost what it had synced. A write that its node answered alone may have been
 * nowhere else, and then no journal can name it. */
static bool is_harmed(const struct run *run)
{
    bool harmed = run->realm->felt[FAULT_wipe] + run->realm->felt[FAULT_old_copy] > 0;
    for (uint32_t i = 0; i < run->fragile; i++) {
        harmed = harmed || run->seat[i].host->drive->harms > 0;
    }
    return harmed;
}

static bool is_told(const struct owed *o, const struct deed *d)
{
    const struct run *run = o->run;
    const struct losses *l = &run->backup.losses;
    bool forgets = run->backup.forgets ||
                   (run->backup.lazy && run->realm->felt[FELT_sync_lost] > 0) ||
                   (is_weak(o, d) && is_harmed(run));
    for (uint32_t i = 0; i < l->told_count && (forgets || l->promised); i++) {
        if (l->told[i].partition == partition_of(o, d) && d->start < l->told[i].at &&
            !is_outlived(o, d, l->told[i].at)) {
            return true;
        }
    }
    return false;
}

static const char *judge_gone(struct owed *o, const struct deed *d)
{
    uint8_t named = o->named[element_asked(d)];
    if (named == DISCARD_NOT_ACKNOWLEDGED + 1) {
        return "it was acknowledged, and is named as one that was not";
    }
    if (is_told(o, d)) {
        o->told++;
        return NULL;
    }
    if (!is_weak(o, d)) {
        return "it was acknowledged, is gone, and nobody has said that it may be";
    }
    o->missing += named == 0;
    return o->missing > o->blind ? "it was acknowledged, is gone, and nobody has named it" : NULL;
}

static const char *judge_one(struct owed *o, const struct deed *d)
{
    uint32_t element = element_asked(d);
    bool there = o->there[element] > 0;
    o->found += there;
    if (o->there[element] > 1) {
        return "it is there twice";
    }
    if (d->result == RESULT_FAIL && there) {
        return "it was refused, and is there";
    }
    if (there && o->taken[element] != 0 && !d->has_id) {
        return "it is there, and named as discarded";
    }
    return d->result == RESULT_VALUE && !there ? judge_gone(o, d) : NULL;
}

static void judge_all(struct run *run, struct owed *o)
{
    const char *wrong = o->there[0] > 0 ? "nobody asked for it" : NULL;
    if (wrong != NULL) {
        realm_fail(run->realm, NULL, "an element of a list: %s", wrong);
    }
    for (size_t i = 0; i < run->story.n && wrong == NULL; i++) {
        const struct deed *d = &run->story.v[i];
        wrong = is_owed(d) && d->kind == OP_APPEND ? judge_one(o, d) : NULL;
        if (wrong != NULL) {
            realm_fail(run->realm, NULL, "element %s of list %s: %s", d->argument, d->key, wrong);
        }
    }
}

static bool is_in(const struct loss *v, uint32_t count, uint32_t partition)
{
    for (uint32_t i = 0; i < count; i++) {
        if (v[i].partition == partition) {
            return true;
        }
    }
    return false;
}

/* Where nodes have said nothing all is judged as of any other strategy. */
static void set_apart(struct run *run, const struct owed *o)
{
    const struct losses *l = &run->backup.losses;
    for (size_t i = 0; i < run->story.n; i++) {
        struct deed *d = &run->story.v[i];
        uint32_t partition = partition_of(o, d);
        bool lost = d->owed && (l->promised || is_in(l->told, l->told_count, partition) ||
                                is_in(l->fell, l->fell_count, partition));
        d->apart = d->apart || lost;
    }
}

void backup_judge(struct run *run, const struct map *map)
{
    struct owed o = { .elements = run->elements, .run = run };
    const struct map_keyspace *k = map_keyspace_named(map, span_of("cart", 4));
    if (!backup_may_lose(&run->backup) || k == NULL) {
        return;
    }
    o.partitions = k->partitions;
    set_apart(run, &o);
    o.named = qr_zalloc(o.elements + 1);
    o.there = qr_zalloc(o.elements + 1);
    o.taken = qr_zalloc(o.elements + 1);
    for (uint32_t i = 0; i < run->seats; i++) {
        read_journal(&o, run->seat[i].host);
    }
    read_lists(&o, &run->story);
    judge_all(run, &o);
    for (uint32_t i = 1; i <= o.elements; i++) {
        run->backup.named += o.named[i] > 0 && o.there[i] == 0;
    }
    run->backup.found = o.found;
    run->backup.told = o.told;
    free(o.named);
    free(o.there);
    free(o.taken);
}
