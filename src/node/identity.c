#include "node/identity.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "cluster/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2: of a node that has joined, or was removed. 3: of a cluster whose level is not the first. */
#define IDENTITY_VERSION 3
#define IDENTITY_BYTES_MAX 8192

static bool bytes_of(const char *hex, uint8_t *out, size_t n)
{
    if (strlen(hex) != 2 * n || strspn(hex, "0123456789abcdefABCDEF") != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        out[i] = (uint8_t)byte;
    }
    return true;
}

static void path_in(const char *dir, const char *name, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s/%s", dir, name);
}

static bool say(char *message, size_t cap, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool say(char *message, size_t cap, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, cap, format, arguments);
    va_end(arguments);
    return false;
}

/* --- The file ------------------------------------------------------------------------------- */

static bool is_of_the_first(const struct identity *identity)
{
    return identity->joined == 0 && !identity->removed;
}

/* What the versions before 2 and 3 can read is written as they do. */
static size_t print_identity(const struct identity *identity, char *out, size_t cap)
{
    char cluster[33];
    char uuid[33];
    bool levelled = identity->level > MAP_LEVEL_FIRST;
    bool first = is_of_the_first(identity) && !levelled;
    text_hex(cluster, identity->cluster, 16);
    text_hex(uuid, identity->uuid, 16);
    int n = snprintf(out, cap, "quorate-data %d\ncluster %s\nnode %" PRIu32 "\nuuid %s\nlog %d\n",
                     levelled ? 3
                     : first  ? 1
                              : 2,
                     cluster, identity->node_id, uuid, identity->log_made);
    if (!first) {
        n += snprintf(out + n, cap - (size_t)n, "joined %" PRIu64 " %" PRIu64 "\nremoved %d\n",
                      identity->joined, identity->joined_term, identity->removed);
    }
    if (levelled) {
        n += snprintf(out + n, cap - (size_t)n, "level %" PRIu32 "\n", identity->level);
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *m = &identity->members[i];
        if (m->id == 0) {
            continue;
        }
        char index[16] = "";
        text_hex(uuid, m->uuid, 16);
        if (!first) {
            (void)snprintf(index, sizeof index, "%" PRIu32 " ", i);
        }
        n += snprintf(out + n, cap - (size_t)n, "member %s%" PRIu32 " %s %u %u %s\n", index, m->id,
                      m->address, (unsigned)m->client_port, (unsigned)m->peer_port, uuid);
    }
    n += snprintf(out + n, cap - (size_t)n, "crc32c %08x\n", crc32c_extend(0, out, (size_t)n));
    qr_assert((size_t)n < cap);
    return (size_t)n;
}

/* Writes a file of the directory by way of another, so that it is there whole or not at all. */
static int put_file(struct io *io, const struct identity *identity, const char *name,
                    const char *text, size_t n)
{
    char path[1100];
    char fresh[1100];
    char fresh_name[32];
    struct io_file *file;
    (void)snprintf(fresh_name, sizeof fresh_name, "%s.new", name);
    path_in(identity->dir, name, path, sizeof path);
    path_in(identity->dir, fresh_name, fresh, sizeof fresh);
    (void)io_unlink(io, fresh); /* left over from a crash; if it stays, the next line says so */
    int error = io_failpoint(io, FAIL_IDENTITY_WRITE);
    error = error != 0 ? error : io_file_open(io, fresh, IO_CREATE | IO_WRITE, &file);
    if (error != 0) {
        return error;
    }
    int64_t written = io_file_pwrite(file, text, n, 0);
    error = written < 0 ? (int)written : written < (int64_t)n ? -EIO : 0;
    error = error != 0 ? error : io_failpoint(io, FAIL_IDENTITY_SYNC);
    error = error != 0 ? error : io_file_sync(file);
    io_file_close(file);
    error = error != 0 ? error : io_failpoint(io, FAIL_IDENTITY_RENAME);
    error = error != 0 ? error : io_rename(io, fresh, path);
    error = error != 0 ? error : io_failpoint(io, FAIL_IDENTITY_RENAMED);
    error = error != 0 ? error : io_sync_dir(io, identity->dir);
    (void)io_failpoint(io, FAIL_IDENTITY_SAVED);
    return error;
}

static int save(struct io *io, const struct identity *identity)
{
    char text[IDENTITY_BYTES_MAX];
    size_t n = print_identity(identity, text, sizeof text);
    return put_file(io, identity, "identity", text, n);
}

/* "member [INDEX] ID ADDRESS PORT PEER-PORT UUID"; without an index they are numbered. */
static bool parse_member(struct identity *identity, const char *line, bool indexed, uint32_t *next)
{
    char uuid[40];
    struct roster_node m = { .priority = ROSTER_PRIORITY };
    int at = 0;
    uint32_t index = *next;
    if (indexed && sscanf(line, "member %" SCNu32 " %n", &index, &at) != 1) {
        return false;
    }
    line += indexed ? (size_t)at : strlen("member ");
    unsigned client_port;
    unsigned peer_port;
    if (index < *next || index >= MEMBERS_MAX ||
        sscanf(line, "%" SCNu32 " %63s %u %u %39s", &m.id, m.address, &client_port, &peer_port,
               uuid) != 5 ||
        !bytes_of(uuid, m.uuid, 16)) {
        return false;
    }
    m.client_port = (uint16_t)client_port;
    m.peer_port = (uint16_t)peer_port;
    identity->members[index] = m;
    *next = index + 1;
    return m.id != 0;
}

/* Where this node is among the members; false when it is not, or when an id is there twice or, in
 * a cluster as it was made, not in its order. */
static bool find_me(struct identity *identity)
{
    uint32_t last = 0;
    identity->me = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        uint32_t id = identity->members[i].id;
        if (id == 0) {
            continue;
        }
        if (id == identity->node_id) {
            identity->me = i;
        }
        for (node_index k = 0; k < i; k++) {
            if (identity->members[k].id == id) {
                return false;
            }
        }
        if (identity->joined == 0 && id <= last) {
            return false;
        }
        last = id;
    }
    return identity->me != NODE_NONE;
}

/* What the readers above forgive would be guessed at later: a file counts only when it is, byte for
 * byte, what this node writes, its members are in order, and this node is one of them. */
static bool is_whole(struct identity *identity, const char *text, size_t n)
{
    char again[IDENTITY_BYTES_MAX];
    return find_me(identity) && print_identity(identity, again, sizeof again) == n &&
           memcmp(again, text, n) == 0;
}

static bool parse_history(struct identity *identity, char **line)
{
    int consumed = 0;
    int removed = 0;
    if (sscanf(*line, "joined %" SCNu64 " %" SCNu64 "\nremoved %d\n%n", &identity->joined,
               &identity->joined_term, &removed, &consumed) != 3) {
        return false;
    }
    identity->removed = removed != 0;
    *line += consumed;
    return consumed > 0;
}

static bool parse_level(struct identity *identity, char **line)
{
    int consumed = 0;
    bool found = sscanf(*line, "level %" SCNu32 "\n%n", &identity->level, &consumed) == 1;
    *line += consumed;
    return found && consumed > 0 && identity->level > MAP_LEVEL_FIRST;
}

static bool parse_identity(struct identity *identity, char *text)
{
    char cluster[40];
    char uuid[40];
    int version = 0;
    int consumed = 0;
    int log_made = 0;
    char *crc_line = strstr(text, "\ncrc32c ");
    unsigned crc;
    if (crc_line == NULL || sscanf(crc_line, "\ncrc32c %8x", &crc) != 1 ||
        crc32c_extend(0, text, (size_t)(crc_line + 1 - text)) != crc) {
        return false;
    }
    if (sscanf(text, "quorate-data %d\ncluster %39s\nnode %" SCNu32 "\nuuid %39s\nlog %d\n%n",
               &version, cluster, &identity->node_id, uuid, &log_made, &consumed) != 5 ||
        consumed == 0 || !bytes_of(cluster, identity->cluster, 16) ||
        !bytes_of(uuid, identity->uuid, 16)) {
        return false;
    }
    identity->log_made = log_made != 0;
    char *line = text + consumed;
    identity->level = MAP_LEVEL_FIRST;
    if ((version >= 2 && !parse_history(identity, &line)) ||
        (version >= 3 && !parse_level(identity, &line))) {
        return false;
    }
    uint32_t next = 0;
    while (strncmp(line, "member ", 7) == 0) {
        if (!parse_member(identity, line, version >= 2, &next)) {
            return false;
        }
        line = strchr(line, '\n') + 1;
    }
    return line == crc_line + 1;
}

static bool load(struct io *io, struct io_file *file, struct identity *identity, char *message,
                 size_t cap)
{
    (void)io;
    char text[IDENTITY_BYTES_MAX];
    int version;
    int64_t n = io_file_pread(file, text, sizeof text - 1, 0);
    if (n < 0) {
        return say(message, cap, "%s/identity cannot be read: %s", identity->dir,
                   strerror((int)-n));
    }
    text[n] = 0;
    if (sscanf(text, "quorate-data %d", &version) == 1 && version > IDENTITY_VERSION) {
        return say(message, cap,
                   "%s was written by a newer quorate (format %d, this one reads %d): start the "
                   "newer version",
                   identity->dir, version, IDENTITY_VERSION);
    }
    if (!parse_identity(identity, text) || !is_whole(identity, text, (size_t)n)) {
        return say(message, cap,
                   "%s/identity is damaged: restore it from a backup, or wipe the directory and "
                   "let the node join anew",
                   identity->dir);
    }
    return identity->level <= identity_level_known() ||
           say(message, cap,
               "%s belongs to a cluster whose level is %" PRIu32
               " by now, and this version knows levels up to %" PRIu32
               ": start the newer version, there is no way back",
               identity->dir, identity->level, identity_level_known());
}

/* --- Making and checking -------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct member_config *x = a;
    const struct member_config *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static uint16_t peer_port_of(uint16_t peer_port, uint16_t client_port)
{
    return peer_port != 0 ? peer_port : (uint16_t)(client_port + 10000);
}

/* Where a node is, as its configuration says. */
static void place(struct roster_node *node, const struct member_config *m)
{
    (void)snprintf(node->address, sizeof node->address, "%s", m->address);
    node->client_port = m->client_port;
    node->peer_port = peer_port_of(m->peer_port, m->client_port);
}

static bool take_members(const struct config *config, struct identity *identity, char *message,
                         size_t cap)
{
    struct member_config members[MEMBERS_MAX];
    uint32_t count = config->member_count;
    identity->node_id = config->node_id != 0 ? config->node_id : 1;
    memcpy(members, config->members, sizeof members);
    if (count == 0) {
        struct member_config *m = &members[count++];
        *m = (struct member_config){ .id = identity->node_id, .client_port = config->port };
        m->peer_port = config->peer_port;
        (void)snprintf(m->address, sizeof m->address, "127.0.0.1");
        config_own_address(config, m->address);
    }
    qsort(members, count, sizeof members[0], by_id);
    for (uint32_t i = 0; i < count; i++) {
        identity->members[i] =
            (struct roster_node){ .id = members[i].id, .priority = ROSTER_PRIORITY };
        place(&identity->members[i], &members[i]);
        if (i > 0 && members[i].id == members[i - 1].id) {
            return say(message, cap, "two members have the id %" PRIu32, members[i].id);
        }
    }
    return find_me(identity) ||
           say(message, cap, "node-id %" PRIu32 " is not among the members", identity->node_id);
}

static bool bootstrap(struct io *io, const struct config *config, struct identity *identity,
                      char *message, size_t cap)
{
    if (!take_members(config, identity, message, cap)) {
        return false;
    }
    if (config->cluster_id[0] != 0) {
        if (!bytes_of(config->cluster_id, identity->cluster, 16)) {
            return say(message, cap, "cluster-id must be 32 hexadecimal digits");
        }
    } else if (config->member_count > 1) {
        return say(message, cap,
                   "the members of a cluster are made with the same cluster-id: give "
                   "one (32 hexadecimal digits) to each");
    } else {
        io_random(io, identity->cluster, 16);
    }
    /* All nodes of a new cluster know it. */
    identity->level =
        identity_level_known() < MAP_LEVEL_NEWEST ? identity_level_known() : MAP_LEVEL_NEWEST;
    io_random(io, identity->uuid, 16);
    memcpy(identity->members[identity->me].uuid, identity->uuid, 16);
    int error = save(io, identity);
    return error == 0 ||
           say(message, cap, "%s cannot be written: %s", identity->dir, strerror(-error));
}

/* Where this node is now: what its configuration says of itself. */
static void place_me(const struct config *config, struct identity *identity)
{
    struct roster_node *me = &identity->members[identity->me];
    for (uint32_t i = 0; i < config->member_count; i++) {
        if (config->members[i].id == identity->node_id) {
            return; /* agree has taken that */
        }
    }
    config_own_address(config, me->address);
    if (config->peer_port != 0 || (config->port != 0 && config->port != me->client_port)) {
        me->peer_port = peer_port_of(config->peer_port, config->port);
    }
    me->client_port = config->port != 0 ? config->port : me->client_port;
}

/* What the configuration says must be what the directory is; addresses may have changed. Members
 * that it does not know may have come since: the log will tell. */
static bool agree(const struct config *config, struct identity *identity, char *message, size_t cap)
{
    uint8_t cluster[16];
    if (config->node_id != 0 && config->node_id != identity->node_id) {
        return say(message, cap,
                   "%s belongs to node %" PRIu32 ", not to node %" PRIu32
                   ": start it with its own directory",
                   identity->dir, identity->node_id, config->node_id);
    }
    if (config->cluster_id[0] != 0 && (!bytes_of(config->cluster_id, cluster, 16) ||
                                       memcmp(cluster, identity->cluster, 16) != 0)) {
        return say(message, cap, "%s belongs to another cluster than cluster-id says",
                   identity->dir);
    }
    for (uint32_t i = 0; i < config->member_count; i++) {
        for (uint32_t k = 0; k < MEMBERS_MAX; k++) {
            if (identity->members[k].id == config->members[i].id) {
                place(&identity->members[k], &config->members[i]);
            }
        }
    }
    place_me(config, identity);
    return true;
}

static bool is_no_directory(const struct identity *identity, char *message, size_t cap)
{
    return say(message, cap,
               "%s is not a data directory of quorate: make one with --bootstrap or, to take part "
               "in a cluster that is there, with --join; or name the right directory with --dir",
               identity->dir);
}

static bool lock(struct io *io, struct identity *identity, char *message, size_t cap)
{
    char path[1100];
    path_in(identity->dir, "lock", path, sizeof path);
    int error = io_file_open(io, path, IO_CREATE | IO_WRITE | IO_LOCK, &identity->lock);
    if (error == -EEXIST) {
        error = io_file_open(io, path, IO_WRITE | IO_LOCK, &identity->lock);
    }
    if (error == -EAGAIN) {
        return say(message, cap, "%s is in use by another process", identity->dir);
    }
    if (error == -ENOENT) {
        return is_no_directory(identity, message, cap);
    }
    return error == 0 || say(message, cap, "%s cannot be locked: %s", path, strerror(-error));
}

static bool open_or_make(struct io *io, const struct config *config, struct identity *identity,
                         char *message, size_t cap)
{
    char path[1100];
    struct io_file *file;
    path_in(identity->dir, "identity", path, sizeof path);
    int error = io_file_open(io, path, 0, &file);
    if (error == -ENOENT && config->join[0] != 0) {
        return true; /* to be asked for */
    }
    if (error == -ENOENT) {
        return config->bootstrap ? bootstrap(io, config, identity, message, cap)
                                 : is_no_directory(identity, message, cap);
    }
    if (error != 0) {
        return say(message, cap, "%s cannot be opened: %s", path, strerror(-error));
    }
    bool loaded = load(io, file, identity, message, cap);
    io_file_close(file);
    return loaded && agree(config, identity, message, cap);
}

/* With its name in the directory above, or a loss of power would take all that is to be in it. Who
 * may not read that one cannot sync it either. */
static int make_directory(struct io *io, const char *dir)
{
    char above[1100];
    path_in(dir, "..", above, sizeof above);
    int error = io_mkdir(io, dir);
    int synced = error == 0 ? io_sync_dir(io, above) : error;
    return error == 0 && synced == -EACCES ? 0 : synced;
}

bool identity_open(struct io *io, const struct config *config, struct identity *out, char *message,
                   size_t cap)
{
    *out = (struct identity){ .level = MAP_LEVEL_FIRST };
    (void)snprintf(out->dir, sizeof out->dir, "%s", config->dir);
    bool make = config->bootstrap || config->join[0] != 0;
    int error = make ? make_directory(io, config->dir) : 0;
    if (error != 0) {
        return say(message, cap, "%s cannot be made: %s", config->dir, strerror(-error));
    }
    if (!lock(io, out, message, cap)) {
        return false;
    }
    (void)io_failpoint(io, FAIL_IDENTITY_MADE);
    if (!open_or_make(io, config, out, message, cap)) {
        identity_close(out);
        return false;
    }
    return true;
}

void identity_close(struct identity *identity)
{
    if (identity->lock != NULL) {
        io_file_close(identity->lock);
        identity->lock = NULL;
    }
}

int identity_log_made(struct io *io, struct identity *identity)
{
    if (identity->log_made) {
        return 0;
    }
    identity->log_made = true;
    return save(io, identity);
}

/* --- Joining, leaving ----------------------------------------------------------------------- */

int identity_join_uuid(struct io *io, struct identity *identity)
{
    char path[1100];
    char text[64] = "";
    struct io_file *file;
    path_in(identity->dir, "joining", path, sizeof path);
    int error = io_file_open(io, path, 0, &file);
    if (error == 0) {
        int64_t n = io_file_pread(file, text, 32, 0);
        io_file_close(file);
        if (n < 0) {
            return (int)n;
        }
        if (n == 32 && bytes_of(text, identity->uuid, 16)) {
            return 0;
        }
    } else if (error != -ENOENT) {
        return error;
    }
    io_random(io, identity->uuid, 16);
    text_hex(text, identity->uuid, 16);
    return put_file(io, identity, "joining", text, 32);
}

int identity_join(struct io *io, struct identity *identity)
{
    char path[1100];
    qr_assert(identity->joined > 0);
    bool found = find_me(identity);
    qr_assert(found);
    int error = save(io, identity);
    path_in(identity->dir, "joining", path, sizeof path);
    if (error == 0) {
        (void)io_unlink(io, path); /* if it stays, nobody looks at it */
    }
    return error;
}

int identity_removed(struct io *io, struct identity *identity)
{
    if (identity->removed) {
        return 0;
    }
    identity->removed = true;
    return save(io, identity);
}

uint32_t identity_level_known(void)
{
#ifdef QUORATE_FAILPOINTS
    const char *pretended = getenv("QUORATE_PRETEND_LEVEL");
    if (pretended != NULL) {
        return (uint32_t)strtoul(pretended, NULL, 10);
    }
#endif
    return MAP_LEVEL_NEWEST;
}

int identity_level(struct io *io, struct identity *identity, uint32_t level)
{
    if (identity->level >= level) {
        return 0;
    }
    identity->level = level;
    return save(io, identity);
}

uint32_t identity_me(const struct identity *identity)
{
    return identity->me;
}

void identity_roster(const struct identity *identity, struct roster *out)
{
    *out = (struct roster){ 0 };
    for (uint32_t i = 0; i < MEMBERS_MAX && identity->joined == 0; i++) {
        out->node[i] = identity->members[i];
        out->members.voters |= (uint16_t)(out->node[i].id != 0 ? 1u << i : 0);
    }
}

enum identity_peer identity_meet(struct io *io, struct identity *identity, uint32_t index,
                                 const uint8_t uuid[16], int *error)
{
    uint8_t *known = identity->members[index].uuid;
    if (memcmp(known, uuid, 16) == 0) {
        return IDENTITY_PEER_KNOWN;
    }
    if (roster_uuid_known(&identity->members[index])) {
        return IDENTITY_PEER_OTHER_DIRECTORY;
    }
    memcpy(known, uuid, 16);
    *error = save(io, identity);
    if (*error != 0) {
        memset(known, 0, 16);
        return IDENTITY_PEER_NOT_SAVED;
    }
    return IDENTITY_PEER_KNOWN;
}
