/* A seed that fails is run again with kinds of faults left out one by one, and with a shorter first
 * phase, until it needs all that is left. What is left out does not change what the other faults
 * draw (faults.c), but what they lead to: so each try is looked at anew. */
#include "sim/nodes/run.h"

#include <inttypes.h>

#define SHORTER 3 / 4
#define SAFETY_MIN (500 * QR_MILLISECOND)

/* Without the name of the node that it was seen at: the text up to the first figure. */
static size_t kind_of(const char *failure, const char **text)
{
    bool of_node = failure[0] == 'n' && failure[1] >= '1' && failure[1] <= '9';
    *text = of_node ? failure + 4 : failure;
    return strcspn(*text, "0123456789:");
}

static bool is_same(const char *a, const char *b)
{
    const char *of_a;
    const char *of_b;
    size_t n = kind_of(a, &of_a);
    return n == kind_of(b, &of_b) && strncmp(of_a, of_b, n) == 0;
}

static bool still_fails(uint64_t seed, const struct run_choice *choice, struct run_report *found)
{
    struct run_report r;
    run_seed(seed, choice, NULL, NULL, &r);
    bool fails = r.failure[0] != 0 && is_same(r.failure, found->failure);
    if (fails) {
        *found = r;
    }
    return fails;
}

/* Whether one could be left out that could not be before. */
static bool leave_out(uint64_t seed, struct run_choice *choice, struct run_report *found)
{
    bool any = false;
    for (uint32_t i = 0; i < FAULTS; i++) {
        struct run_choice try = *choice;
        try.without |= (uint64_t)1 << i;
        if (found->befell[i] > 0 && still_fails(seed, &try, found)) {
            *choice = try;
            any = true;
        }
    }
    return any;
}

static void shorten(uint64_t seed, struct run_choice *choice, struct run_report *found)
{
    struct run_choice try = *choice;
    try.safety = try.safety * SHORTER;
    while (try.safety >= SAFETY_MIN && still_fails(seed, &try, found)) {
        *choice = try;
        try.safety = try.safety * SHORTER;
    }
}

static void print_kinds(uint64_t kinds, const char *between)
{
    const char *before = "";
    for (uint32_t i = 0; i < FAULTS; i++) {
        if ((kinds >> i & 1) != 0) {
            printf("%s%s", before, fault_name(i));
            before = between;
        }
    }
}

void shrink(uint64_t seed, struct run_choice choice, struct run_report *found)
{
    shorten(seed, &choice, found);
    while (leave_out(seed, &choice, found)) {
    }
    shorten(seed, &choice, found);
    uint64_t needed = 0;
    for (uint32_t i = 0; i < FAULTS; i++) {
        needed |= (uint64_t)(found->befell[i] > 0) << i;
    }
    printf("it needs ");
    print_kinds(needed, ", ");
    printf("%s%" PRId64 " ms: %s\n", needed != 0 ? ", and " : "", choice.safety / QR_MILLISECOND,
           found->failure);
    printf("--dice %u --seed %" PRIu64 " --safety %" PRId64, RUN_DICE, seed,
           choice.safety / QR_MILLISECOND);
    if (choice.seats > 0) {
        printf(" --nodes %u", choice.seats);
    }
    if (choice.without != 0) {
        printf(" --without ");
        print_kinds(choice.without, ",");
    }
    printf("\n");
}
