/* Files and names of a host: see drive.h. All of it is the realm's own memory. */
#include "sim/nodes/drive.h"

#include "sim/nodes/realm.h"

#include <errno.h>

/* --- Bytes ---------------------------------------------------------------------------------- */

static void resize(struct bytes *b, size_t n)
{
    if (n > b->cap) {
        b->cap = max_u64(n, 2 * b->cap);
        b->p = qr_realloc(b->p, b->cap);
    }
    if (n > b->n) {
        memset(b->p + b->n, 0, n - b->n);
    }
    b->n = n;
}

static void put(struct bytes *b, const void *p, size_t n, uint64_t at)
{
    if (at + n > b->n) {
        resize(b, at + n);
    }
    memcpy(b->p + at, p, n);
}

/* On the drive itself. */
static void land(struct inode *inode, const struct unsynced *u)
{
    if (u->n == 0) {
        resize(&inode->durable, u->at);
        return;
    }
    put(&inode->durable, u->p, u->n, u->at);
    inode->latest[inode->writes++ % LATEST_MAX] = (struct extent){ .at = u->at, .n = u->n };
}

void inode_hold(struct inode *inode)
{
    inode->refs++;
}

static struct unsynced *take_unsynced(struct inode *inode)
{
    struct unsynced *u = inode->first;
    if (u != NULL) {
        inode->first = u->next;
        inode->last = inode->first == NULL ? NULL : inode->last;
    }
    return u;
}

void inode_drop(struct inode *inode)
{
    if (--inode->refs > 0) {
        return;
    }
    for (struct unsynced *u; (u = take_unsynced(inode)) != NULL;) {
        free(u);
    }
    free(inode->now.p);
    free(inode->durable.p);
    free(inode);
}

static void remember(struct inode *inode, const void *p, size_t n, uint64_t at)
{
    struct unsynced *u = qr_alloc(sizeof *u + n);
    *u = (struct unsynced){ .next = NULL, .at = at, .n = n };
    if (n > 0) {
        memcpy(u->p, p, n);
    }
    if (inode->last != NULL) {
        inode->last->next = u;
    } else {
        inode->first = u;
    }
    inode->last = u;
}

void inode_write(struct inode *inode, const void *p, size_t n, uint64_t at)
{
    if (n > 0) {
        struct process *before = memory_for(NULL);
        put(&inode->now, p, n, at);
        remember(inode, p, n, at);
        (void)memory_for(before);
    }
}

void inode_truncate(struct inode *inode, uint64_t n)
{
    struct process *before = memory_for(NULL);
    resize(&inode->now, n);
    remember(inode, NULL, 0, n);
    (void)memory_for(before);
}

void inode_sync(struct inode *inode)
{
    struct process *before = memory_for(NULL);
    for (struct unsynced *u; (u = take_unsynced(inode)) != NULL;) {
        land(inode, u);
        free(u);
    }
    (void)memory_for(before);
}

/* Sector by sector; how probable it is that one is kept differs from file to file. */
uint64_t inode_sync_failed(struct inode *inode, struct rng *rng)
{
    struct process *before = memory_for(NULL);
    uint64_t kept = rng_below(rng, 5);
    uint64_t lost = 0;
    for (struct unsynced *u; (u = take_unsynced(inode)) != NULL;) {
        if (u->n == 0 && rng_chance(rng, kept, 4)) {
            land(inode, u);
        }
        for (size_t at = 0; at < u->n;) {
            size_t n = SECTOR_BYTES - (u->at + at) % SECTOR_BYTES;
            n = min_u64(n, u->n - at);
            if (rng_chance(rng, kept, 4)) {
                put(&inode->durable, u->p + at, n, u->at + at);
            } else {
                lost += n;
            }
            at += n;
        }
        inode->latest[inode->writes++ % LATEST_MAX] = (struct extent){ .at = u->at, .n = u->n };
        free(u);
    }
    (void)memory_for(before);
    return lost;
}

bool drive_fails(struct drive *drive)
{
    bool fails = drive->operations_left > 0 && --drive->operations_left == 0;
    drive->errors += fails;
    drive->felt[FAULT_disk_error] += fails;
    return fails;
}

bool drive_fails_to_read(struct drive *drive)
{
    bool gone = drive->fragile && drive_fails(drive);
    drive->harms += gone;
    bool fails = drive->reads_fail_each > 0 && ++drive->reads % drive->reads_fail_each == 0;
    drive->errors += fails;
    drive->felt[FAULT_disk_unreadable] += fails;
    return gone || fails;
}

static uint64_t inode_lose(struct inode *inode, struct rng *rng, uint64_t *torn)
{
    uint64_t all = 0;
    for (const struct unsynced *u = inode->first; u != NULL; u = u->next) {
        all += u->n;
    }
    uint64_t lost = inode_sync_failed(inode, rng);
    *torn += lost > 0 && lost < all;
    inode->now.n = 0;
    if (inode->durable.n > 0) {
        put(&inode->now, inode->durable.p, inode->durable.n, 0);
    }
    return lost;
}

/* --- Names ---------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(qr_alloc(n), text, n);
}

static struct name *find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->v[i].path, path) == 0) {
            return &names->v[i];
        }
    }
    return NULL;
}

static void names_put(struct names *names, const char *path, struct inode *inode)
{
    inode_hold(inode);
    struct name *there = find(names, path);
    if (there != NULL) {
        inode_drop(there->inode);
        there->inode = inode;
        return;
    }
    if (names->n == names->cap) {
        names->cap = names->cap == 0 ? 16 : 2 * names->cap;
        names->v = qr_realloc(names->v, names->cap * sizeof *names->v);
    }
    names->v[names->n++] = (struct name){ .path = copy_text(path), .inode = inode };
}

static void names_drop(struct names *names, const char *path)
{
    struct name *there = find(names, path);
    if (there != NULL) {
        inode_drop(there->inode);
        free(there->path);
        *there = names->v[--names->n];
    }
}

static void names_clear(struct names *names)
{
    while (names->n > 0) {
        names_drop(names, names->v[names->n - 1].path);
    }
}

/* Whether `path` lies in the directory `dir`, not deeper. */
static bool lies_in(const char *path, const char *dir, size_t dir_n)
{
    return strncmp(path, dir, dir_n) == 0 && path[dir_n] == '/' &&
           strchr(path + dir_n + 1, '/') == NULL;
}

static bool has_parent(const struct names *names, const char *path)
{
    const char *end = strrchr(path, '/');
    if (end == NULL || end == path) {
        return true;
    }
    char parent[1200];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(end - path), path);
    const struct name *there = find(names, parent);
    return there != NULL && there->inode->is_directory;
}

static void names_apply(struct names *names, const struct name_change *c)
{
    const struct name *from = find(names, c->from);
    switch (c->kind) {
    case CHANGE_LINK:
        names_put(names, c->from, c->inode);
        break;
    case CHANGE_UNLINK:
        names_drop(names, c->from);
        break;
    case CHANGE_RENAME:
        if (from != NULL) {
            names_put(names, c->to, from->inode);
            names_drop(names, c->from);
        }
        break;
    case CHANGE_EXCHANGE: {
        struct name *a = find(names, c->from);
        struct name *b = find(names, c->to);
        if (a != NULL && b != NULL) {
            struct inode *inode = a->inode;
            a->inode = b->inode;
            b->inode = inode;
        }
    }
    }
}

static void change_free(struct name_change *c)
{
    if (c->inode != NULL) {
        inode_drop(c->inode);
    }
    free(c->from);
    free(c->to);
}

static void change(struct drive *drive, enum change_kind kind, const char *from, const char *to,
                   struct inode *inode)
{
    struct process *before = memory_for(NULL);
    if (drive->changes_n == drive->changes_cap) {
        drive->changes_cap = drive->changes_cap == 0 ? 16 : 2 * drive->changes_cap;
        drive->changes = qr_realloc(drive->changes, drive->changes_cap * sizeof *drive->changes);
    }
    struct name_change *c = &drive->changes[drive->changes_n++];
    *c = (struct name_change){ .kind = kind,
                               .from = copy_text(from),
                               .to = to != NULL ? copy_text(to) : NULL,
                               .inode = inode };
    if (inode != NULL) {
        inode_hold(inode);
    }
    names_apply(&drive->now, c);
    (void)memory_for(before);
}

struct inode *drive_find(const struct drive *drive, const char *path)
{
    const struct name *name = find(&drive->now, path);
    return name != NULL ? name->inode : NULL;
}

int drive_make(struct drive *drive, const char *path, bool is_directory, struct inode **out)
{
    *out = drive_find(drive, path);
    if (*out != NULL) {
        return -EEXIST;
    }
    if (!has_parent(&drive->now, path)) {
        return -ENOENT;
    }
    if (drive_free_bytes(drive) == 0) {
        drive->refusals++;
        return -ENOSPC;
    }
    struct process *before = memory_for(NULL);
    *out = qr_zalloc(sizeof **out);
    (void)memory_for(before);
    (*out)->is_directory = is_directory;
    change(drive, CHANGE_LINK, path, NULL, *out);
    return 0;
}

int drive_rename(struct drive *drive, const char *from, const char *to)
{
    if (drive_find(drive, from) == NULL || !has_parent(&drive->now, to)) {
        return -ENOENT;
    }
    change(drive, CHANGE_RENAME, from, to, NULL);
    return 0;
}

int drive_exchange(struct drive *drive, const char *a, const char *b)
{
    if (drive_find(drive, a) == NULL || drive_find(drive, b) == NULL) {
        return -ENOENT;
    }
    change(drive, CHANGE_EXCHANGE, a, b, NULL);
    return 0;
}

int drive_link(struct drive *drive, const char *from, const char *to)
{
    struct inode *inode = drive_find(drive, from);
    if (inode == NULL || !has_parent(&drive->now, to)) {
        return -ENOENT;
    }
    if (drive_find(drive, to) != NULL) {
        return -EEXIST;
    }
    change(drive, CHANGE_LINK, to, NULL, inode);
    return 0;
}

int drive_unlink(struct drive *drive, const char *path)
{
    if (drive_find(drive, path) == NULL) {
        return -ENOENT;
    }
    change(drive, CHANGE_UNLINK, path, NULL, NULL);
    return 0;
}

int drive_list(const struct drive *drive, const char *path,
               void (*each)(void *context, const char *name), void *context)
{
    const struct inode *dir = drive_find(drive, path);
    if (dir == NULL || !dir->is_directory) {
        return dir == NULL ? -ENOENT : -ENOTDIR;
    }
    size_t n = strlen(path);
    for (size_t i = 0; i < drive->now.n; i++) {
        if (lies_in(drive->now.v[i].path, path, n)) {
            each(context, drive->now.v[i].path + n + 1);
        }
    }
    return 0;
}

/* --- What lasts ----------------------------------------------------------------------------- */

/* The parent, of "DIRECTORY/.."; every other path is itself. */
static char *resolve(const char *path)
{
    char *out = copy_text(path);
    size_t n = strlen(out);
    if (n > 3 && strcmp(out + n - 3, "/..") == 0) {
        out[n - 3] = 0;
        *strrchr(out, '/') = 0;
    }
    return out;
}

static int sync_names(struct drive *drive, const char *path)
{
    const struct inode *dir = drive_find(drive, path);
    if (dir == NULL || !dir->is_directory) {
        return -ENOENT;
    }
    size_t n = strlen(path);
    size_t kept = 0;
    for (size_t i = 0; i < drive->changes_n; i++) {
        struct name_change *c = &drive->changes[i];
        if (lies_in(c->from, path, n)) {
            names_apply(&drive->durable, c);
            change_free(c);
        } else {
            drive->changes[kept++] = *c;
        }
    }
    drive->changes_n = kept;
    return 0;
}

int drive_sync_dir(struct drive *drive, const char *path)
{
    struct process *before = memory_for(NULL);
    char *dir = resolve(path);
    int error = sync_names(drive, dir);
    free(dir);
    (void)memory_for(before);
    return error;
}

/* Of each directory's unsynced changes the first so many are kept. */
static void lose_names(struct drive *drive, struct rng *rng)
{
    while (drive->changes_n > 0) {
        const char *first = drive->changes[0].from;
        const char *end = strrchr(first, '/');
        size_t n = end == NULL ? 0 : (size_t)(end - first);
        char *dir = copy_text(first);
        dir[n] = 0;
        size_t all = 0;
        for (size_t i = 0; i < drive->changes_n; i++) {
            all += lies_in(drive->changes[i].from, dir, n);
        }
        size_t keep = rng_below(rng, all + 1);
        size_t left = 0;
        drive->felt[FELT_names_lost] += all - keep;
        drive->felt[FELT_names_kept] += keep;
        for (size_t i = 0; i < drive->changes_n; i++) {
            struct name_change *c = &drive->changes[i];
            if (!lies_in(c->from, dir, n)) {
                drive->changes[left++] = *c;
                continue;
            }
            if (keep > 0) {
                keep--;
                names_apply(&drive->durable, c);
            }
            change_free(c);
        }
        drive->changes_n = left;
        free(dir);
    }
    for (size_t i = 0; i < drive->durable.n;) {
        if (has_parent(&drive->durable, drive->durable.v[i].path)) {
            i++;
        } else {
            names_drop(&drive->durable, drive->durable.v[i].path);
            i = 0;
        }
    }
}

uint64_t drive_lose_power(struct drive *drive, struct rng *rng)
{
    uint64_t lost = 0;
    lose_names(drive, rng);
    names_clear(&drive->now);
    for (size_t i = 0; i < drive->durable.n; i++) {
        lost += inode_lose(drive->durable.v[i].inode, rng, &drive->felt[FELT_torn]);
        names_put(&drive->now, drive->durable.v[i].path, drive->durable.v[i].inode);
    }
    return lost;
}

uint64_t drive_used_bytes(const struct drive *drive)
{
    uint64_t used = 0;
    for (size_t i = 0; i < drive->now.n; i++) {
        used += drive->now.v[i].inode->now.n;
    }
    return used;
}

uint64_t drive_free_bytes(const struct drive *drive)
{
    uint64_t used = drive_used_bytes(drive);
    return used < drive->capacity ? drive->capacity - used : 0;
}

static void clear(struct drive *drive)
{
    names_clear(&drive->now);
    names_clear(&drive->durable);
    for (size_t i = 0; i < drive->changes_n; i++) {
        change_free(&drive->changes[i]);
    }
    drive->changes_n = 0;
}

static void make_top(struct drive *drive)
{
    struct inode *top = qr_zalloc(sizeof *top);
    top->is_directory = true;
    names_put(&drive->now, DRIVE_TOP, top);
    names_put(&drive->durable, DRIVE_TOP, top);
}

uint64_t drive_wipe(struct drive *drive)
{
    uint64_t lost = drive_used_bytes(drive);
    clear(drive);
    make_top(drive);
    return lost;
}

struct drive *drive_new(void)
{
    struct drive *drive = qr_zalloc(sizeof *drive);
    drive->capacity = DRIVE_BYTES;
    make_top(drive);
    return drive;
}

/* What a loss of power would leave in any case, under the same names. */
void drive_restore(struct drive *drive, const struct drive *copy)
{
    clear(drive);
    for (size_t i = 0; i < copy->durable.n; i++) {
        const struct name *name = &copy->durable.v[i];
        struct inode *inode = qr_zalloc(sizeof *inode);
        inode->is_directory = name->inode->is_directory;
        if (name->inode->durable.n > 0) {
            put(&inode->now, name->inode->durable.p, name->inode->durable.n, 0);
            put(&inode->durable, name->inode->durable.p, name->inode->durable.n, 0);
        }
        names_put(&drive->now, name->path, inode);
        names_put(&drive->durable, name->path, inode);
    }
}

uint64_t drive_differs(const struct drive *drive, const struct drive *copy)
{
    uint64_t differs = 0;
    for (size_t i = 0; i < drive->now.n; i++) {
        const struct bytes *here = &drive->now.v[i].inode->now;
        const struct name *there = find(&copy->now, drive->now.v[i].path);
        for (size_t at = 0; at < here->n; at++) {
            bool same =
                there != NULL && at < there->inode->now.n && there->inode->now.p[at] == here->p[at];
            differs += !same;
        }
    }
    return differs;
}

void drive_free(struct drive *drive)
{
    clear(drive);
    free(drive->now.v);
    free(drive->durable.v);
    free(drive->changes);
    free(drive);
}
