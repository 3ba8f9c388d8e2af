#include "node/places.h"

#include "base/crc32c.h"
#include "base/panic.h"
#include "base/wire.h"
#include "node/node.h"
#include "node/peers.h"

#include <stdio.h>
#include <string.h>

/* --- The frame ------------------------------------------------------------------------------ */

static void put_text(struct wire_writer *w, const char *text)
{
    size_t n = strlen(text);
    wire_put_u8(w, (uint8_t)n);
    wire_put_bytes(w, text, n);
}

size_t place_write(const struct place *place, uint8_t out[PLACE_BYTES_MAX])
{
    struct wire_writer w = wire_writer(out, PLACE_BYTES_MAX);
    wire_put_u16(&w, place->cluster_port);
    wire_put_u16(&w, place->plain_port);
    wire_put_u16(&w, place->sentinel_port);
    wire_put_u8(&w, (uint8_t)place->endpoint);
    put_text(&w, place->address);
    put_text(&w, place->hostname);
    put_text(&w, place->keyspace);
    put_text(&w, place->plain_address);
    qr_assert(!w.bad);
    return w.n;
}

/* It stands in replies: whoever sent it, nothing in it may end a line. */
static bool get_text(struct wire_reader *r, char *out, size_t cap)
{
    size_t n = wire_get_u8(r);
    struct span text = wire_get_bytes(r, n);
    if (r->bad || n >= cap) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text.p[i] <= ' ' || text.p[i] > '~') {
            return false;
        }
        out[i] = (char)text.p[i];
    }
    out[n] = 0;
    return true;
}

bool place_read(struct span in, struct place *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct place){ .cluster_port = wire_get_u16(&r) };
    out->plain_port = wire_get_u16(&r);
    out->sentinel_port = wire_get_u16(&r);
    out->endpoint = wire_get_u8(&r);
    return get_text(&r, out->address, sizeof out->address) &&
           get_text(&r, out->hostname, sizeof out->hostname) &&
           get_text(&r, out->keyspace, sizeof out->keyspace) &&
           get_text(&r, out->plain_address, sizeof out->plain_address) && wire_finished(&r) &&
           out->endpoint <= ENDPOINT_UNKNOWN;
}

void places_tell(struct node *node, node_index to)
{
    struct place mine;
    uint8_t head[PLACE_BYTES_MAX];
    place_of(node, (node_index)identity_me(&node->identity), &mine);
    peers_tell(node->peers, to, FRAME_PLACE, span_of(head, place_write(&mine, head)));
}

bool places_receive(struct node *node, node_index from, struct span head)
{
    struct told_place place = { .told = true };
    if (!place_read(head, &place.place)) {
        return false;
    }
    memcpy(place.uuid, node->known[from].uuid, sizeof place.uuid);
    node->places[from] = place;
    return true;
}

/* --- Looking -------------------------------------------------------------------------------- */

static void announce(char out[64], const char *setting, const char *member)
{
    (void)snprintf(out, 64, "%s", setting[0] != 0 ? setting : member);
}

static void my_place(const struct node *node, const struct roster_node *me, struct place *out)
{
    const struct config *config = &node->config;
    announce(out->address, config->cluster_announce_ip, me->address);
    announce(out->plain_address, config->replica_announce_ip, me->address);
    memcpy(out->hostname, config->cluster_announce_hostname, sizeof out->hostname);
    memcpy(out->keyspace, config->cluster_keyspace, sizeof out->keyspace);
    out->endpoint = config->cluster_endpoint;
    bool given = config->cluster_port != 0 && config->cluster_announce_port != 0;
    out->cluster_port = given ? config->cluster_announce_port : config->cluster_port;
    out->plain_port =
        config->replica_announce_port != 0 ? config->replica_announce_port : me->client_port;
    out->sentinel_port = config->sentinel_port;
}

void place_of(const struct node *node, node_index index, struct place *out)
{
    const struct roster_node *m = &node->known[index];
    const struct told_place *told = &node->places[index];
    *out = (struct place){ .plain_port = m->client_port };
    if (index == identity_me(&node->identity)) {
        my_place(node, m, out);
    } else if (told->told && memcmp(told->uuid, m->uuid, sizeof m->uuid) == 0) {
        *out = told->place;
    } else {
        announce(out->address, "", m->address);
        announce(out->plain_address, "", m->address);
    }
}

bool place_id_of(const struct node *node, node_index index, char out[41])
{
    const struct roster_node *m = &node->known[index];
    bool me = index == identity_me(&node->identity);
    const uint8_t *uuid = me ? node->identity.uuid : m->uuid;
    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", uuid[i]);
    }
    (void)snprintf(out + 32, 9, "%08x", crc32c_extend(0, uuid, 16));
    return me || (m->id != 0 && roster_uuid_known(m));
}
