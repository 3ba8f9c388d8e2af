/* Primary/backup as a strategy: see primary.c for the overview, docs/decisions/056 for the whole.
 *
 * One state machine under three names: how many copies a write must have is said by the view, and
 * a keyspace's promise follows from that. They differ in name and promise alone, and understand
 * each other's logs, records and messages. */
#ifndef PROTOCOL_PRIMARY_PRIMARY_H
#define PROTOCOL_PRIMARY_PRIMARY_H

#include "protocol/protocol.h"

extern const struct protocol primary_async_protocol; /* no copy is waited for: what is answered may
                                                        be lost, and is named then */
extern const struct protocol primary_semi_protocol;  /* k copies, whichever are first */
extern const struct protocol primary_sync_protocol;  /* all of a set */

#endif
