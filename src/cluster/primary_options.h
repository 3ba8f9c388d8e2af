/* What a keyspace with STRATEGY primary asks for, in words (features R2 to R4, L12; asks U2, U3,
 * U9, U17). Names and values come in pairs, as clients send them; the value of ACK is one word with
 * blanks in it.
 *
 *   ACK "LOCAL | ANY k [OF zone] | ALL [OF zone]  [ON received|durable|applied]"
 *   FALLBACK fail|async          too few members for ACK: refuse writes, or go on as LOCAL
 *   MAXLAG 500ms|10s|64mb|90ops  a follower further behind is lagging,
 *   LAGGING STALL|DROP|REJECT    and writers wait, it is left out, or it refuses reads
 *   LOG logical|statement        rows with images before and after, or commands
 *   APPENDFSYNC always|everysec  when the log is synced: Redis's name and words for this choice,
 *                                but for `no`, which leaves it to the kernel
 *   FEED primary|zone|follower   who sends entries and snapshots: the primary; or in each other
 *                                zone one member, to the rest of its zone; or one to all others
 *
 * O1 What a keyspace does not say is the strictest: ACK ANY 1 ON durable, FALLBACK fail, LOG
 *    logical, APPENDFSYNC always; no MAXLAG; FEED primary. LAGGING without more is
 *    REJECT, which costs writers nothing.
 * O2 Nothing weakens ACK unless it is said beside it. FALLBACK async is refused where it stood
 *    there before and only ACK is changed; it has to be said again.
 * O3 What contradicts itself is refused, and nothing is changed: more copies than replicas, a zone
 *    without nodes, LOCAL OF a zone or ON applied, a FALLBACK of LOCAL, everysec ON durable,
 *    LAGGING without MAXLAG, DROP where ALL needs every copy.
 *
 * They stand in the keyspace's record (records.c).
 *
 * Pure. */
#ifndef CLUSTER_PRIMARY_OPTIONS_H
#define CLUSTER_PRIMARY_OPTIONS_H

#include "base/text.h"
#include "cluster/ack.h"
#include "cluster/succession.h"

enum primary_log { PRIMARY_LOGICAL = 0, PRIMARY_STATEMENT };
enum primary_sync { PRIMARY_ALWAYS = 0, PRIMARY_EVERYSEC };
enum primary_feed { PRIMARY_FEEDS = 0, PRIMARY_FEED_ZONE, PRIMARY_FEED_FOLLOWER };
enum primary_maxlag { MAXLAG_TIME = 0, MAXLAG_BYTES, MAXLAG_OPERATIONS };
enum primary_lagging { PRIMARY_REJECT = 0, PRIMARY_STALL, PRIMARY_DROP };

struct primary_options {
    struct ack ack;
    bool fallback_async;
    uint8_t log, sync, lagging;
    uint8_t feed;        /* enum primary_feed */
    bool lagging_said;   /* beside MAXLAG */
    uint8_t maxlag_unit; /* enum primary_maxlag; time is in microseconds */
    uint64_t maxlag;     /* 0: none */
};

#define PRIMARY_MAXLAG_TIME (24 * 3600 * QR_SECOND) /* the largest */

/* Of a keyspace that says nothing (O1). */
struct primary_options primary_options_default(void);

/* Reads pairs over what stands in *options: at a creation the default, at an alteration what the
 * keyspace has (O2). False with the error in *why, and *options as it was. The result still has to
 * be checked. */
bool primary_options_read(struct primary_options *options, const struct span *words, uint32_t count,
                          struct text *why);

/* Against the number of replicas and of the nodes in the zone of ACK (of no account without one).
 * False with the error in *why (O3). */
bool primary_options_check(const struct primary_options *options, uint32_t replicas,
                           uint32_t in_zone, struct text *why);

/* Whether they can be somewhere: what a record may say. */
bool primary_options_are_sound(const struct primary_options *options);

/* The level of the cluster whose nodes understand all of them. */
uint32_t primary_options_level(const struct primary_options *options);

/* Whether a follower that is further behind than MAXLAG refuses reads. */
static inline bool primary_options_reject(const struct primary_options *options)
{
    return options->maxlag > 0 && options->lagging == PRIMARY_REJECT;
}

/* All of them in words, ACK's value in quotes; they read back the same. */
#define PRIMARY_OPTIONS_BYTES 256u
void primary_options_put(struct text *out, const struct primary_options *options);

/* For succession: of these members, and those that are in ACK's zone. Where none of the members is
 * there the wish is not sound, so that nothing follows it: it is never less than was promised. */
struct succession_wish primary_options_wish(const struct primary_options *options, uint16_t members,
                                            uint16_t in_zone);

#endif
