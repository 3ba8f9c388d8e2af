#include "node/proofs.h"

#include "base/limits.h"

#include <string.h>

void proofs_asked(struct proofs *p, qr_req first, qr_time now)
{
    p->wanted = false;
    if (p->ask_count < PROOF_ASKS) {
        p->asks[p->ask_count].first = first;
        p->asks[p->ask_count++].at = now;
    }
}

/* Those of reads before `end` have their answer; when the latest of them was asked, 0: none was. */
static qr_time settle(struct proofs *p, qr_req first, qr_req end)
{
    uint32_t i = 0;
    qr_time at = 0;
    for (; i < p->ask_count && p->asks[i].first < end; i++) {
        at = p->asks[i].first >= first ? p->asks[i].at : at;
    }
    p->ask_count = (uint8_t)(p->ask_count - i);
    memmove(p->asks, p->asks + i, p->ask_count * sizeof p->asks[0]);
    return at;
}

void proofs_confirmed(struct proofs *p, qr_req first, uint32_t count, qr_slot slot)
{
    qr_time at = settle(p, first, first + count);
    if (at != 0) {
        uint32_t i = p->told_count < 2 ? p->told_count++ : 1;
        p->told[i].slot = slot;
        p->told[i].at = at;
    }
}

void proofs_refused(struct proofs *p, qr_req first, uint32_t count)
{
    (void)settle(p, first, first + count);
}

qr_time proofs_fresh_at(struct proofs *p, qr_slot applied)
{
    while (p->told_count > 0 && p->told[0].slot <= applied) {
        p->fresh_at = p->told[0].at > p->fresh_at ? p->told[0].at : p->fresh_at;
        p->told[0] = p->told[1];
        p->told_count--;
    }
    return p->fresh_at;
}

void proofs_late(struct proofs *p, qr_time now)
{
    if (now < p->late_until) {
        return; /* they had all been asked together */
    }
    p->late_until = now + ((qr_time)INDEX_LATE_MS * QR_MILLISECOND << p->lates);
    p->lates = (uint8_t)(p->lates + (p->lates < INDEX_LATE_DOUBLINGS ? 1 : 0));
}
