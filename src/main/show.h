/* Replies for people, and as JSON. RESP2 has no maps: an array of names and values, in turn, is
 * taken for one where every name is a text. */
#ifndef MAIN_SHOW_H
#define MAIN_SHOW_H

#include "resp/tree.h"

#include <stdio.h>

/* An array of maps with the same names is a table, or a paragraph for each where that is wider than
 * `width`; a map is a line per pair. */
void show_reply(const struct tree *tree, uint32_t item, uint32_t width, FILE *out);
void show_json(const struct tree *tree, uint32_t item, FILE *out);
void show_json_text(struct span text, FILE *out);

#endif
