/* The bytes of a discard journal (docs/discards.md, R8): its records, written and read back.
 *
 * A segment is a file of records, each padded with zeros to a multiple of 8 bytes:
 *
 *   offset size
 *        0    4  crc32c of the segment's salt (u64), the record's offset in the file (u64), and
 *                everything from offset 4 to the end of the body
 *        4    4  bytes of the body
 *        8    1  kind (enum discard_record_kind)
 *        9    3  zero
 *       12    4  how far the file was known to be on disk when this was written
 *       16    n  body
 *
 * It begins with its header, twice: at offset 0 and at DISCARDS_COPY_AT, with zeros behind each;
 * entries begin at DISCARDS_HEAD_BYTES. A header's checksum has 0 for the salt, which it states.
 * The salt is drawn for each file and never told: no value that a client writes can look like a
 * record. All integers are little-endian. */
#ifndef NODE_DISCARDS_FORMAT_H
#define NODE_DISCARDS_FORMAT_H

#include "base/types.h"

#define DISCARDS_VERSION 1u
#define DISCARDS_COPY_AT 512u /* in another sector: one bad one costs nothing */
#define DISCARDS_HEAD_BYTES 1024u
#define DISCARD_RECORD_HEAD_BYTES 16u
#define DISCARD_ENTRY_HEAD_BYTES 64u /* of the body of an entry, in front of its payload */
#define DISCARD_REGAINED_BYTES 24u
#define DISCARDS_NUMBER_MAX (1ull << 60) /* of entries, of slots, and of any count: sums fit */

/* Hand-written tags, on disk; never reused. */
enum discard_record_kind {
    DISCARD_RECORD_HEADER = 1,
    DISCARD_RECORD_ENTRY = 2,
    DISCARD_RECORD_REGAINED = 3, /* entries that are not discarded after all */
    DISCARD_RECORD_PAD = 4, /* zeros up to a block's end: what is durable is not written over */
};

enum discard_reason {
#define DISCARD_REASON(name, tag, text, what) DISCARD_##name = (tag),
#include "node/discard_reasons.def"
#undef DISCARD_REASON
};
/* The name in discard_reasons.def; NULL: there is no such reason. */
const char *discard_reason_name(uint8_t reason);

/* Whether its client was told that it is done. */
enum discard_acknowledged {
    DISCARD_NOT_ACKNOWLEDGED = 0,
    DISCARD_MAY_BE_ACKNOWLEDGED = 1,
    DISCARD_ACKNOWLEDGED = 2,
    DISCARD_ACKNOWLEDGED_COUNT
};

/* One write. The payload is that of its entry in the log (log/record.h says what `kind` means):
 * kept as far as DISCARD_ENTRY_BYTES_MAX, so payload.n < bytes where it is longer.
 *
 * A *blind* entry has kind 0 and no payload: of `slots` slots from `slot` on it is only known that
 * they are discarded, for their log has been trimmed. All others stand for one slot. */
struct discard {
    uint64_t number; /* 1, 2, 3 ... in its journal, never reused */
    qr_slot slot;    /* 0: its strategy has none */
    qr_term term;
    qr_term lost_to; /* the term of who decided otherwise */
    qr_wall at;      /* when it was discarded */
    uint32_t group;
    uint16_t partition;
    uint8_t reason;       /* enum discard_reason */
    uint8_t acknowledged; /* enum discard_acknowledged */
    uint8_t kind;         /* enum record_kind; 0: blind */
    uint64_t slots;       /* 1, unless it is blind */
    uint32_t bytes;       /* of the payload, as it was */
    struct span payload;  /* borrowed */
};

/* What a file says about itself, and about what is gone. */
struct discards_header {
    uint32_t keyspace;
    uint64_t salt;
    uint32_t segment; /* its number, as in its name */
    uint32_t oldest;  /* segments below are of no use: their entries are counted here */
    uint32_t before; /* number of the segment before, 0: there is none, and its bytes that count: */
    uint32_t previous; /* what is behind them, and files between, were never durable */
    uint64_t first;    /* number of its first entry */
    uint64_t bytes;    /* of all payloads before that entry, ever, */
    uint64_t blind;    /* and slots of blind entries */
    uint64_t overflowed, overflowed_bytes; /* entries that went with segments below `oldest`, */
    uint64_t damaged;                      /* those of them that could not be read any more, */
    uint64_t regained;                     /* and those that were not discarded after all */
};

/* Both copies, into DISCARDS_HEAD_BYTES. */
void discards_write_header(uint8_t *p, const struct discards_header *header);
enum discards_head {
    DISCARDS_HEAD_WHOLE,
    DISCARDS_HEAD_EMPTY,   /* zeros, or less: the file was never written */
    DISCARDS_HEAD_DAMAGED, /* neither copy is whole */
    DISCARDS_HEAD_LATER,   /* of a version that this one does not know */
};
/* From the beginning of a file; *out is set where it is whole. */
enum discards_head discards_read_header(struct span file, struct discards_header *out);

/* Where in a file a record stands, and what is known there. */
struct discards_place {
    uint64_t salt;
    uint32_t at;     /* its offset, a multiple of 8 */
    uint32_t synced; /* how far the file is on disk */
};

/* Bytes of a record on disk, with its padding. */
size_t discard_record_bytes(size_t body);
/* How many bytes of PAD bring a file of `at` bytes to a block's end; 0: it is there. */
size_t discard_pad_bytes(uint64_t at);
void discard_write_pad(uint8_t *p, struct discards_place place, size_t bytes);
static inline size_t discard_entry_bytes(size_t payload)
{
    return discard_record_bytes(DISCARD_ENTRY_HEAD_BYTES + payload);
}

/* Write one to p, which has room for it; the payload may be cut already. */
void discard_write_entry(uint8_t *p, struct discards_place place, const struct discard *entry);
void discard_write_regained(uint8_t *p, struct discards_place place, uint64_t first, uint64_t last,
                            qr_wall at);

struct discard_record {
    uint8_t kind;
    uint32_t synced;
    struct discard entry; /* of an ENTRY; the payload lies in what was read */
    uint64_t first, last; /* of REGAINED */
    qr_wall at;
};
/* Reads the record at the start of `in`, which stands at `at` of a file with that salt. Returns its
 * bytes with the padding, or 0 when there is none whose checksum and fields are right. */
size_t discard_read(struct span in, uint64_t salt, uint32_t at, struct discard_record *out);
/* How many bytes it would have, from its first 16 alone; 0: it cannot be one. */
size_t discard_peek(struct span in);

#endif
