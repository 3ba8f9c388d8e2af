/* WITH … META: the reply as the first of two elements, behind it a map of what it shows (features
 * D3). An error comes as it is. */
#ifndef NODE_META_H
#define NODE_META_H

#include "node/stream.h"

/* Opens the two elements; what is written next is the reply. */
void meta_begin(struct pending *p, struct reply *reply);
/* The reply is complete: the map follows, or, behind an error, the opening goes. */
void meta_end(struct pending *p);

#endif
