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
        p->told[i].slot = p->newest.slot = slot;
        p->told[i].at = p->newest.at = at;
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

/* The oldest question without an answer, or answer that is not applied; 0: there is none. */
static qr_time waits_since(const struct proofs *p)
{
    return p->told_count > 0 ? p->told[0].at : p->ask_count > 0 ? p->asks[0].at : 0;
}

enum behind proofs_behind(struct proofs *p, qr_slot applied, qr_time now,
                          const struct proofs_limit *limit)
{
    qr_time fresh_at = proofs_fresh_at(p, applied), since = waits_since(p);
    qr_time known = limit->is_entries ? p->newest.at : fresh_at;
    qr_time life = limit->is_entries ? PROOFS_LIFE : (qr_time)limit->most;
    qr_time patience = life < PROOFS_PATIENCE ? life : PROOFS_PATIENCE;
    if (known == 0 || now - known > life) {
        return since != 0 && now - since > patience ? BEHIND_TOO_FAR : BEHIND_UNKNOWN;
    }
    bool lacks = limit->is_entries && p->newest.slot > applied;
    if (lacks && p->newest.slot - applied > limit->most) {
        return BEHIND_TOO_FAR;
    }
    return now - known > life / 2 ? BEHIND_AGES : BEHIND_NOT;
}

void proofs_late(struct proofs *p, qr_time now)
{
    if (now < p->late_until) {
        return; /* they had all been asked together */
    }
    p->late_until = now + ((qr_time)INDEX_LATE_MS * QR_MILLISECOND << p->lates);
    p->lates = (uint8_t)(p->lates + (p->lates < INDEX_LATE_DOUBLINGS ? 1 : 0));
}
