/* The orders that netfault takes, a line each, and what it answers:
 *
 *     set FROM TO NAME=NUMBER...   the faults of a link: delay_us jitter_us bytes_per_s loss_ppm
 *                                  duplicate_ppm reorder_ppm cut; what is not named stays. FROM and
 *                                  TO are numbers from 1, or * for all
 *     clear                        no faults anywhere
 *     count                        what has happened so far, a line per link that was used
 *
 * Each answer ends with a line `ok`, or is a line `error: ...`, and then nothing was changed. */
#ifndef NETFAULT_COMMAND_H
#define NETFAULT_COMMAND_H

#include "tools/netfault/schedule.h"

#include <stdio.h>

#define COMMAND_BYTES 512u

/* The line is cut into words in place. */
void netfault_command(struct schedule *s, uint64_t now_us, char *line, FILE *out);

#endif
