/* What drives do that nobody expects of them: bytes that were synced go bad, or turn up where they
 * do not belong. What came to a file last is spared (drive.h). */
#include "sim/nodes/drive.h"

#include "sim/nodes/realm.h"

#define BLOCK_BYTES 4096u
#define TRIES 20u

static bool overlap(uint64_t a, uint64_t a_n, uint64_t b, uint64_t b_n)
{
    return a < b + b_n && b < a + a_n;
}

/* Whether these bytes are on the drive, and have been for so long that everybody relies on them. */
static bool is_settled(const struct inode *inode, uint64_t at, uint64_t n)
{
    for (const struct unsynced *u = inode->first; u != NULL; u = u->next) {
        if (u->n == 0 || overlap(at, n, u->at, u->n)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < min_u64(inode->writes, LATEST_MAX); i++) {
        if (overlap(at, n, inode->latest[i].at, inode->latest[i].n)) {
            return false;
        }
    }
    return at + n <= inode->durable.n && at + n <= inode->now.n;
}

/* Without the zeros at its end. */
static uint64_t used_bytes(const struct inode *inode)
{
    uint64_t n = inode->durable.n;
    while (n > 1 && inode->durable.p[n - 1] == 0) {
        n--;
    }
    return n;
}

struct place {
    const char *path;
    struct inode *inode;
    uint64_t at, n;
};

/* Mostly in the log: it is most of what is written. */
static bool find_place(const struct drive *drive, struct rng *rng, struct place *out)
{
    bool of_log = rng_chance(rng, 3, 4);
    for (uint32_t i = 0; i < TRIES; i++) {
        const struct name *name = &drive->durable.v[rng_below(rng, drive->durable.n)];
        struct inode *inode = name->inode;
        if (inode->durable.n == 0 || drive_find(drive, name->path) != inode ||
            (of_log && strcmp(name->path + strlen(name->path) - 4, ".log") != 0)) {
            continue;
        }
        uint64_t unit = rng_chance(rng, 1, 2) ? SECTOR_BYTES : BLOCK_BYTES;
        uint64_t at = unit * rng_below(rng, (used_bytes(inode) + unit - 1) / unit);
        uint64_t n = min_u64(unit, used_bytes(inode) - at);
        if (is_settled(inode, at, n)) {
            *out = (struct place){ .path = name->path, .inode = inode, .at = at, .n = n };
            return true;
        }
    }
    return false;
}

/* Returns how many are others now. */
static uint64_t overwrite(const struct place *to, const uint8_t *p, uint64_t n)
{
    uint64_t others = 0;
    for (uint64_t i = 0; i < n; i++) {
        others += to->inode->now.p[to->at + i] != p[i] && to->inode->durable.p[to->at + i] != p[i];
    }
    memcpy(to->inode->durable.p + to->at, p, n);
    memcpy(to->inode->now.p + to->at, p, n);
    return others;
}

bool drive_rot(struct drive *drive, struct rng *rng, char *what, size_t cap)
{
    static const char *const kinds[] = { "a bit", "zeros", "noise" };
    struct place place;
    uint8_t bytes[BLOCK_BYTES];
    if (!find_place(drive, rng, &place)) {
        return false;
    }
    uint64_t kind = rng_chance(rng, 1, 2) ? 0 : rng_below(rng, 3);
    memcpy(bytes, place.inode->durable.p + place.at, place.n);
    for (uint64_t i = 0; i < place.n && kind != 0; i++) {
        bytes[i] = kind == 1 ? 0 : (uint8_t)rng_next(rng);
    }
    if (kind == 0) {
        uint64_t at = rng_below(rng, place.n);
        while (at > 0 && bytes[at] == 0) { /* most of a block is nothing */
            at--;
        }
        bytes[at] ^= (uint8_t)(1u << rng_below(rng, 8));
    }
    drive->felt[FELT_rot_sector] += kind != 0;
    drive->felt[FAULT_rot] += overwrite(&place, bytes, place.n);
    drive->harms++;
    (void)snprintf(what, cap, "%s in %s at %llu", kinds[kind], place.path,
                   (unsigned long long)place.at);
    return true;
}

bool drive_misdirect(struct drive *drive, struct rng *rng, char *what, size_t cap)
{
    static const uint8_t zeros[BLOCK_BYTES];
    struct place from;
    struct place to;
    if (!find_place(drive, rng, &from) || !find_place(drive, rng, &to)) {
        return false;
    }
    uint64_t n = min_u64(from.n, to.n);
    uint8_t bytes[BLOCK_BYTES];
    memcpy(bytes, from.inode->durable.p + from.at, n);
    drive->felt[FAULT_misdirect] += overwrite(&from, zeros, n) + overwrite(&to, bytes, n);
    drive->harms++;
    (void)snprintf(what, cap, "what belongs to %s at %llu is in %s at %llu", from.path,
                   (unsigned long long)from.at, to.path, (unsigned long long)to.at);
    return true;
}

void drive_put_file(struct drive *drive, const char *path, const char *text)
{
    struct inode *inode;
    uint64_t capacity = drive->capacity;
    drive->capacity = DRIVE_BYTES;
    (void)drive_make(drive, path, false, &inode);
    drive->capacity = capacity;
    inode_write(inode, text, strlen(text), 0);
    inode_sync(inode);
    char dir[256];
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    int error = drive_sync_dir(drive, dir);
    qr_assert(error == 0);
}
