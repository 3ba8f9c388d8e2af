/* The inside of struct engine, for the files of this directory only.
 *
 * What a replica's state is made of: the store's content and the log time. An image holds exactly
 * those two, and the digest covers exactly those two; statistics and scratch are neither. */
#ifndef ENGINE_ENGINE_INTERNAL_H
#define ENGINE_ENGINE_INTERNAL_H

#include "engine/engine.h"

/* Both are private to image.c: NULL when no image is being written, or loaded. */
struct image_writer;
struct image_reader;

struct engine {
    struct engine_config config;
    struct store *store;
    qr_wall log_time; /* the largest stamp applied so far; 0 at the start */
    struct engine_stats stats;

    struct image_writer *image_writer;
    struct image_reader *image_reader;

    /* The arguments of the command that runs, reused between commands. */
    struct span *argv;
    uint32_t argv_capacity;
};

/* Gives back what image.c keeps, in whatever state it is; called by engine_free before the store
 * goes. */
void engine_image_free(struct engine *engine);

#endif
