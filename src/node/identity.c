#include "node/identity.h"

#include "base/alloc.h"
#include "base/crc32c.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_VERSION 1
#define IDENTITY_BYTES_MAX 8192

static void hex_of(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
    }
}

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

static size_t print_identity(const struct identity *identity, char *out, size_t cap)
{
    char cluster[33];
    char uuid[33];
    hex_of(identity->cluster, 16, cluster);
    hex_of(identity->uuid, 16, uuid);
    int n = snprintf(out, cap, "quorate-data %d\ncluster %s\nnode %" PRIu32 "\nuuid %s\nlog %d\n",
                     IDENTITY_VERSION, cluster, identity->node_id, uuid, identity->log_made);
    for (uint32_t i = 0; i < identity->member_count; i++) {
        const struct member_config *m = &identity->members[i];
        hex_of(identity->peer_uuid[i], 16, uuid);
        n += snprintf(out + n, cap - (size_t)n, "member %" PRIu32 " %s %u %u %s\n", m->id,
                      m->address, (unsigned)m->client_port, (unsigned)m->peer_port, uuid);
    }
    n += snprintf(out + n, cap - (size_t)n, "crc32c %08x\n", crc32c_extend(0, out, (size_t)n));
    qr_assert((size_t)n < cap);
    return (size_t)n;
}

static int save(struct io *io, const struct identity *identity)
{
    char text[IDENTITY_BYTES_MAX];
    char path[1100];
    char fresh[1100];
    struct io_file *file;
    size_t n = print_identity(identity, text, sizeof text);
    path_in(identity->dir, "identity", path, sizeof path);
    path_in(identity->dir, "identity.new", fresh, sizeof fresh);
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

static bool parse_member(struct identity *identity, const char *line)
{
    char uuid[40];
    unsigned client_port;
    unsigned peer_port;
    struct member_config *m = &identity->members[identity->member_count];
    if (identity->member_count == MEMBERS_MAX ||
        sscanf(line, "member %" SCNu32 " %63s %u %u %39s", &m->id, m->address, &client_port,
               &peer_port, uuid) != 5 ||
        !bytes_of(uuid, identity->peer_uuid[identity->member_count], 16)) {
        return false;
    }
    m->client_port = (uint16_t)client_port;
    m->peer_port = (uint16_t)peer_port;
    identity->member_count++;
    return true;
}

/* What the readers above forgive would be guessed at later: a file counts only when it is, byte for
 * byte, what this node writes, its members are in order, and this node is one of them. */
static bool is_whole(const struct identity *identity, const char *text, size_t n)
{
    char again[IDENTITY_BYTES_MAX];
    bool found = false;
    for (uint32_t i = 0; i < identity->member_count; i++) {
        const struct member_config *m = &identity->members[i];
        found = found || m->id == identity->node_id;
        if (i > 0 && m->id <= identity->members[i - 1].id) {
            return false;
        }
    }
    return found && print_identity(identity, again, sizeof again) == n &&
           memcmp(again, text, n) == 0;
}

static bool parse_identity(struct identity *identity, char *text)
{
    char cluster[40];
    char uuid[40];
    int consumed = 0;
    int log_made = 0;
    char *crc_line = strstr(text, "\ncrc32c ");
    unsigned crc;
    if (crc_line == NULL || sscanf(crc_line, "\ncrc32c %8x", &crc) != 1 ||
        crc32c_extend(0, text, (size_t)(crc_line + 1 - text)) != crc) {
        return false;
    }
    if (sscanf(text, "quorate-data %*d\ncluster %39s\nnode %" SCNu32 "\nuuid %39s\nlog %d\n%n",
               cluster, &identity->node_id, uuid, &log_made, &consumed) != 4 ||
        consumed == 0 || !bytes_of(cluster, identity->cluster, 16) ||
        !bytes_of(uuid, identity->uuid, 16)) {
        return false;
    }
    identity->log_made = log_made != 0;
    char *line = text + consumed;
    while (strncmp(line, "member ", 7) == 0) {
        if (!parse_member(identity, line)) {
            return false;
        }
        line = strchr(line, '\n') + 1;
    }
    return line == crc_line + 1 && identity->member_count > 0;
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
    return true;
}

/* --- Making and checking -------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct member_config *x = a;
    const struct member_config *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool take_members(const struct config *config, struct identity *identity, char *message,
                         size_t cap)
{
    identity->node_id = config->node_id != 0 ? config->node_id : 1;
    identity->member_count = config->member_count;
    memcpy(identity->members, config->members, sizeof identity->members);
    if (identity->member_count == 0) {
        struct member_config *m = &identity->members[0];
        *m = (struct member_config){ .id = identity->node_id, .client_port = config->port };
        (void)snprintf(m->address, sizeof m->address, "127.0.0.1");
        m->peer_port = config->peer_port;
        identity->member_count = 1;
    }
    qsort(identity->members, identity->member_count, sizeof identity->members[0], by_id);
    bool found = false;
    for (uint32_t i = 0; i < identity->member_count; i++) {
        struct member_config *m = &identity->members[i];
        found = found || m->id == identity->node_id;
        if (m->peer_port == 0) {
            m->peer_port = (uint16_t)(m->client_port + 10000);
        }
        if (i > 0 && m->id == identity->members[i - 1].id) {
            return say(message, cap, "two members have the id %" PRIu32, m->id);
        }
    }
    return found ||
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
    } else if (identity->member_count > 1) {
        return say(message, cap,
                   "the members of a cluster are made with the same cluster-id: give "
                   "one (32 hexadecimal digits) to each");
    } else {
        io_random(io, identity->cluster, 16);
    }
    io_random(io, identity->uuid, 16);
    memcpy(identity->peer_uuid[identity_me(identity)], identity->uuid, 16);
    int error = save(io, identity);
    return error == 0 ||
           say(message, cap, "%s cannot be written: %s", identity->dir, strerror(-error));
}

/* What the configuration says must be what the directory is; addresses may have changed. */
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
        bool found = false;
        for (uint32_t k = 0; k < identity->member_count; k++) {
            struct member_config *m = &identity->members[k];
            if (m->id == config->members[i].id) {
                *m = config->members[i];
                m->peer_port =
                    m->peer_port != 0 ? m->peer_port : (uint16_t)(m->client_port + 10000);
                found = true;
            }
        }
        if (!found) {
            return say(message, cap,
                       "member %" PRIu32 " is not a member of the cluster in %s: membership is "
                       "changed in the running cluster, not by configuration",
                       config->members[i].id, identity->dir);
        }
    }
    return true;
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
    return error == 0 || say(message, cap, "%s cannot be locked: %s", path, strerror(-error));
}

static bool open_or_make(struct io *io, const struct config *config, struct identity *identity,
                         char *message, size_t cap)
{
    char path[1100];
    struct io_file *file;
    path_in(identity->dir, "identity", path, sizeof path);
    int error = io_file_open(io, path, 0, &file);
    if (error == -ENOENT) {
        return config->bootstrap
                   ? bootstrap(io, config, identity, message, cap)
                   : say(message, cap,
                         "%s is not a data directory of quorate: make one with --bootstrap, or "
                         "name the right directory with --dir",
                         identity->dir);
    }
    if (error != 0) {
        return say(message, cap, "%s cannot be opened: %s", path, strerror(-error));
    }
    bool loaded = load(io, file, identity, message, cap);
    io_file_close(file);
    return loaded && agree(config, identity, message, cap);
}

bool identity_open(struct io *io, const struct config *config, struct identity *out, char *message,
                   size_t cap)
{
    *out = (struct identity){ 0 };
    (void)snprintf(out->dir, sizeof out->dir, "%s", config->dir);
    int error = config->bootstrap ? io_mkdir(io, config->dir) : 0;
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

uint32_t identity_me(const struct identity *identity)
{
    for (uint32_t i = 0; i < identity->member_count; i++) {
        if (identity->members[i].id == identity->node_id) {
            return i;
        }
    }
    qr_unreachable();
}

void identity_roster(const struct identity *identity, struct roster *out)
{
    *out = (struct roster){ 0 };
    for (uint32_t i = 0; i < identity->member_count; i++) {
        const struct member_config *m = &identity->members[i];
        struct roster_node *node = &out->node[i];
        *node = (struct roster_node){ .id = m->id,
                                      .client_port = m->client_port,
                                      .peer_port = m->peer_port,
                                      .priority = ROSTER_PRIORITY };
        memcpy(node->uuid, identity->peer_uuid[i], sizeof node->uuid);
        (void)snprintf(node->address, sizeof node->address, "%s", m->address);
        out->members.voters |= (uint16_t)(1u << i);
    }
}

enum identity_peer identity_meet(struct io *io, struct identity *identity, uint32_t index,
                                 const uint8_t uuid[16])
{
    static const uint8_t unknown[16] = { 0 };
    uint8_t *known = identity->peer_uuid[index];
    if (memcmp(known, uuid, 16) == 0) {
        return IDENTITY_PEER_KNOWN;
    }
    if (memcmp(known, unknown, 16) != 0) {
        return IDENTITY_PEER_OTHER_DIRECTORY;
    }
    memcpy(known, uuid, 16);
    if (save(io, identity) != 0) {
        memcpy(known, unknown, 16);
        return IDENTITY_PEER_NOT_SAVED;
    }
    return IDENTITY_PEER_KNOWN;
}
