/* Where the checkpoint files of a group lie: those of group 0 in the data directory itself, those
 * of the others in its directory `groups`, each name with the group's number in front. */
#ifndef NODE_CHECKPOINT_PLACE_H
#define NODE_CHECKPOINT_PLACE_H

#include "io/io.h"

#define CHECKPOINT_PATH_MAX 1100u
#define CHECKPOINT_GROUPS_DIR "groups"

/* The path of one of the files (CHECKPOINT_FILE, ...), and the directory that it is in. */
void checkpoint_path(char path[CHECKPOINT_PATH_MAX], const char *dir, uint32_t group,
                     const char *file);
void checkpoint_dir(char path[CHECKPOINT_PATH_MAX], const char *dir, uint32_t group);

/* Before a first file of the group is made. 0 or a negative errno. */
int checkpoint_make_dir(struct io *io, const char *dir, uint32_t group);
/* Makes what happened to the names of the group's files durable. */
int checkpoint_sync_dir(struct io *io, const char *dir, uint32_t group);

/* Removes all files of the group, which is not 0 and has left the log, durably. */
int checkpoint_remove(struct io *io, const char *dir, uint32_t group);

/* Removes its checkpoints, its own and what came from others, and leaves what is said about it. */
int checkpoint_remove_state(struct io *io, const char *dir, uint32_t group);

/* What of the files in `groups` stays at a start. */
struct checkpoint_keeping {
    bool (*is_known)(void *context, uint32_t group); /* any of that group */
    /* Its received file: a transfer that ended with the life before may go on. */
    bool (*is_gone_on_with)(void *context, uint32_t group);
    void *context;
};
/* Removes the others: a crash has left them. */
int checkpoint_clean(struct io *io, const char *dir, const struct checkpoint_keeping *keeping);

/* The file, and nothing around it, is the cause of that errno: as damaged as one whose bytes are
 * wrong. That a read failed (-EIO) says nothing of the bytes: the next one may succeed, and where
 * it failed on all members at once each would put away what the others ask it for. */
bool checkpoint_is_of_the_file(int error);

#endif
