/* A node around real streams, of which nothing else is there. Its clock is `clock`. */
#ifndef TESTS_NODE_PLAYED_NODE_H
#define TESTS_NODE_PLAYED_NODE_H

struct node;

struct node *played_node(void);
/* Streams of it are detached. */
void played_node_free(struct node *node);

#endif
