/* A log on a disk in memory, with entries whose bytes follow from their group, slot and term. */
#ifndef TESTS_UNIT_LOG_RIG_H
#define TESTS_UNIT_LOG_RIG_H

#include "disk.h"

#include "base/limits.h"
#include "log/format.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define RIG_PAYLOAD_MAX 20000u

struct rig {
    struct io *disk;
    struct log *log;
    struct log_config config;
    uint64_t durable; /* last position reported */
    uint64_t written; /* the same of what was written */
    uint64_t reports;
    qr_time lazy; /* entries may be synced so much later */
    int failure;  /* error that on_failure brought; 0: none */
    char message[512];
};

/* An empty disk and a new log on it. */
void rig_start(struct rig *rig, uint64_t segment_bytes);
/* Opens the log that is on rig->disk and expects that result. */
void rig_open(struct rig *rig, enum log_open_result expected);
void rig_restart(struct rig *rig, enum log_open_result expected); /* kill, then open */
void rig_forget(struct rig *rig); /* frees the log's memory as a dying process would */
void rig_stop(struct rig *rig);   /* forgets the log, frees the disk */

/* Payload bytes of an entry: a size between 0 and RIG_PAYLOAD_MAX, mostly small. */
size_t rig_payload(uint32_t group, qr_slot slot, qr_term term, uint8_t *p);
void rig_append(struct rig *rig, uint32_t group, qr_slot slot, qr_term term);
void rig_append_kind(struct rig *rig, uint32_t group, qr_slot slot, qr_term term, uint8_t kind);
/* Fills a hole with that entry; false when the log does not take it. */
bool rig_patch(struct rig *rig, uint32_t group, qr_slot slot, qr_term term);
void rig_flush(struct rig *rig); /* and waits until it is durable */

/* Whether entry `slot` of the group can be read and is the one of that term. */
bool rig_has(struct rig *rig, uint32_t group, qr_slot slot, qr_term term);
/* Entries [lo, hi) are there; their term is 1. */
void rig_expect(struct rig *rig, uint32_t group, qr_slot lo, qr_slot hi);
struct log_group rig_group(struct rig *rig, uint32_t group);

/* The file that holds the newest segment, and where its batches begin. */
uint8_t *rig_top_segment(struct rig *rig, struct segment_header *h, size_t *n);

#endif
