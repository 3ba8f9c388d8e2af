/* What a node keeps of the council's words (council.h), and of what it took back (takeback.c). */
#ifndef SIM_DESK_H
#define SIM_DESK_H

#include "protocol/protocol.h"

/* An entry that was taken back, as the discard journal names it. */
struct taken {
    qr_slot slot;
    qr_term term, lost_to;
    uint32_t attempt;
    bool given; /* given up: it may be here again (takeback_again) */
};

struct desk {
    /* What a crash leaves; of the journal, also what a lost disk leaves: nothing. */
    uint32_t known; /* number of the latest view that it was told; 0: none */
    bool received;  /* it may have acknowledged what is not durable: it starts forgetful */
    struct taken *journal;
    size_t journal_n, journal_cap;
    uint32_t wipes; /* journals that were lost */
    qr_term spoke;  /* the latest term in which something left it as the primary */

    qr_slot shown; /* up to here it has ever executed */

    /* What a crash takes. */
    bool tells;       /* EXECUTED is on its way (shares.c) */
    bool voided;      /* it began to forget, and a crash may have prevented it */
    qr_ticket forgot; /* behind this one it began to forget: no write before says otherwise */
    bool emptied;     /* its checkpoint is of no use, and will be gone (`anew`) */
    bool held;        /* it was told to hold its lease */
    uint32_t needs;   /* the view that it must know before that (V4 of council.h) */
};

/* Adds it unless it is there (R2). What is given up is apart from what is lost. */
void desk_note(struct desk *desk, const struct taken *taken);
/* The log holds it after all. */
void desk_regain(struct desk *desk, qr_slot slot, qr_term term);
/* What was given up to a term behind that one is here again: the next of them, until false. */
bool desk_again(struct desk *desk, qr_term since, struct taken *out);
bool desk_names(const struct desk *desk, uint32_t attempt);
void desk_free(struct desk *desk);

#endif
