/* A naive twin of the log for its fuzz target: every state that the log has been in since the last
 * crash, and entries whose bytes follow from group, slot and term. */
#ifndef TESTS_FUZZ_LOG_TWIN_H
#define TESTS_FUZZ_LOG_TWIN_H

#include "log/log.h"
#include "tests/unit/log/disk.h"

#define TWIN_GROUPS 2u
#define TWIN_SLOTS 64u /* live entries of one group, at most */
#define TWIN_KEPT 2048u

struct twin_group {
    qr_slot base, last;
    qr_term base_term, term;   /* term: of the next entry */
    uint8_t terms[TWIN_SLOTS]; /* by slot modulo TWIN_SLOTS */
    uint32_t state;            /* 0: none */
    bool known;
};

struct twin {
    struct twin_group group[TWIN_GROUPS];
    uint64_t position;
};

struct life {
    struct io *disk;
    struct log *log;
    struct log_config config;
    uint64_t durable; /* last position reported */
    struct twin now;
    struct twin kept[TWIN_KEPT]; /* after each change since the last crash */
    uint32_t kept_n;
    uint32_t states; /* numbers the state records */
    char message[1024];
};

uint32_t twin_group_id(uint32_t i);
void twin_keep(struct life *life);

/* Each changes the log and the twin, or neither. */
void twin_append(struct life *life, uint32_t group, uint32_t count);
void twin_truncate(struct life *life, uint32_t group, uint32_t which);
void twin_trim(struct life *life, uint32_t group, uint32_t which);
void twin_install(struct life *life, uint32_t group, uint32_t gap);
void twin_reset(struct life *life, uint32_t group, uint32_t which);
void twin_state(struct life *life, uint32_t group, size_t bytes);
void twin_drop(struct life *life, uint32_t group);
void twin_carry(struct life *life, uint64_t behind, uint64_t group_bytes);

bool twin_is(struct life *life, const struct twin *want); /* the log's groups are like that */
void twin_check_entries(struct life *life); /* every entry can be read, and is right */
/* Fills every hole with the entry that a peer would have. */
void twin_fill_holes(struct life *life);
/* The entry cannot be read, or its bytes follow from its group, slot and term. */
bool twin_reads_right_or_not(struct life *life, uint32_t group, qr_slot slot);

/* The highest log offset that a whole batch in the bytes of a segment says was synced. */
uint64_t twin_stated(const struct life *life, const uint8_t *p, size_t n);

/* Writes the right checksum over every header, restatement, batch and record in the bytes. */
void twin_mend(const struct life *life, uint8_t *p, size_t n);

#endif
