#include "protocol/journal.h"

void journal_start(struct journal *j, qr_slot last_slot)
{
    *j = (struct journal){ .durable_slot = last_slot };
}

qr_ticket journal_mint(struct journal *j)
{
    return ++j->minted;
}

/* Keeps the later mark of each pair (J2). */
static void halve(struct journal *j)
{
    qr_assert(j->count == JOURNAL_MARKS);
    for (uint32_t i = 0; i < JOURNAL_MARKS / 2; i++) {
        j->marks[i] = j->marks[2 * i + 1];
    }
    j->count = JOURNAL_MARKS / 2;
}

void journal_wrote(struct journal *j, qr_ticket ticket, qr_slot last_slot)
{
    qr_assert(ticket == j->minted);
    qr_assert(j->count == 0 || last_slot >= j->marks[j->count - 1].slot); /* J1 */
    if (j->count == JOURNAL_MARKS) {
        halve(j);
    }
    j->marks[j->count++] = (struct journal_mark){ .ticket = ticket, .slot = last_slot };
}

void journal_truncate(struct journal *j, qr_slot from)
{
    qr_assert(from > 0);
    j->durable_slot = min_u64(j->durable_slot, from - 1);
    for (uint32_t i = 0; i < j->count; i++) {
        j->marks[i].slot = min_u64(j->marks[i].slot, from - 1); /* J3 */
    }
}

void journal_replace(struct journal *j, qr_ticket ticket, qr_slot commit, qr_slot slot)
{
    qr_assert(slot > commit);
    journal_truncate(j, commit + 1); /* J4 */
    journal_wrote(j, ticket, slot);
}

void journal_durable(struct journal *j, qr_ticket upto)
{
    qr_assert(upto <= j->minted);
    qr_assert(upto >= j->durable);
    uint32_t gone = 0;
    while (gone < j->count && j->marks[gone].ticket <= upto) {
        j->durable_slot = j->marks[gone++].slot;
    }
    j->count -= gone;
    memmove(j->marks, j->marks + gone, j->count * sizeof j->marks[0]);
    j->durable = upto;
}

qr_ticket journal_covering(const struct journal *j, qr_slot slot)
{
    if (slot <= j->durable_slot) {
        return 0;
    }
    for (uint32_t i = 0; i < j->count; i++) {
        if (j->marks[i].slot >= slot) {
            return j->marks[i].ticket;
        }
    }
    qr_unreachable(); /* every slot of the log has been written */
}

qr_ticket journal_pending(const struct journal *j, qr_ticket ticket)
{
    qr_assert(ticket <= j->minted);
    return ticket > j->durable ? ticket : 0;
}

void journal_check(const struct journal *j)
{
    qr_assert(j->durable <= j->minted);
    qr_assert(j->count <= JOURNAL_MARKS);
    struct journal_mark below = { .ticket = j->durable, .slot = j->durable_slot };
    for (uint32_t i = 0; i < j->count; i++) {
        qr_assert(j->marks[i].ticket > below.ticket); /* J1 */
        qr_assert(j->marks[i].slot >= below.slot);    /* J1 */
        below = j->marks[i];
    }
    qr_assert(below.ticket <= j->minted);
}
