/* What of the own log is durable: tickets on one side, slots on the other (R5).
 *
 * Every PERSIST mints a ticket; DURABLE(upto) says that all tickets up to `upto` are on disk. A
 * mark notes which slot the log ended with when a ticket was minted, so that a durable ticket
 * gives a durable slot, and a slot gives the ticket that an acknowledgement of it must wait for.
 *
 * J1 Marks ascend strictly in ticket and never fall in slot, all above the durable pair.
 * J2 A mark never promises more than its ticket does: when there are too many, every second one
 *    is dropped, and its slots become durable with a later ticket than they could have.
 * J3 Truncation lowers the slots of older marks: those tickets held entries that are gone.
 * J4 So does a snapshot that takes the log's place, down to what was committed: that is the same in
 *    both. Up to its own slot the log is durable with the snapshot's ticket, not earlier. */
#ifndef PROTOCOL_JOURNAL_H
#define PROTOCOL_JOURNAL_H

#include "protocol/protocol.h"

#define JOURNAL_MARKS 24u

struct journal_mark {
    qr_ticket ticket;
    qr_slot slot;
};

struct journal {
    qr_ticket minted;     /* the last ticket given out */
    qr_ticket durable;    /* the last ticket known to be on disk */
    qr_slot durable_slot; /* the log is on disk up to here */
    uint32_t count;
    struct journal_mark marks[JOURNAL_MARKS];
};

void journal_start(struct journal *j, qr_slot last_slot);
qr_ticket journal_mint(struct journal *j);
/* The log ends with last_slot when `ticket`, just minted, is durable. */
void journal_wrote(struct journal *j, qr_ticket ticket, qr_slot last_slot);
/* Entries at and after `from` are dropped. */
void journal_truncate(struct journal *j, qr_slot from);
/* A snapshot up to `slot` replaces a log that was committed up to `commit`; `ticket` was minted for
 * it just now. */
void journal_replace(struct journal *j, qr_ticket ticket, qr_slot commit, qr_slot slot);
void journal_durable(struct journal *j, qr_ticket upto);
/* The ticket that makes the log durable up to `slot`; 0 when it is. */
qr_ticket journal_covering(const struct journal *j, qr_slot slot);
/* The ticket itself while it is pending; 0 when it is durable. */
qr_ticket journal_pending(const struct journal *j, qr_ticket ticket);
void journal_check(const struct journal *j);

#endif
