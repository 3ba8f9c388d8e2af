/* What clients may hold and how long they may stay.
 *
 * Whatever clients hold together has a bound (maxmemory-clients). Each has bounds of its own, but
 * ten thousand of them would add up; so past it the one that holds most is closed, as Redis does.
 */
#include "node/clients_internal.h"

#include "base/limits.h"
#include "base/linked.h"
#include "node/router.h"
#include "node/run.h"

/* --- Lines ---------------------------------------------------------------------------------- */

void clients_line_up(struct client_line *line, struct client *client)
{
    qr_assert(client->line == NULL);
    client->line = line;
    client->line_since = io_now(client->node->io);
    LINKED_APPEND(line->first, line->last, client, line_previous, line_next);
    line->count++;
}

void clients_leave_line(struct client *client)
{
    struct client_line *line = client->line;
    if (line == NULL) {
        return;
    }
    LINKED_REMOVE(line->first, line->last, client, line_previous, line_next);
    line->count--;
    client->line = NULL;
}

/* --- Leaving -------------------------------------------------------------------------------- */

static size_t claim(const struct client *client)
{
    return client->accounted + client->stream.op_bytes;
}

/* What nobody has taken up yet goes with its client: others wait for just that room. */
static void drop_waiting(struct client *client)
{
    for (struct pending *p = client->stream.first; p != NULL; p = p->next) {
        if (p->state == PENDING_WAITING) {
            router_recall(client->node->router, p);
            pending_drop_op(p);
            pending_drop_cargo(p);
            p->state = PENDING_ANSWERED; /* freed with the stream */
        }
    }
}

static void evict_largest(struct clients *clients, const char *why)
{
    struct client *largest = NULL;
    for (struct client *client = clients->node->clients; client != NULL; client = client->next) {
        if (!client->evicted && !client->no_evict &&
            (largest == NULL || claim(client) > claim(largest))) {
            largest = client;
        }
    }
    if (largest == NULL) {
        return;
    }
    largest->evicted = true;
    clients->node->stats.clients_evicted++;
    clients->bytes -= largest->accounted; /* it goes when this turn's callbacks have run */
    largest->accounted = 0;
    node_log(clients->node, NODE_LOG_WARNING, "Closing client %s, which holds %zu bytes: %s",
             largest->peer_name, client_memory(largest) + largest->stream.op_bytes, why);
    drop_waiting(largest);
    client_kill(largest);
}

void clients_evict(struct clients *clients)
{
    size_t most = clients->node->config.maxmemory_clients;
    for (uint32_t i = 0; i < 16 && clients->bytes > most; i++) {
        evict_largest(clients, "maxmemory-clients is exceeded");
    }
}

/* Those in line are served oldest first, so the first says how long nothing has moved. */
static void relieve_starved(struct clients *clients, qr_time now)
{
    const struct client *first = clients->starved.first;
    if (first != NULL && now - first->line_since > STARVED_TIME_MS * QR_MILLISECOND) {
        evict_largest(clients, "commands of others find no room");
    }
}

static bool has_overstayed(const struct client *client, qr_time now)
{
    const struct config *config = &client->node->config;
    qr_time idle = now - client->last_active;
    if (config->timeout_s > 0 && idle > config->timeout_s * QR_SECOND) {
        bool waits = client->stream.first != NULL || client->line != NULL;
        return !waits && client->subscriptions == NULL;
    }
    if (client->authenticated || config->requirepass[0] == 0) {
        return false;
    }
    return now - client->created > PREAUTH_TIME_MS * QR_MILLISECOND ||
           (client->input_at < client->input_n &&
            now - client->last_command_end > PREAUTH_COMMAND_TIME_MS * QR_MILLISECOND);
}

static void visit(struct client *client, qr_time now)
{
    if (client->closing) {
        return;
    }
    if (has_overstayed(client, now)) {
        client_kill(client);
    } else if (reply_bytes(&client->out) == 0 && client->out.cap > 0 &&
               now - client->last_active > IDLE_TRIM_TIME_MS * QR_MILLISECOND) {
        reply_free(&client->out);
        reply_init(&client->out, client->version);
    }
}

static void note_sizes(struct clients *clients, const struct client *client)
{
    struct buffer_sizes *most = &clients->largest;
    struct buffer_sizes *recent = &clients->node->recent;
    most->input = client->input_cap > most->input ? client->input_cap : most->input;
    most->output = client->out.n > most->output ? client->out.n : most->output;
    recent->input = most->input > recent->input ? most->input : recent->input;
    recent->output = most->output > recent->output ? most->output : recent->output;
}

void clients_housekeeping(struct clients *clients, qr_time now)
{
    /* A part of them each time, so that ten thousand are no stall; all within a second. */
    uint32_t count = clients->node->client_count / 8 + 16;
    struct client *client = clients->visit;
    while (count-- > 0) {
        client = client != NULL ? client->next : clients->node->clients;
        if (client == NULL) {
            clients->node->recent = clients->largest;
            clients->largest = (struct buffer_sizes){ 0 };
            break; /* begins anew next time */
        }
        note_sizes(clients, client);
        visit(client, now);
    }
    clients->visit = client;
    relieve_starved(clients, now);
}
