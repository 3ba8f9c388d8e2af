/* One seed: a safety phase with faults, then a majority heals and must finish its work while all
 * others are gone, then the verdict of the checkers. */
#include "sim/seed.h"

#include "sim/checkers/safety.h"
#include "sim/council.h"
#include "sim/sessions.h"

#include <signal.h>

#define LIVENESS_WAIT \
    (30 * QR_SECOND) /* of virtual time, for a healed majority to finish a write */
#define READ_WAIT (30 * QR_SECOND)

void seed_draw(struct seed_run *run)
{
    faults_draw_options(run->seed, &run->options);
    if (run->level != 0) {
        sessions_draw_options(run->seed, (enum read_level)(run->level - 1), &run->options);
    }
    if (run->mode != 0) {
        council_draw_options(run->seed, run->mode, &run->options);
    }
    faults_draw_plan(run->seed, &run->options, &run->plan);
}

/* A panic of the protocol is a finding like any other: its abort comes back here. One run at a time
 * is what a signal handler can serve. */
static sigjmp_buf *volatile panic_target;

static void on_abort(int signal_number)
{
    (void)signal_number;
    if (panic_target != NULL) {
        siglongjmp(*panic_target, 2);
    }
}

void seed_catch_panics(sigjmp_buf *target)
{
    static struct sigaction old;
    struct sigaction action = { .sa_handler = on_abort, .sa_flags = SA_NODEFER };
    panic_target = target;
    if (target != NULL) {
        (void)sigaction(SIGABRT, &action, &old);
    } else {
        (void)sigaction(SIGABRT, &old, NULL);
    }
}

/* Waits until the operation is done; tries again with another one when it was refused or lost. */
static void must_finish(struct world *w, uint32_t key, enum op_kind kind, qr_time wait)
{
    qr_time until = w->now + wait;
    while (w->now < until) {
        struct model_value argument = { 0 };
        if (kind != OP_GET) {
            argument = model_value_of_number((int64_t)w->operation_count);
        }
        uint32_t number = workload_operation(w, key, kind, argument, NODE_NONE, 2 * QR_SECOND);
        workload_retry(w, number);
        while (!w->operations[number].done && w->now < until) {
            world_run_until(w, w->now + 20000);
        }
        enum result_kind result = w->operations[number].record.result.kind;
        if (w->operations[number].done && result != RESULT_UNKNOWN && result != RESULT_FAIL) {
            return;
        }
    }
    world_violation(w, VIOLATION_LIVENESS, "no %s finished within %lld ms",
                    kind == OP_GET ? "read" : "write", (long long)(wait / 1000));
}

static const char *unsettled(struct world *w, uint16_t core, qr_slot target)
{
    return w->council != NULL ? primary_unsettled(w, core, target)
                              : safety_unsettled(w, core, target);
}

/* Learners become voters, who forgot remembers, who is behind is brought up. */
static void must_settle(struct world *w, uint16_t core)
{
    qr_slot target = w->committed_count - 1;
    qr_time until = w->now + LIVENESS_WAIT;
    const char *why = unsettled(w, core, target);
    while (why != NULL && w->now < until) {
        world_run_until(w, w->now + 50000);
        why = unsettled(w, core, target);
    }
    if (why != NULL) {
        world_violation(w, VIOLATION_LIVENESS, "%s", why);
    }
}

/* Whether nobody of the core has a timer, or none may be without: a learner waits for its turn, or
 * for a third voter. */
static bool rests(struct world *w, uint16_t core)
{
    if (members_decided(w)->learners != 0) {
        return true;
    }
    for (uint32_t rest = core & membership_all(members_decided(w)); rest != 0; rest &= rest - 1) {
        if (w->protocol->deadline(w->nodes[set_first(rest)].self) != QR_NEVER) {
            return false;
        }
    }
    return true;
}

/* A group that nobody asks for anything comes to rest. */
static void must_rest(struct world *w, uint16_t core)
{
    qr_time until = w->now + LIVENESS_WAIT;
    while (!rests(w, core) && w->now < until) {
        world_run_until(w, w->now + 50000);
    }
    if (!rests(w, core)) {
        world_violation(w, VIOLATION_RESTLESS, "somebody has a timer after %lld ms",
                        (long long)(LIVENESS_WAIT / 1000));
    }
}

static void liveness_phase(struct world *w)
{
    uint16_t core = w->council != NULL ? council_core(w) : members_core(w);
    if (core == 0) {
        w->counters->stopped++;
        return;
    }
    faults_heal_core(w, core);
    if (w->council != NULL) {
        council_heal(w, core);
    }
    must_finish(w, 0, OP_SET, LIVENESS_WAIT);
    for (uint32_t key = 0; key < w->options.keys; key++) {
        must_finish(w, key, OP_GET, READ_WAIT);
    }
    if (w->knows_members || w->council != NULL) {
        must_settle(w, core);
    }
    world_run_until(w, w->now + 2 * QR_SECOND); /* open operations end */
    if (w->knows_members && w->options.quiet_after != 0 && quorum_count(core) > 1) {
        must_rest(w, core);
        must_finish(w, 0, OP_SET, LIVENESS_WAIT); /* and wakes */
    }
    safety_unanswered(w);
}

static void whole_run(struct world *w)
{
    world_start(w);
    for (size_t i = 0; i < w->plan.n; i++) {
        qr_time at = w->plan.v[i].at;
        world_push(w, at, (struct item){ .kind = ITEM_ACTION, .node = NODE_NONE, .a = (int64_t)i });
    }
    world_run_until(w, (qr_time)w->options.duration);
    if (w->options.liveness != 0) {
        liveness_phase(w);
    }
    safety_at_end(w);
}

static void settle_counters(struct world *w)
{
    struct counters *c = w->counters;
    c->seeds++;
    c->steps += w->steps;
    c->leader_changes += w->leader_changes;
    c->seeds_with_change += w->leader_changes > 1 ? 1 : 0;
    c->faults += w->fault_count;
    c->virtual_us += (uint64_t)w->now;
}

struct seed_result seed_execute(const struct seed_run *run)
{
    struct world *w = world_new(run->protocol, &run->options, run->seed, run->counters);
    for (size_t i = 0; i < run->plan.n; i++) {
        plan_add(&w->plan, run->plan.v[i]);
    }
    w->deep_digest = run->deep_digest;
    w->show = run->show;
    w->tell = run->tell;
    w->tell_context = run->tell_context;
    seed_catch_panics(&w->on_violation);
    int how = sigsetjmp(w->on_violation, 1);
    if (how == 0) {
        whole_run(w);
    }
    seed_catch_panics(NULL);
    if (how == 0 && run->at_end != NULL) {
        run->at_end(run->end_context, w);
    }
    if (how == 2) {
        w->violation = VIOLATION_PANIC;
        (void)snprintf(w->violation_text, sizeof w->violation_text, "see the line above");
    }
    settle_counters(w);
    struct seed_result result = { .violation = w->violation,
                                  .digest = w->digest,
                                  .steps = w->steps,
                                  .faults = w->fault_count,
                                  .leader_changes = w->leader_changes };
    (void)snprintf(result.text, sizeof result.text, "%s", w->violation_text);
    world_free(w);
    return result;
}
