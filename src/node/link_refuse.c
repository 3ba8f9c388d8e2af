/* No, said to a peer and heard from one: in words, to the other side and to people. Who is refused
 * tries again, so the words are logged rarely. */
#include "node/link.h"

#include "node/members.h"
#include "node/node.h"
#include "node/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Behind the words, for a node that takes part no more: it is to stop for good. */
#define REFUSED_FOR_GOOD 1

static void say_no(struct link *link, const char *why, struct span code)
{
    link_send(link, FRAME_REFUSED, span_of(why, strlen(why)), code, false);
    link_flush(link);
    link->closing = true;
    io_stream_dismiss(link->stream);
}

bool link_refuse(struct link *link, const char *format, ...)
{
    char why[400];
    char name[64];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    io_stream_peer_name(link->stream, name, sizeof name);
    char *port = strrchr(name, ':');
    if (port != NULL) {
        *port = 0; /* another one at each attempt */
    }
    node_log_rarely(link->peers->node, NODE_LOG_WARNING, "Refused the peer at %s: %s", name, why);
    if (link->peer != NODE_NONE) {
        peers_refused(link->peers, link->peer);
    }
    say_no(link, why, (struct span){ 0 });
    return false;
}

void link_dismiss(struct link *link)
{
    static const uint8_t code[] = { REFUSED_FOR_GOOD };
    say_no(link, "the cluster has removed this node", span_of(code, sizeof code));
}

void link_refused(struct link *link, struct span head, struct span code)
{
    /* It has proven that it knows the secret, and had a reason to look who we are. */
    if (link->state == LINK_UP && code.n == 1 && code.p[0] == REFUSED_FOR_GOOD) {
        members_removed(link->peers->node, "its cluster has removed it");
    }
    struct node *node = link->peers->node;
    char who[32] = "A peer";
    if (link->peer != NODE_NONE) {
        (void)snprintf(who, sizeof who, "Node %u", (unsigned)node->known[link->peer].id);
    }
    if (link->dialed) {
        peers_refused(link->peers, link->peer);
    }
    node_log_rarely(node, NODE_LOG_WARNING, "%s refused this node: %.*s", who,
                    (int)(head.n < 400 ? head.n : 400), (const char *)head.p);
    link_drop(link, "refused");
}
