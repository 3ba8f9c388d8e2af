#include "keeper_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"

struct node node;
struct measure measure;
struct partition partition;
struct replica replica;
struct source source;
struct fetch fetch;
struct checkpoint checkpoint;
struct keeper *keeper;
uint32_t started, forgotten, failures, small_failures;
int forget_error;
bool brings_up;
qr_time now;
uint64_t memory, position, group_bytes, newest_begins, bytes_behind;
qr_slot asked_from;
qr_slot over_bytes, over_age, last_slot;
qr_time asked_age;
struct term_run runs[100];
uint32_t run_count;
enum checkpoint_load_result on_disk;
struct checkpoint_header disk_header;

/* --- The rest of the node ------------------------------------------------------------------- */

uint64_t quota_bytes(const struct partition *of)
{
    (void)of;
    return memory;
}

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return 77;
}

#ifdef QUORATE_FAILPOINTS
int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io, (void)point;
    return 0;
}
#endif

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of, (void)level, (void)format;
}

void node_fail(struct node *of, const char *why)
{
    (void)of, (void)why;
    failures++;
}

void node_disk_failed(struct node *of, const char *what, int error)
{
    (void)of, (void)what;
    assert_int_equal(error, forget_error);
    small_failures++;
}

bool health_brings_up(const struct node *of)
{
    (void)of;
    return brings_up;
}

bool fetch_is_whole(const struct fetch *f)
{
    return f->whole;
}

uint64_t log_position(const struct log *log)
{
    (void)log;
    return position;
}

uint64_t log_group_bytes(const struct log *log, uint32_t group)
{
    (void)log;
    assert_int_equal(group, 7);
    return group_bytes;
}

uint64_t log_newest_begins(const struct log *log)
{
    (void)log;
    return newest_begins;
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    (void)log;
    assert_int_equal(group, 7);
    asked_from = slot;
    return bytes_behind;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    (void)log;
    assert_int_equal(group, 7); /* no other group's log says how much of this one may go */
    out->last_slot = last_slot;
    out->runs = runs;
    out->run_count = run_count;
    return true;
}

qr_slot log_slot_over_bytes(const struct log *log, uint32_t group, uint64_t bytes)
{
    (void)log;
    assert_int_equal(group, 7);
    assert_int_equal(bytes, 1 * GIB);
    return over_bytes;
}

qr_slot log_slot_over_age(struct log *log, uint32_t group, qr_time age)
{
    (void)log;
    assert_int_equal(group, 7);
    asked_age = age;
    return over_age;
}

void replica_checkpointed(struct replica *r, qr_slot slot, qr_slot release, qr_slot pin)
{
    r->told++;
    r->slot = slot;
    r->release = release;
    r->pin = pin;
}

node_index replica_me(const struct replica *r)
{
    return r->me;
}

qr_slot replica_applied(const struct replica *r)
{
    return r->applied;
}

qr_slot replica_state(const struct replica *r)
{
    return r->applied + r->ahead;
}

qr_term replica_applied_term(const struct replica *r)
{
    (void)r;
    return 3;
}

qr_term replica_term(const struct replica *r)
{
    (void)r;
    return 4;
}

qr_slot replica_durable_slot(const struct replica *r)
{
    return r->durable;
}

void replica_apply_durable_only(struct replica *r, bool on)
{
    r->held = on;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    *slot = 2;
    return &r->roster;
}

size_t roster_write(const struct roster *roster, uint8_t *p)
{
    assert_ptr_equal(roster, &replica.roster);
    memcpy(p, "us", 2);
    return 2;
}

bool roster_read(struct span in, struct roster *out)
{
    out->epoch = 9;
    return in.n == 2 && memcmp(in.p, "us", 2) == 0;
}

qr_slot source_wants(const struct source *s)
{
    return s->wants;
}

qr_slot source_pin(const struct source *s)
{
    return s->pin;
}

bool source_holds_old_file(const struct source *s, uint64_t in_force)
{
    return s->reads != 0 && s->reads != in_force;
}

void source_checkpointed(struct source *s)
{
    assert_int_equal(replica.slot, keeper_slot(keeper)); /* the protocol knows first */
    s->renewed++;
}

int checkpoint_forget_spare(struct io *io, const char *dir, uint32_t group)
{
    (void)io, (void)dir;
    assert_int_equal(group, 7);
    forgotten++;
    return forget_error;
}

struct checkpoint *checkpoint_start(struct io *io, const char *dir, struct engine *engine,
                                    const struct checkpoint_header *header, checkpoint_done *done,
                                    void *context)
{
    (void)io, (void)dir, (void)engine;
    started++;
    checkpoint = (struct checkpoint){ .done = done, .context = context, .header = *header };
    return &checkpoint;
}

bool checkpoint_step(struct checkpoint *c, qr_time budget)
{
    assert_true(budget > 0 && budget <= QR_MILLISECOND);
    c->steps++;
    return true;
}

uint64_t checkpoint_bytes(const struct checkpoint *c)
{
    return c->bytes;
}

size_t checkpoint_queued_bytes(const struct checkpoint *c)
{
    (void)c;
    return 0;
}

void checkpoint_cancel(struct checkpoint *c)
{
    c->cancelled = true;
}

void checkpoint_abort(struct checkpoint *c)
{
    c->aborted = true;
}

enum checkpoint_load_result checkpoint_load(struct io *io, const char *dir, struct engine *engine,
                                            struct checkpoint_header *header, char *message,
                                            size_t cap)
{
    (void)io, (void)dir, (void)engine;
    assert_int_equal(header->group, 7);
    assert_memory_equal(header->cluster, "clusterclusterc", 16);
    assert_memory_equal(header->uuid, "directorydirect", 16);
    *header = disk_header;
    (void)snprintf(message, cap, "as it says");
    return on_disk;
}

/* --- A keeper ------------------------------------------------------------------------------- */

int begin(void **state)
{
    (void)state;
    node = (struct node){ .measure = &measure, .wake = INT64_MAX };
    node.config.checkpoint_bytes = 64 * MIB;
    node.config.log_max_bytes = 1 * GIB;
    node.config.log_segment_bytes = 8 * MIB;
    memcpy(node.identity.cluster, "clusterclusterc", 16);
    memcpy(node.identity.uuid, "directorydirect", 16);
    measure = (struct measure){ 0 };
    replica = (struct replica){ .applied = 10, .durable = 10 };
    source = (struct source){ 0 };
    fetch = (struct fetch){ 0 };
    partition = (struct partition){
        .node = &node, .group = 7, .replica = &replica, .source = &source, .fetch = &fetch
    };
    keeper = partition.keeper = keeper_new(&partition);
    started = forgotten = failures = small_failures = 0;
    forget_error = 0;
    brings_up = false;
    now = 100 * QR_SECOND;
    position = 1000 * MIB;
    group_bytes = newest_begins = bytes_behind = 0;
    over_bytes = over_age = 0;
    asked_age = 0;
    last_slot = 10;
    run_count = 0;
    disk_header = (struct checkpoint_header){ 0 };
    on_disk = CHECKPOINT_NONE;
    return 0;
}

int end(void **state)
{
    (void)state;
    keeper_free(keeper);
    return 0;
}

bool consider(uint64_t grown)
{
    return keeper_consider(keeper, now, grown);
}

void finish(enum checkpoint_result result)
{
    checkpoint.header.salt = 99;
    checkpoint.done(checkpoint.context, result, &checkpoint.header, "as it says");
}

void take_one(void)
{
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 1);
    finish(CHECKPOINT_DONE);
    started = 0;
}
