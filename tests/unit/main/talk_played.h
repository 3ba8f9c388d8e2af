/* Servers that answer quorate status and quorate admin from a table, and what the two print. */
#ifndef TALK_PLAYED_H
#define TALK_PLAYED_H

#include "main/talk.h"

/* The reply: "-" begins an error, "+" a status, "#" a text to the end; else words in brackets,
 * "[ id 7 name ~ ]", where numbers are numbers, ^ a blank, ~ an empty text. NULL: it hangs up. */
struct played {
    uint16_t port;
    const char *line, *reply;
};

extern const struct played *played; /* ends with port 0; other ports refuse */
extern char played_asked[512];      /* the last line */
extern struct talk_where played_where;

/* Begins to gather what is written to standard output and standard error. */
void gather_begin(void);
/* Both texts, until the next time. */
void gather_end(const char **out, const char **err);

#endif
