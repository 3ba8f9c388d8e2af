/* The identity file of a data directory: any bytes are refused in words or are exactly what this
 * node would write; what was read and is saved again reads back the same, with what was learnt.
 *
 * The input is the file; with an odd first byte its checksum is put right. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "node/identity.h"
#include "tests/unit/log/disk.h"

#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX 8191u

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 0x5a, n);
}

/* Puts the checksum over everything before the first line that holds one. */
static void mend(char *text, size_t n)
{
    text[n] = 0;
    char *line = strstr(text, "\ncrc32c ");
    if (line != NULL && strlen(line) >= 16) {
        char digits[9];
        (void)snprintf(digits, sizeof digits, "%08x",
                       crc32c_extend(0, text, (size_t)(line + 1 - text)));
        memcpy(line + 8, digits, 8);
    }
}

static void put_file(struct io *disk, const char *text, size_t n)
{
    struct io_file *file;
    qr_assert(io_file_open(disk, "data/identity", IO_CREATE | IO_WRITE, &file) == 0);
    qr_assert(io_file_pwrite(file, text, n, 0) == (int64_t)n);
    io_file_close(file);
}

static bool open_it(struct io *disk, struct identity *out)
{
    char message[512] = "";
    struct config config = { .dir = "data" };
    bool opened = identity_open(disk, &config, out, message, sizeof message);
    qr_assert(opened == (message[0] == 0));
    return opened;
}

static void check_members(const struct identity *identity)
{
    qr_assert(identity_me(identity) < MEMBERS_MAX);
    qr_assert(identity->members[identity_me(identity)].id == identity->node_id);
    uint32_t last = 0;
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        uint32_t id = identity->members[i].id;
        qr_assert(id == 0 || identity->joined > 0 || id > last);
        last = id;
        for (uint32_t k = 0; k < i && id != 0; k++) {
            qr_assert(identity->members[k].id != id);
        }
    }
}

static bool same(const struct identity *a, const struct identity *b)
{
    return a->node_id == b->node_id && a->me == b->me && a->joined == b->joined &&
           a->joined_term == b->joined_term && a->removed == b->removed &&
           a->log_made == b->log_made && memcmp(a->cluster, b->cluster, 16) == 0 &&
           memcmp(a->uuid, b->uuid, 16) == 0 &&
           memcmp(a->members, b->members, sizeof a->members) == 0;
}

/* Learns what can be learnt, and finds it again. */
static void learn(struct io *disk, struct identity *identity)
{
    static const uint8_t uuid[16] = { 1, 2, 3 };
    struct identity again;
    int error = 0;
    enum identity_peer met = identity_meet(disk, identity, identity_me(identity), uuid, &error);
    qr_assert(error == 0 && met != IDENTITY_PEER_NOT_SAVED);
    qr_assert(identity_log_made(disk, identity) == 0);
    qr_assert(uuid[0] + identity->uuid[0] < 128 || identity_removed(disk, identity) == 0);
    identity_close(identity);
    qr_assert(open_it(disk, &again));
    qr_assert(same(identity, &again));
    identity_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n - 1 > FILE_BYTES_MAX) {
        return 0;
    }
    struct io *disk = disk_new();
    struct identity identity;
    char *text = qr_alloc(n);
    memcpy(text, data + 1, n - 1);
    if (data[0] % 2 == 1) {
        mend(text, n - 1);
    }
    put_file(disk, text, n - 1);
    if (open_it(disk, &identity)) {
        check_members(&identity);
        learn(disk, &identity);
    }
    free(text);
    disk_free(disk);
    return 0;
}
