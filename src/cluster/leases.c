#include "cluster/leases.h"

#include "base/panic.h"

void leases_init(struct leases *l, uint64_t life)
{
    *l = (struct leases){ .life = life };
}

bool leases_renew(struct leases *l, qr_time now, struct renewal *out)
{
    if (now < l->renew_at) {
        return false;
    }
    l->renew_at = now + LEASE_RENEWED_EVERY;
    *out = (struct renewal){ .life = l->life, .sent = now };
    return true;
}

bool leases_renewed(struct leases *l, const struct renewal *renewal, qr_time now)
{
    if (renewal->life != l->life || renewal->sent > now) {
        return false; /* L4 */
    }
    qr_time until = renewal->sent + LEASE_TIME / 2; /* L1 */
    if (now >= l->held_until && until > now) {
        l->since = now; /* L6 */
    }
    l->held_until = until > l->held_until ? until : l->held_until;
    return true;
}

bool leases_held(const struct leases *l, qr_time now)
{
    return now < l->held_until;
}

void leases_lead(struct leases *l, qr_term term, bool serves, qr_time now)
{
    if (term != l->term) {
        l->term = term;
        l->confirmed = 0;
        l->serves = false;
        l->asked = 0; /* L4 */
    }
    if (term == 0 || l->serves || !serves) {
        return;
    }
    l->serves = true;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        l->gone_at[i] = now + LEASE_TIME; /* L3 */
    }
}

void leases_confirm(struct leases *l, qr_time sent)
{
    if (l->term != 0 && sent > l->confirmed) {
        l->confirmed = sent;
    }
}

void leases_asked(struct leases *l, node_index from, const struct renewal *renewal, qr_time now)
{
    qr_assert(from < MEMBERS_MAX);
    if (l->term == 0) {
        return; /* it will ask the one who leads */
    }
    l->asked = (uint16_t)(l->asked | 1u << from);
    l->renewal[from] = *renewal;
    l->came[from] = now;
}

void leases_lost(struct leases *l, node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    l->asked = (uint16_t)(l->asked & ~(1u << node));
}

uint16_t leases_grant(struct leases *l, qr_time now)
{
    uint16_t granted = 0;
    if (!l->serves) {
        return 0; /* L3: what it granted before would be forgotten by its own count */
    }
    for (uint32_t rest = l->asked; rest != 0; rest &= rest - 1) {
        node_index i = (node_index)__builtin_ctz(rest);
        if (l->confirmed > l->came[i]) { /* L2 */
            l->gone_at[i] = now + LEASE_TIME;
            granted = (uint16_t)(granted | 1u << i);
        }
    }
    l->asked = (uint16_t)(l->asked & ~granted);
    return granted;
}

qr_time leases_gone_for(const struct leases *l, node_index node, qr_time now)
{
    qr_assert(node < MEMBERS_MAX);
    return l->serves && now > l->gone_at[node] ? now - l->gone_at[node] : 0;
}
