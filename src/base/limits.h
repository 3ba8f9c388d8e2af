/* Every bound of the node, each with what happens at it (R4). Back-pressure comes first, then a
 * named error. Nothing in the tree may queue, buffer or allocate without a limit from this page. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* --- the cluster ---------------------------------------------------------------------------- */
#define CONTROL_ORDERS_MAX 256 /* changes of the control state that stand in line: -THROTTLED */
/* What one report to group 0's leader holds; more goes with the next one, clients of further
 * keyspaces are not counted. */
#define REPORT_PARTITIONS_MAX 256
#define REPORT_KEYSPACES_MAX 64
#define STANDINGS_MAX 128    /* of one frame; more are told with the next ones */
#define MEMBERS_MAX 15       /* members of one group; more are refused when a cluster is made */
#define KEYSPACES_MAX 1024   /* more are refused when they are to be created */
#define PARTITIONS_MAX 16384 /* of all keyspaces together; the same */
#define KEYSPACE_PARTITIONS_MAX 16384 /* of one: a slot each; the same */
/* Turns of partitions in one turn of the loop, and of telling them of peers: the others wait. */
#define SCHEDULE_SLICE_USEC 5000
#define SCHEDULE_SWEEP_USEC 3000
/* Of making and deleting replicas; the others wait until the sockets have been looked at. */
#define HOLDING_SLICE_USEC 1000
/* Elections of a node's partitions under way at a time, by how long its turns take; the others
 * stand in line. */
#define CAMPAIGNS_MIN 16
#define CAMPAIGNS_MAX 1024

/* --- keys, values, commands: past it the command gets an error and nothing happens ---------- */
#define KEY_BYTES_MAX (64 * KIB)    /* -ERR key is too long */
#define VALUE_BYTES_MAX (512 * MIB) /* default and ceiling of max-value-bytes */
/* Longer values, arguments and parts of replies are kept in pieces (base/rope.h), and such
 * arguments travel as blobs ahead of their command. */
#define LARGE_BYTES (256 * KIB)
#define COMMAND_BYTES_MAX (64 * MIB) /* all other arguments: protocol error, and of a log record */
/* What a client may put into one command beside large arguments: a step of the loop writes, sends
 * and executes all of it, so it is as much as a batch of the log. -ERR command is too large. */
#define STEP_BYTES_MAX (4 * MIB)
#define STEP_ARGUMENTS_MAX 131072
#define REQUEST_BYTES_MAX (VALUE_BYTES_MAX + COMMAND_BYTES_MAX) /* all arguments of one command */
#define COMMAND_ARGUMENTS_MAX 1048576     /* protocol error: invalid multibulk length */
#define INLINE_BYTES_MAX (64 * KIB)       /* protocol error: too big inline request */
#define LOCAL_NAMES_MAX 1024              /* names in one CONFIG GET, ...: -ERR too many ... */
#define LOCAL_PATTERN_BYTES_MAX 1024      /* a longer pattern for names matches nothing */
#define PREAUTH_ARGUMENTS_MAX 10          /* before AUTH: protocol error */
#define PREAUTH_BULK_BYTES_MAX (16 * KIB) /* before AUTH: protocol error */

/* --- clients: past it the socket is not read until there is room again ---------------------- */
#define CLIENTS_MAX 10000 /* default of maxclients: -ERR max number of clients reached */
/* Replies that may be under way for one connection, by the size that its replies have had of late:
 * with large replies fewer commands are taken at a time, but always a few. */
#define CLIENT_WINDOW_BYTES (16 * MIB)
#define CLIENT_WINDOW_MIN 8
/* The same two when the clients together hold more than a quarter of maxmemory-clients; then
 * CLIENT_READ_BYTES take the place of CLIENT_OUTPUT_BYTES_MAX too. */
#define CLIENT_WINDOW_BYTES_PRESSED (256 * KIB)
#define CLIENT_WINDOW_USEC 100000       /* the same, by the time that they have taken to execute */
#define CLIENT_REPLY_GUESS (256 * KIB)  /* before the first */
#define CLIENT_KERNEL_BYTES (128 * KIB) /* replies that the kernel keeps unsent for one client */
#define BUFFER_KEPT_BYTES (8 * MIB)     /* an empty buffer of the node that is larger goes back */
#define IO_GIVE_BYTES (256 * KIB)       /* more is handed to a socket as it is instead of copied */
#define CLIENT_READ_BYTES (64 * KIB)    /* one read of a socket */
#define APART_READ_BYTES (256 * KIB)    /* ... for a large argument */
/* Replies with large values: written at a time to one client, and in a turn to all. */
#define OUTPUT_SLICE_BYTES (512 * KIB)
#define OUTPUT_TURN_BYTES (2 * MIB)
#define SLOT_KEYS_MAX 10000 /* that CLUSTER GETKEYSINSLOT answers: fewer than were asked for */
/* Channels and patterns of one client, and bytes of each: more are refused. Messages that it has
 * not taken: past that it is closed. */
#define SUBSCRIPTIONS_MAX 32
#define SUBSCRIPTION_BYTES_MAX 256
#define SUBSCRIBER_OUTPUT_BYTES_MAX (1 * MIB)
#define CLIENT_PENDING_MAX 4096           /* commands of one connection without a reply yet */
#define CLIENT_OUTPUT_BYTES_MAX (1 * MIB) /* replies that the client has not taken yet */
/* Replies that could not wait (to writes, and to reads just ahead of one) go beyond it, up to here;
 * past it the client is closed. */
#define CLIENT_OUTPUT_BYTES_KILL (256 * MIB)
#define ACCEPTS_PER_TURN 32         /* of one listener; more wait in the kernel for the next turn */
#define LINGER_TIME_MS 1000         /* how long a dismissed client may go on sending; then reset */
#define LINGER_BYTES_MAX (32 * MIB) /* and how much */
#define LINGER_STREAMS_MAX 256      /* at a time; more dismissed ones are closed at once */
/* What one client may have carried out in one turn, and all together; the rest of their input waits
 * in a queue, a share each in turn. */
#define CLIENT_TURN_COMMANDS 512
#define CLIENTS_TURN_USEC 2000
#define CLIENT_HEAVY_BYTES (64 * KIB) /* after a longer command the clock is looked at */
/* Reads that one turn executes, and those that have a queue of their own (node/pace.c). */
#define READS_TURN_USEC 2000
#define READS_TURN_BYTES (2 * MIB) /* their replies: writing them takes time too */
#define LARGE_READ_USEC 250
#define LARGE_READ_BYTES (16 * KIB)    /* of its reply, */
#define LARGE_READ_OP_BYTES (16 * KIB) /* or of its arguments */
#define STRANDS_KEPT 128 /* partitions that a client's connection is known to have used */
/* Clients of a peer whose reads are known, in group 0 and in another one; others count as small. */
#define SENDERS_KEPT 1024
#define SENDERS_KEPT_GROUP 64
#define READS_LOOKED_AT 4096     /* confirmed reads that are looked at in one go; others wait */
#define DEADLINES_PER_SWEEP 4096 /* pending commands that are looked at for their time-outs */
/* Commands of all connections without a reply yet. Past it only those clients go on that have less
 * than their fair share; forwards of other nodes are refused at twice of it: -THROTTLED. */
#define NODE_PENDING_MAX 65536
#define NODE_PENDING_BYTES_MAX (256 * MIB) /* their arguments; the same, with large commands */
/* Replies that wait for zones (ACK "EACH zone"), of all connections, and their bytes. Past either,
 * and of one client past what is left of either, more such writes are not taken: -THROTTLED. What
 * was under way may bring as much again; beyond that it is not waited for: -UNCERTAIN, applied. */
#define KEPT_REPLIES_MAX 16384
#define KEPT_BYTES_MAX (256 * MIB)
#define LEADERS_NEWS_MAX 1000 /* of one message; more are told with the next ones */
/* Groups not known yet whose leaders are kept in mind; others are guessed when they are needed. */
#define EARLY_LEADERS 8192
/* Partitions that a command without keys asks at a time; more are asked as these answer. */
#define GATHER_WINDOW 16
/* A read at a follower waits so long for the slot that its leader tells; then the leader reads.
 * A linearizable one, which costs the leader as much, waits less, and where one was late the next
 * go to the leader: so long, twice as long each time. */
#define INDEX_PATIENCE_MS 200
#define INDEX_PATIENCE_PROVEN_MS 50
#define INDEX_LATE_MS 1000
#define INDEX_LATE_DOUBLINGS 6
/* One partition that has answered nothing for so long may keep so many commands and bytes of theirs
 * without a reply, the fewer when the node is half full: -THROTTLED. */
#define TRACK_STUCK_TIME_MS 1000
#define TRACK_PENDING_MAX 16384
#define TRACK_PENDING_BYTES_MAX (64 * MIB)
#define TRACK_PENDING_MIN 256
#define TRACK_PENDING_BYTES_MIN (1 * MIB)
/* Default of maxmemory-clients: input and output buffers of all clients. Past it the one that holds
 * most is closed. */
#define CLIENTS_BYTES_MAX (1 * GIB)
#define STARVED_TIME_MS 5000 /* no room for so long: the client that holds most is closed */
#define PREAUTH_COMMAND_TIME_MS 10000 /* for one command before AUTH; then the client is closed */
#define PREAUTH_TIME_MS 60000         /* until AUTH; then the client is closed */
#define IDLE_TRIM_TIME_MS 2000        /* an idle client gives its reply buffer back */

/* --- the log -------------------------------------------------------------------------------- */
#define LOG_BLOCK_BYTES (4 * KIB)     /* a batch starts on a block boundary */
#define LOG_SEGMENT_BYTES (64 * MIB)  /* default; a larger record gets a segment of its own size */
#define LOG_BATCH_BYTES_MAX (4 * MIB) /* a batch that would grow beyond is closed */
#define LOG_CACHE_BYTES_MAX (128 * MIB)  /* tail cache; older entries are read from the file */
#define LOG_CHUNK_BYTES (1 * MIB)        /* the cache grows and is evicted by these */
#define LOG_BACKLOG_BYTES_MAX (64 * MIB) /* not durable yet: a leader takes no more writes */
#define LOG_STATE_BYTES_MAX (4 * KIB)    /* a protocol's state record; a longer one is a bug */
#define LOG_GROUPS_MAX 65536             /* more are a bug of whoever places groups */

/* --- protocols ------------------------------------------------------------------------------ */
#define UNCOMMITTED_ENTRIES_MAX 65536     /* SUBMIT is not delivered beyond it (P4) */
#define UNCOMMITTED_BYTES_MAX (256 * MIB) /* kept by the driver, which knows the bytes */
#define APPEND_ENTRIES_MAX 4096           /* entries attached to one message */
#define APPEND_BYTES_MAX (1 * MIB)        /* the driver attaches fewer entries when bytes run out */
/* Entries attached for one follower in one turn, at least one message, and what all of them may
 * take from files instead of the cache. The rest is asked for again. */
#define APPEND_TURN_BYTES (4 * MIB)
#define READ_BACK_TURN_BYTES (1 * MIB)
/* While clients need the machine a member that lacks more than NEAR is fed so much a second, or
 * twice what the log grows if that is more; the rest waits. */
#define CATCH_UP_BYTES_PER_SECOND_MIN (24 * MIB)
#define CATCH_UP_NEAR_BYTES (8 * MIB)
/* Large arguments go into the log in parts: of one entry, in one turn, and without a commit yet.
 * What comes meanwhile waits behind so much. */
#define BLOB_PART_BYTES (256 * KIB)
#define BLOB_TURN_BYTES (1 * MIB)
#define BLOB_FLIGHT_BYTES (4 * MIB)
#define HELD_EFFECTS_MAX 65536      /* a stuck disk: messages that wait for it are dropped */
#define MEMBERSHIPS_RECEIVED_MAX 16 /* changes that one message is looked through for */
#define APPENDS_IN_FLIGHT_MAX 64    /* messages to one follower without an answer yet */

/* --- peers ---------------------------------------------------------------------------------- */
#define FRAME_BYTES_MAX (80 * MIB) /* a longer frame closes the connection */
#define PEERS_SLICE_USEC 8000      /* frames of all peers in one turn; the others wait, and past */
#define PEER_HELD_BYTES_MAX (1 * MIB) /* so many of one connection its socket is not read */
#define LINK_KEPT_BYTES (1 * MIB)     /* an empty input buffer of a peer that is larger goes back */
#define STRANGERS_MAX 64 /* connections without proof of who they are; more are closed */
#define RELAY_OUTPUT_BYTES_MAX (4 * MIB) /* replies for one peer's clients; its reads wait */
#define LONG_REPLY_BYTES (1 * MIB)    /* a longer reply, and all large arguments, go in pieces: */
#define PIECE_BYTES (256 * KIB)       /* of one message; others go between */
#define PIECES_PER_TURN 8             /* the next ones wait for the next turn */
#define PIECES_QUEUED_BYTES (1 * MIB) /* the next piece waits */
#define CARGO_WINDOW_BYTES (4 * MIB)  /* sent to the leader ahead of what it has carried on */
#define CARGO_WINDOWS_BYTES (1 * GIB) /* of all commands of other nodes together: -THROTTLED */
/* Replies for one peer that wait to go in pieces; past it the connection is dropped. */
#define LONG_REPLIES_BYTES_MAX (1 * GIB)
#define PEER_OUTPUT_BYTES_MAX (64 * MIB) /* more messages to it are dropped and counted */

/* --- figures about itself ------------------------------------------------------------------- */
#define ERROR_CODES_MAX 64      /* error codes counted apart; further ones are counted together */
#define ERROR_CODE_BYTES 32     /* of one, with its end; a longer one is cut */
#define PERCENTILES_MAX 16      /* in latency-tracking-info-percentiles; more are refused */
#define HTTP_CONNECTIONS_MAX 16 /* to metrics-port; more are closed at once */
#define HTTP_REQUEST_BYTES_MAX (8 * KIB) /* 431 */
#define HTTP_TIME_MS 5000 /* for a request and its answer; then the connection is closed */

/* --- engine --------------------------------------------------------------------------------- */
#define DATABASES 16           /* -ERR DB index is out of range */
#define EXPIRE_BATCH_KEYS 1000 /* keys that one tick removes; more wait for the next */
/* Ids of requests that a keyspace remembers where nothing else is said: IDMPFULL. */
#define IDMP_SECONDS 600u
#define IDMP_COUNT 1000u
#define IDMP_BYTES (256 * MIB)
#define IDMP_BYTES_MIN \
    (4 * KIB) /* of a partition: a lower bound is refused, a lower share is this */
#define IDMP_COUNT_MAX 1000000u    /* a higher one is refused */
#define ID_REPLY_BYTES_MAX 4080u   /* a longer reply is not kept with its id (idempotency.c) */
#define REPLY_BYTES_MAX (48 * MIB) /* MGET, KEYS, SCAN: -ERR reply is too long; it fits a frame */
#define REPLY_APART_MAX (1 * GIB)  /* the same where it refers to large values: too long */
#define SCAN_COUNT_MAX 10000       /* keys that one SCAN visits; a higher COUNT means this */
/* Keys and values before, and all that is written, of the rows of one op (engine/rows.h): an op
 * that changes more is logged as it is. */
#define ROWS_BYTES_MAX STEP_BYTES_MAX
/* Of one partition, executed and not committed, with their keys (engine/overlay.h): past it no
 * command is executed, they wait outside. */
#define OVERLAY_BYTES_MAX (64 * MIB)
/* Blobs of which the command has not been applied. A leader begins no more before there is room. */
#define STAGED_BYTES_MAX (1 * GIB)
#define STAGED_BLOBS_MAX 8192
#define IDLE_FREE_ITEMS 256 /* values that one engine_idle frees */
#define IDLE_FREE_PIECES 8  /* and pieces of one that is large */

/* --- checkpoints ---------------------------------------------------------------------------- */
#define IMAGE_CHUNK_BYTES (256 * KIB) /* the next chunk is begun; long values are split */
#define IMAGE_SLICE_BYTES (1 * MIB)   /* a slice of the walk ends when it would grow beyond */
/* Terms in the log behind a checkpoint: the next one is due, however few bytes they are. With more
 * than the protocol keeps (protocol/trail.h) behind all checkpoints, nobody could lead. */
#define CHECKPOINT_TERMS_MAX 50
#define CHECKPOINT_BYTES_PER_SECOND 400000000    /* a faster one would hold up the log's syncs */
#define CHECKPOINT_QUEUED_BYTES_MAX (8 * MIB)    /* the walk waits for the disk */
#define CHECKPOINT_BACKLOG_BYTES_MAX (256 * MIB) /* writes outran the disk: tried again later */
#define CHECKPOINT_ROOM_BYTES (1 * MIB)     /* left free on disk for one, beside the state's size */
#define CHECKPOINT_HELD_BYTES_MAX (1 * GIB) /* replaced values kept for it: the same */

/* Groups of which the log holds little are carried along: in a turn, of one group, and together no
 * more than this part of what the log grows by meanwhile. */
#define CARRY_TURN_BYTES (64 * KIB)
#define CARRY_GROUP_BYTES_MAX (16 * KIB)
#define CARRY_PART 8u
#define CARRY_STEP_BYTES (1 * MIB) /* of log between two looks for such groups */

/* --- snapshots for other nodes -------------------------------------------------------------- */
#define REPAIR_REPLY_BYTES_MAX (512 * KIB) /* of one answer, beyond its first entry: asked again */
#define SNAPSHOT_PIECE_BYTES (128 * KIB)   /* of one message */
#define SNAPSHOT_READ_BYTES (512 * KIB)    /* of one read of the file */
#define SNAPSHOT_WINDOW_BYTES (4 * MIB) /* that a follower asks for ahead of what it has loaded */
#define SNAPSHOT_OUTPUT_BYTES (1 * MIB) /* queued for a peer: the next piece waits */
#define SOURCES_MAX 8 /* groups whose files are given at a time, beside group 0; others wait */
#define FETCHES_MAX 4 /* groups that get another node's state at a time; others wait */

/* Loaded in a second while the source has clients to serve; then the rest waits. */
#define SNAPSHOT_BUSY_ITEMS 205000u
#define SNAPSHOT_BUSY_BYTES (224 * MIB)

/* --- The discard journal (node/discards.h) ------------------------------------------------- */
/* The discard journal of a keyspace (node/discards.h). Beyond its bytes the oldest segment goes,
 * and what was in it is counted; as well where runs of slots become too many. Of a longer payload
 * the beginning is kept. Without room for one more chunk in memory who writes waits for the disk.
 */
#define DISCARDS_BYTES (64 * MIB)
#define DISCARDS_SEGMENTS 8u /* that it is cut into: so much of it goes at a time */
#define DISCARD_ENTRY_BYTES_MAX (4 * MIB)
#define DISCARDS_CHUNK_BYTES (1 * MIB)
#define DISCARDS_RUNS 2048u           /* of a segment: the next one begins */
#define DISCARDS_FILES_MAX 1024u      /* segments, however short: the oldest goes */
#define DISCARDS_READ_BYTES (1 * MIB) /* of payloads in one answer: the next one goes on */
#define DISCARDS_COUNT_MAX 1000u      /* of entries: the same */

/* --- quorate bench: options beyond are refused ------------------------------------------------ */
#define BENCH_ADDRESSES_MAX 16           /* servers to spread the connections over */
#define BENCH_ENDPOINTS_MAX 64           /* with --cluster: servers that it tells of, and these */
#define BENCH_MAP_BYTES_MAX (16 * MIB)   /* of an answer to CLUSTER SLOTS */
#define BENCH_CONNECTIONS_MAX 10000      /* in all */
#define BENCH_PIPELINE_MAX 4096          /* requests without a reply on one connection */
#define BENCH_IN_FLIGHT_MAX 1000000      /* ... and on all of them; 48 bytes each */
#define BENCH_KEYS_MAX 1000000000000     /* as many as twelve digits name */
#define BENCH_CHECKED_KEYS_MAX 100000000 /* with --check: 24 bytes each */
#define BENCH_PREFIX_BYTES_MAX 128       /* of a key */
#define BENCH_OUTPUT_BYTES (64 * KIB)    /* of a connection; more waits for the kernel */
#define BENCH_INPUT_BYTES (256 * KIB)    /* one read, shared by all connections */
#define BENCH_ERROR_CODES_MAX 16         /* kinds of error told apart; others count as one kind */

/* --- quorate status and quorate admin --------------------------------------------------------- */
#define TALK_REPLY_BYTES_MAX (256 * MIB) /* of one answer; a longer one is refused */
#define STATUS_LISTED_MAX 20             /* partitions and alarms that are named; others count */
#define STATUS_MOVES_MAX 8               /* of those under way; others count */

#endif
