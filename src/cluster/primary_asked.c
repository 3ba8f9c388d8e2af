#include "cluster/primary_asked.h"

#include "base/panic.h"

#include <string.h>

static bool refuse(struct text *why, const char *has, const struct ack *ack)
{
    text_put(why, has);
    text_put(why, "ACK ");
    ack_put(why, ack);
    return false;
}

/* What is asked for is surely not more than the keyspace's own rule, ON whatever. */
static bool is_within(const struct ack *asked, const struct ack *own)
{
    bool same = asked->kind == own->kind && strcmp(asked->zone, own->zone) == 0;
    bool all = own->kind == ACK_ALL && own->zone[0] == 0;
    return asked->kind == ACK_LOCAL || (same && asked->n <= own->n) ||
           (all && asked->kind == ACK_ANY && asked->zone[0] == 0);
}

static bool is_weaker_stage(enum ack_stage a, enum ack_stage b)
{
    return a != b && (a == ACK_RECEIVED || b == ACK_APPLIED);
}

static bool check_stage(const struct ack *ack, const struct primary_options *own, struct text *why)
{
    if (ack->stage == ACK_APPLIED && ack->kind == ACK_LOCAL) {
        return refuse(why, "cannot give what contradicts itself: ", ack);
    }
    if (ack->stage == ACK_APPLIED &&
        (own->ack.stage != ACK_APPLIED || !is_within(ack, &own->ack))) {
        return refuse(
            why, "hears of others what they have executed for its own ACK alone, not for ", ack);
    }
    return (ack->stage == ACK_RECEIVED || own->sync != PRIMARY_EVERYSEC) ||
           refuse(why, "has APPENDFSYNC everysec and does not know who has synced: not given is ",
                  ack);
}

/* There can be as many. */
static bool check_count(const struct ack *ack, uint32_t replicas, uint16_t in_zone,
                        struct text *why)
{
    uint32_t wanted = ack->kind == ACK_ANY ? ack->n : 1;
    if (ack->zone[0] != 0 && wanted > (uint32_t)__builtin_popcount(in_zone)) {
        return refuse(why, "has not so many nodes in that zone: ", ack);
    }
    return wanted < replicas || refuse(why, "has not so many replicas: ", ack);
}

static bool check(const struct ack *ack, const struct primary_options *own, uint32_t replicas,
                  uint16_t in_zone, struct text *why)
{
    if (ack->kind != ACK_LOCAL && ack->kind != ACK_ANY && ack->kind != ACK_ALL) {
        return refuse(why, "gives ACK LOCAL, ANY k and ALL, not ", ack);
    }
    if (!check_stage(ack, own, why)) {
        return false;
    }
    if (ack->kind == ACK_LOCAL) {
        return ack->zone[0] == 0 || refuse(why, "waits for no other node, in no zone, with ", ack);
    }
    if (own->ack.kind == ACK_LOCAL) { /* Q2 */
        return refuse(why,
                      "has ACK LOCAL: any of its nodes may be made primary, so more copies "
                      "promise nothing; not given is ",
                      ack);
    }
    return check_count(ack, replicas, in_zone, why);
}

struct promise primary_asked_gives(const struct primary_options *own)
{
    uint32_t copies = own->ack.kind == ACK_LOCAL ? 0 : ACK_BIT(ACK_ANY) | ACK_BIT(ACK_ALL);
    uint32_t durable = own->sync == PRIMARY_EVERYSEC ? 0 : ACK_BIT(ACK_DURABLE);
    uint32_t applied = own->ack.stage == ACK_APPLIED ? ACK_BIT(ACK_APPLIED) : 0;
    return (struct promise){
        .acks = (uint8_t)(ACK_BIT(ACK_LOCAL) | copies),
        .ack_stages = (uint8_t)(ACK_BIT(ACK_RECEIVED) | durable | applied),
    };
}

static bool check_fallback(const struct asked_ack *asked, const struct ack *ack,
                           const struct primary_options *own, struct text *why)
{
    if (!own->fallback_async) {
        text_put(why, "never acknowledges less than was asked for: FALLBACK fail is given, not "
                      "async");
        return false;
    }
    bool less = is_within(ack, &own->ack) && !is_weaker_stage(own->ack.stage, ack->stage);
    return (asked->given & ASKED_ACK) == 0 || less ||
           refuse(why, "falls back from its own ACK alone, not from ", ack);
}

bool primary_asked(struct wants_copies *out, const struct asked_ack *asked,
                   const struct primary_options *own, uint32_t replicas, uint16_t in_zone,
                   struct text *why)
{
    bool said = (asked->given & ASKED_ACK) != 0;
    bool async = (asked->given & ASKED_FALLBACK) != 0 && asked->fallback_async;
    struct ack ack = said ? asked->ack : own->ack;
    *out = (struct wants_copies){ 0 };
    if ((said && !check(&ack, own, replicas, in_zone, why)) ||
        (async && !check_fallback(asked, &ack, own, why))) { /* Q4 */
        return false;
    }
    bool own_will_do = async || (!said && !own->fallback_async);
    if (own_will_do || (ack.kind == ACK_LOCAL && ack.stage == ACK_RECEIVED)) {
        return true;
    }
    qr_assert(ack.kind == ACK_LOCAL || ack.kind == ACK_ANY || ack.kind == ACK_ALL);
    out->count = ack.kind == ACK_LOCAL ? 1
                 : ack.kind == ACK_ALL ? WANTS_ALL_COPIES
                                       : (uint8_t)(ack.n + 1);
    out->stage = (uint8_t)ack.stage;
    out->among = ack.zone[0] != 0 ? in_zone : 0;
    return true;
}
