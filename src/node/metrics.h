/* The page of /metrics: Prometheus's text format 0.0.4, from metrics.def.
 *
 * It is written in slices, so that a scrape never holds the loop up (R4): figures of one page may
 * be a turn or two apart. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include "base/types.h"

struct node;
struct metrics; /* a page being written */

struct metrics *metrics_begin(struct node *node);
void metrics_free(struct metrics *page);

/* Goes on for about `budget` microseconds; true when the page is complete. */
bool metrics_step(struct metrics *page, qr_time budget);

/* The page so far; borrowed. */
struct span metrics_text(const struct metrics *page);

#endif
