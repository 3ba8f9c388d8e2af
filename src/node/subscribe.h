/* Who listens to which channels. For now the only ones that anything is published to are the
 * events of sentinel.h, so only clients of sentinel-port know SUBSCRIBE.
 *
 * A message goes into the output of whoever listens, in the turn in which it is published. One that
 * does not take its messages is closed: they can neither wait for it nor be left out. */
#ifndef NODE_SUBSCRIBE_H
#define NODE_SUBSCRIBE_H

#include "base/types.h"

struct client;
struct command_spec;
struct node;
struct subscriptions;

void subscribe_publish(struct node *node, const char *channel, const char *text);

/* How many channels and patterns a client listens to. */
uint32_t subscribe_channels(const struct client *client);
uint32_t subscribe_patterns(const struct client *client);

/* Whether its protocol leaves room for that command while it listens: RESP2 knows messages from
 * replies only by what was asked. */
bool subscribe_allows(const struct client *client, const struct command_spec *spec);

/* It listens to nothing any more. */
void subscribe_forget(struct client *client);

#endif
