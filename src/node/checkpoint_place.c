#include "node/checkpoint_place.h"

#include "base/alloc.h"
#include "node/checkpoint.h"
#include "node/damage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { CHECKPOINT_FILE,         CHECKPOINT_NEW_FILE,
                                     CHECKPOINT_SPARE_FILE,   CHECKPOINT_RECEIVED_FILE,
                                     CHECKPOINT_DAMAGED_FILE, QUARANTINED_FILE,
                                     FORGETFUL_FILE,          EARLY_FILE };
#define OF_THE_STATE 4u /* the first of them */

bool checkpoint_is_of_the_file(int error)
{
    return error == -EBADMSG || error == -EUCLEAN || error == -ELOOP || error == -EISDIR;
}

void checkpoint_dir(char path[CHECKPOINT_PATH_MAX], const char *dir, uint32_t group)
{
    qr_assert(strlen(dir) < CHECKPOINT_PATH_MAX - 64);
    (void)snprintf(path, CHECKPOINT_PATH_MAX, group == 0 ? "%s" : "%s/" CHECKPOINT_GROUPS_DIR, dir);
}

void checkpoint_path(char path[CHECKPOINT_PATH_MAX], const char *dir, uint32_t group,
                     const char *file)
{
    qr_assert(strlen(dir) < CHECKPOINT_PATH_MAX - 64);
    if (group == 0) {
        (void)snprintf(path, CHECKPOINT_PATH_MAX, "%s/%s", dir, file);
    } else {
        (void)snprintf(path, CHECKPOINT_PATH_MAX, "%s/" CHECKPOINT_GROUPS_DIR "/%u.%s", dir, group,
                       file);
    }
}

int checkpoint_make_dir(struct io *io, const char *dir, uint32_t group)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_dir(path, dir, group);
    return group == 0 ? 0 : io_mkdir(io, path);
}

/* The directory of the others may be new itself. */
int checkpoint_sync_dir(struct io *io, const char *dir, uint32_t group)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_dir(path, dir, group);
    int error = io_sync_dir(io, path);
    return error == 0 && group != 0 ? io_sync_dir(io, dir) : error;
}

static int remove_files(struct io *io, const char *dir, uint32_t group, size_t count)
{
    char path[CHECKPOINT_PATH_MAX];
    bool any = false;
    qr_assert(group != 0 && count <= ARRAY_COUNT(names));
    for (size_t i = 0; i < count; i++) {
        checkpoint_path(path, dir, group, names[i]);
        int error = io_unlink(io, path);
        if (error != 0 && error != -ENOENT) {
            return error;
        }
        any = any || error == 0;
    }
    return any ? checkpoint_sync_dir(io, dir, group) : 0;
}

int checkpoint_remove(struct io *io, const char *dir, uint32_t group)
{
    return remove_files(io, dir, group, ARRAY_COUNT(names));
}

int checkpoint_remove_state(struct io *io, const char *dir, uint32_t group)
{
    return remove_files(io, dir, group, OF_THE_STATE);
}

/* --- What a crash has left ------------------------------------------------------------------ */

struct leftovers {
    const struct checkpoint_keeping *keeping;
    struct leftover {
        uint32_t group;
        bool received; /* that file only */
    } * v;
    uint32_t count, cap;
};

/* The group of a file's name; false when it is none of ours. */
static bool group_of(const char *name, uint32_t *group)
{
    char *end = NULL;
    unsigned long n = name[0] >= '1' && name[0] <= '9' ? strtoul(name, &end, 10) : 0;
    *group = (uint32_t)n;
    bool ours = false;
    for (size_t i = 0; n > 0 && n <= UINT32_MAX && i < ARRAY_COUNT(names); i++) {
        ours = ours || (end[0] == '.' && strcmp(end + 1, names[i]) == 0);
    }
    return ours;
}

static void note_name(void *context, const char *name)
{
    struct leftovers *l = context;
    uint32_t group;
    if (!group_of(name, &group)) {
        return;
    }
    const struct checkpoint_keeping *k = l->keeping;
    bool known = k->is_known(k->context, group);
    bool received = strstr(name, "." CHECKPOINT_RECEIVED_FILE) != NULL;
    if (known && (!received || k->is_gone_on_with(k->context, group))) {
        return;
    }
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->v = qr_realloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->count++] = (struct leftover){ .group = group, .received = known };
}

int checkpoint_clean(struct io *io, const char *dir, const struct checkpoint_keeping *keeping)
{
    char path[CHECKPOINT_PATH_MAX];
    struct leftovers l = { .keeping = keeping };
    checkpoint_dir(path, dir, 1);
    int error = io_list(io, path, note_name, &l);
    error = error == -ENOENT ? 0 : error;
    for (uint32_t i = 0; i < l.count && error == 0; i++) {
        if (l.v[i].received) {
            checkpoint_path(path, dir, l.v[i].group, CHECKPOINT_RECEIVED_FILE);
            error = io_unlink(io, path);
        } else {
            error = checkpoint_remove(io, dir, l.v[i].group);
        }
    }
    free(l.v);
    return error;
}
