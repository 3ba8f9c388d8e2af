/* Sessions that go over connections: half of the clients take what they have seen along, as a token
 * (docs/sessions.md), and go on at another node with the same session, in the history too. Some ask
 * for the token now and then and hand it over when they have connected anew; some have it in each
 * command and go on with the one that META gives. */
#ifndef SIM_NODES_HOP_H
#define SIM_NODES_HOP_H

#include "resp/tree.h"

#define TOKEN_MAX 4096u

enum hop_kind {
    HOP_NEVER,         /* a connection is a session */
    HOP_BY_CONNECTION, /* SESSION TOKEN, SESSION USE */
    HOP_BY_COMMAND,    /* WITH META SESSION */
};

struct hop {
    enum hop_kind kind;
    uint32_t session;          /* 0: none yet */
    bool has_all;              /* the token knows all that the session was told */
    bool hands_over;           /* the connection does not know the token yet */
    bool leaves;               /* this connection is of no use any more */
    bool looks_back;           /* it has just come: first of all it reads what it wrote last, */
    bool selects;              /* the connection is not in its database yet */
    uint32_t list;             /* to this list; 0: to none */
    char token[TOKEN_MAX + 1]; /* "": none */
};

struct asker;

void hop_draw(struct asker *a);
void hop_connected(struct asker *a); /* a new connection: which session it is of */

/* Something to ask beside what the client wants; returns its length, 0: nothing. */
size_t hop_asks(struct asker *a, char *p, size_t cap);
/* NULL, or what is wrong with the answer to that. */
const char *hop_answered(struct asker *a, const struct tree *reply);

/* The options of a command that has its token with it, a blank behind each word. */
unsigned hop_options(const struct asker *a, char *p, size_t cap);
/* Whether what it reads is at least what its session has seen, whatever level is named. */
bool hop_demands(const struct asker *a);
/* Takes note of an answer that is no error, and says where its value is; UINT32_MAX: nowhere. */
uint32_t hop_told(struct asker *a, const struct tree *reply);
void hop_lost(struct asker *a);   /* -SESSIONLOST: another session begins */
bool hop_leaves(struct asker *a); /* whether to hang up now */

#endif
