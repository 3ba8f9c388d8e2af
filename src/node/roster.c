/* The encoding of a roster, the payload of RECORD_MEMBERS.
 *
 *   offset size
 *        0    1  version of this layout: 1, of group 0
 *        1    8  voters, outgoing, learners, observers: a u16 of bits by node index each
 *        9    -  per node of any of these sets, in order of index:
 *                  4  id
 *                 16  directory UUID; zero: not met yet
 *                  2  client port
 *                  2  peer port
 *                  1  priority
 *                  1  bytes of the address, which follows
 *
 * Version 2, of the group of a partition: the same four sets, then the epoch as a u64, not 0.
 *
 * There is one encoding per roster, and it is read back only when it is that one. */
#include "node/roster.h"

#include "base/panic.h"
#include "base/wire.h"

#include <string.h>

#define ROSTER_VERSION 1
#define ROSTER_VERSION_PARTITION 2

_Static_assert(9 + MEMBERS_MAX * (26 + sizeof((struct roster_node *)0)->address - 1) <=
                   ROSTER_BYTES_MAX,
               "every roster fits");

/* It is in `outgoing` alone: its id may be another's already. */
static bool is_leaving(const struct membership *m, node_index i)
{
    return ((m->voters | m->learners | m->observers) >> i & 1) == 0;
}

node_index roster_find(const struct roster *roster, uint32_t id)
{
    node_index found = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX && id != 0; i++) {
        bool better = found == NODE_NONE || is_leaving(&roster->members, found);
        found = roster->node[i].id == id && better ? i : found;
    }
    return found;
}

const char *roster_role(const struct membership *members, node_index index)
{
    unsigned bit = 1u << index;
    return (members->voters & bit) != 0      ? "voter"
           : (members->learners & bit) != 0  ? "learner"
           : (members->observers & bit) != 0 ? "observer"
           : (members->outgoing & bit) != 0  ? "leaving"
                                             : "none";
}

bool roster_uuid_known(const struct roster_node *node)
{
    static const uint8_t unknown[sizeof node->uuid] = { 0 };
    return memcmp(node->uuid, unknown, sizeof unknown) != 0;
}

size_t roster_write(const struct roster *roster, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, ROSTER_BYTES_MAX);
    wire_put_u8(&w, roster->epoch == 0 ? ROSTER_VERSION : ROSTER_VERSION_PARTITION);
    wire_put_u16(&w, roster->members.voters);
    wire_put_u16(&w, roster->members.outgoing);
    wire_put_u16(&w, roster->members.learners);
    wire_put_u16(&w, roster->members.observers);
    if (roster->epoch != 0) {
        wire_put_u64(&w, roster->epoch);
        return w.n;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *node = &roster->node[i];
        if ((membership_all(&roster->members) >> i & 1) == 0) {
            continue;
        }
        qr_assert(node->id != 0);
        uint8_t length = (uint8_t)strnlen(node->address, sizeof node->address - 1);
        wire_put_u32(&w, node->id);
        wire_put_bytes(&w, node->uuid, sizeof node->uuid);
        wire_put_u16(&w, node->client_port);
        wire_put_u16(&w, node->peer_port);
        wire_put_u8(&w, node->priority);
        wire_put_u8(&w, length);
        wire_put_bytes(&w, node->address, length);
    }
    qr_assert(!w.bad);
    return w.n;
}

bool roster_is_address(const char *text)
{
    return text[0] != 0 &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        ":.%-_") == strlen(text);
}

static bool read_node(struct wire_reader *r, struct roster_node *node)
{
    node->id = wire_get_u32(r);
    struct span uuid = wire_get_bytes(r, sizeof node->uuid);
    node->client_port = wire_get_u16(r);
    node->peer_port = wire_get_u16(r);
    node->priority = wire_get_u8(r);
    size_t length = wire_get_u8(r);
    struct span address = wire_get_bytes(r, length);
    if (r->bad || length >= sizeof node->address || memchr(address.p, 0, length) != NULL) {
        return false;
    }
    memcpy(node->uuid, uuid.p, sizeof node->uuid);
    memcpy(node->address, address.p, length);
    return node->id != 0 && roster_is_address(node->address);
}

static bool is_another(const struct roster *roster, node_index index)
{
    const struct roster_node *node = &roster->node[index];
    for (node_index i = 0; i < index; i++) {
        const struct roster_node *other = &roster->node[i];
        bool same_directory =
            roster_uuid_known(node) && memcmp(other->uuid, node->uuid, sizeof node->uuid) == 0;
        bool same_id = other->id == node->id && !is_leaving(&roster->members, i) &&
                       !is_leaving(&roster->members, index);
        if (same_id || same_directory) {
            return false;
        }
    }
    return true;
}

bool roster_read(struct span in, struct roster *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct roster){ 0 };
    uint8_t version = wire_get_u8(&r);
    out->members.voters = wire_get_u16(&r);
    out->members.outgoing = wire_get_u16(&r);
    out->members.learners = wire_get_u16(&r);
    out->members.observers = wire_get_u16(&r);
    bool known = version == ROSTER_VERSION || version == ROSTER_VERSION_PARTITION;
    if (r.bad || !known ||
        (membership_all(&out->members) != 0 && !membership_is_sound(&out->members))) {
        return false;
    }
    if (version == ROSTER_VERSION_PARTITION) {
        out->epoch = wire_get_u64(&r);
        return out->epoch != 0 && out->members.voters != 0 && wire_finished(&r);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((membership_all(&out->members) >> i & 1) != 0 &&
            (!read_node(&r, &out->node[i]) || !is_another(out, i))) {
            return false;
        }
    }
    return wire_finished(&r);
}

static bool has_directory(const struct roster *roster, const uint8_t uuid[16])
{
    bool found = false;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        found = found || (roster->node[i].id != 0 && memcmp(roster->node[i].uuid, uuid, 16) == 0);
    }
    return found;
}

/* It is named without its directory: a founder, of whom whoever made the entry had not met it. */
static bool is_unnamed(const struct roster *after, node_index i, uint32_t id)
{
    return after->node[i].id == id && !roster_uuid_known(&after->node[i]);
}

void graves_follow(struct graves *graves, const struct roster *before, const struct roster *after)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *n = &before->node[i];
        bool named = n->id != 0 && roster_uuid_known(n);
        if (named && !has_directory(after, n->uuid) && !is_unnamed(after, i, n->id)) {
            memcpy(graves->uuid[graves->next++ % GRAVES_KEPT], n->uuid, 16);
        }
    }
}

bool graves_hold(const struct graves *graves, const uint8_t uuid[16])
{
    static const uint8_t none[16] = { 0 };
    bool found = false;
    for (uint32_t i = 0; i < GRAVES_KEPT; i++) {
        found = found || memcmp(graves->uuid[i], uuid, 16) == 0;
    }
    return found && memcmp(uuid, none, 16) != 0;
}
