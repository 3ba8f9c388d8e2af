/* The realm: a simulated world in which whole nodes run, unchanged, on virtual time.
 *
 * io.h is implemented here (io_loop.c, io_stream.c, io_file.c) over what this header describes, and
 * linked in the place of src/io. Hosts have a clock, a drive and at most one process; a process is
 * a coroutine on a stack of its own, so that it can die at any call and be forgotten: its memory is
 * given back as a whole (memory.c), its connections close as a kernel would close them.
 *
 * One thread, one queue of events, one random generator: a seed gives the same run everywhere, and
 * `digest` names it. True time passes only between events. What a process does takes time too: the
 * calls of io.h charge it (`spent`), and it hears of nothing before that time is over. */
#ifndef SIM_NODES_REALM_H
#define SIM_NODES_REALM_H

#include "base/alloc.h"
#include "base/rng.h"
#include "base/types.h"
#include "io/io.h"
#include "sim/nodes/faults.h"

#include <stdio.h>
#include <ucontext.h>

#define HOSTS_MAX 24u
#define ADDRESS_MAX 48u
#define STACK_BYTES (2u << 20)
#define REALM_WALL (1790000000 * QR_SECOND) /* the wall time of true time 0 */

struct realm;
struct process;
struct drive; /* drive.h */

struct happening {
    qr_time at;
    uint64_t sequence; /* of those of one moment the oldest comes first */
    void (*fire)(struct realm *realm, void *what, uint64_t number);
    void *what;
    uint64_t number;
};

/* What a process has from the allocator: a ring of blocks (memory.c). */
struct block {
    struct block *next, *previous;
    void *raw;
    size_t n;
};

/* What a process of the host meets at a failpoint (failpoint.h). */
enum failpoint_way {
    FAILPOINT_DIES,
    FAILPOINT_LOSES_POWER,
    FAILPOINT_STOPS,
    FAILPOINT_FAILS, /* the drive does */
    FAILPOINT_HOLDS, /* entries are not executed for a while */
    FAILPOINT_WAYS
};

enum armed_for { ARMED_BY_SEED, ARMED_BY_FAULT, ARMED_BY_BACKUP, ARMED_MAX };

#define TRACE_POINTS_MAX 128u

struct armed {
    enum failpoint point; /* FAIL_NOWHERE: it is not armed */
    enum failpoint_way way;
    uint32_t left;  /* the so manieth time from now */
    qr_time length; /* of what lasts */
    qr_time until;  /* it holds till then; 0: it has not begun */
};

struct host {
    struct realm *realm;
    uint32_t number;
    char name[16];
    char address[ADDRESS_MAX];
    bool up; /* has power: else what is sent to it vanishes */
    uint32_t losses; /* of power, so far */
    struct drive *drive;
    struct process *process; /* NULL: none runs */
    struct io_listener *listeners;
    uint16_t next_port; /* of connections that begin here */
    /* boottime = boot + (now - since) * (1000000 + drift) / 1000000; wall = wall + the same */
    qr_time since, boot;
    qr_wall wall;
    int64_t drift_ppm;
    bool frozen, wall_stands; /* at `wall` */
    struct armed armed[ARMED_MAX];
    void (*on_death)(void *owner); /* a process has died by itself, or where it was armed to */
    void *owner;
};

enum process_state { PROCESS_BLOCKED, PROCESS_RUNS, PROCESS_ENDED, PROCESS_DIED };

struct process {
    struct realm *realm;
    struct host *host;
    void (*body)(struct process *process);
    void *argument;
    enum process_state state;
    uint64_t life; /* number of this process, of all that ever were */
    int exit_code;
    ucontext_t context;
    void *stack;
    void *fake_stack; /* AddressSanitizer's */
    struct block memory;
    struct io *io; /* at most one at a time */
    struct io_file *files;
    struct rng random;   /* what io_random gives */
    uint64_t spent_ns;   /* since it was woken */
    qr_time until;       /* blocked: till then, if nothing comes */
    qr_time wakes;       /* when the event for that is due; QR_NEVER: none is */
    qr_time busy_until;  /* what it did last takes as long */
    bool paused, missed; /* SIGSTOP; and something came meanwhile */
    uint64_t *felt;      /* counts that, of what it stands still for; NULL: nobody does */
    uint32_t calls_left; /* it dies within the call of io.h that makes this 0; 0: it does not */
    bool takes_power;    /* and its host with it */
};

struct link {
    uint64_t *cut;         /* nothing gets through, and this counts what; NULL: it is whole */
    uint32_t bytes_per_ms; /* 0: as many as come */
    qr_time further;       /* beside the latency of all */
    qr_time busy_until;    /* with what was sent, if it is narrow */
};

struct realm_pace {
    qr_time latency, jitter;    /* of a message, one way */
    uint32_t bytes_per_usec;    /* of a connection */
    qr_time sync, sync_jitter;  /* of a drive */
    uint32_t drive_per_usec;    /* bytes */
    uint32_t short_read_chance; /* of 1000 */
};

struct realm {
    uint64_t seed;
    struct rng rng;
    qr_time now;
    uint64_t sequence, lives, events;
    struct happening *heap;
    size_t heap_n, heap_cap;
    uint64_t digest;
    struct host host[HOSTS_MAX];
    uint32_t hosts;
    struct link link[HOSTS_MAX][HOSTS_MAX]; /* from the first to the second */
    struct connection *connections;
    struct realm_pace pace;
    bool keeps_memory; /* of the machines: where power was lost only what runs there is killed */
    uint64_t felt[FELTS]; /* how much came of each kind of fault (faults.def, felt.def) */
    ucontext_t context;
    const void *stack_bottom; /* of the thread, for AddressSanitizer */
    size_t stack_size;
    void *spare_stack;
    uint64_t reached[FAIL_COUNT], struck[FAIL_COUNT][FAILPOINT_WAYS]; /* failpoints */
    uint64_t traced[TRACE_POINTS_MAX]; /* how often Raft came to each of its trace points */
    FILE *trace;       /* NULL: nobody wants to read it */
    char failure[512]; /* what was found, first; "" while all is well */
};

/* --- realm.c: time and processes ------------------------------------------------------------ */

struct realm *realm_new(uint64_t seed, FILE *trace);
void realm_free(struct realm *realm);

/* Carries out events up to that moment, or until something has failed. */
void realm_run(struct realm *realm, qr_time until);
void realm_at(struct realm *realm, qr_time at,
              void (*fire)(struct realm *realm, void *what, uint64_t number), void *what,
              uint64_t number);

struct host *realm_host(struct realm *realm, const char *name);
struct host *realm_host_at(struct realm *realm, const char *address); /* NULL: there is none */

/* A line of the trace; it counts in the digest, read or not. */
void realm_note(struct realm *realm, const struct host *host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void realm_fail(struct realm *realm, const struct host *host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void realm_mix(struct realm *realm, uint64_t number); /* into the digest */

struct process *process_start(struct host *host, void (*body)(struct process *process),
                              void *argument);
void process_kill(struct process *process);  /* kill -9; not by itself */
uint64_t host_lose_power(struct host *host); /* with what runs there; returns the bytes lost */
void host_power_on(struct host *host);
void process_pause(struct process *process, bool paused);
/* Whoever has not said what to do then does not hear of it (io_loop.c). */
void process_signal(struct process *process, int number);
/* From now on; also of the one that runs, which stands still in the midst of a call. */
void process_pause_for(struct process *process, qr_time length, uint64_t *felt);

/* Of the process itself: */
struct process *process_running(void);      /* NULL: the realm's own code */
_Noreturn void process_die(struct process *process);
void process_block(struct process *process, qr_time until);
/* Each call of io.h comes by here, before it has done anything. */
static inline void process_spend(struct process *process, uint64_t ns)
{
    process->spent_ns += ns;
    if (process->calls_left > 0 && --process->calls_left == 0) {
        process->realm->felt[FAULT_crash]++;
        process->realm->felt[FELT_crash_power] += process->takes_power;
        process_die(process);
    }
}
/* Of anybody: it has something to look at. */
void process_poke(struct process *process);
/* True time, with what the running process has spent by now. */
qr_time process_time(const struct process *process);

qr_time host_boottime(const struct host *host, qr_time now);
qr_time host_true_time(const struct host *host, qr_time boottime); /* the first moment of it */
qr_wall host_wall(const struct host *host, qr_time now);
void host_drift(struct host *host, int64_t ppm);
/* The wall clock stands still from now on, and boottime as well or not; or they go on. */
void host_freeze(struct host *host, bool frozen, bool boottime);
void host_jump(struct host *host, qr_time boottime, qr_time wall);

/* --- memory.c ------------------------------------------------------------------------------- */

/* Whose the memory is that is allocated from now on; NULL: the realm's own. Returns whose it was.
 */
struct process *memory_for(struct process *process);
void memory_begin(struct process *process);
size_t memory_release(struct process *process); /* returns how many blocks were left */

/* --- net.c: streams as a kernel has them ---------------------------------------------------- */

struct chunk {
    struct chunk *next;
    qr_time at; /* when it arrives */
    enum { CHUNK_BYTES, CHUNK_END, CHUNK_RESET } kind;
    size_t n, taken;
    uint8_t bytes[];
};

struct chunks {
    struct chunk *first, *last;
    size_t n; /* bytes */
};

struct pipe {
    struct chunks under_way;
    size_t held; /* bytes that the sender's kernel answers for: sent, and not known to be read */
    qr_time last_at;
    bool arriving; /* there is an event for the first chunk, */
    qr_time due;   /* at that moment; others are of before a change */
    bool stuck;    /* the first chunk could not arrive, */
    qr_time stuck_since;
    qr_time unheard_max; /* and for so long the sender bears that; 0: for ever */
    size_t read;     /* bytes of which the sender does not know that they were read */
    bool read_stuck; /* nor can it be told */
};

struct connection {
    struct connection *next, *previous;
    uint32_t refs; /* ends, and events under way */
    struct realm *realm;
    struct host *host[2];
    uint16_t port[2];
    struct io_stream *end[2]; /* NULL: closed, or its process is gone */
    struct pipe pipe[2];      /* [i] from side i to the other */
    uint32_t tries;           /* to connect */
};

#define SEND_BYTES (256u * 1024) /* what kernels keep of a stream in one direction */

struct connection *net_connect(struct io_stream *stream, struct host *from, struct host *to,
                               uint16_t port);
/* Takes what there is room for; returns how much. */
size_t net_send(struct connection *c, int side, const void *p, size_t n);
void net_send_end(struct connection *c, int side);
void net_has_read(struct connection *c, int side, size_t n); /* that side, of the other's */
/* That side is closed: as by close() with or without unread bytes, or by loss of power (silent). */
void net_close(struct connection *c, int side, bool reset, bool silent);
/* `felt` counts what it keeps from getting through; NULL: the link is whole again. */
void net_cut(struct realm *realm, const struct host *from, const struct host *to, uint64_t *felt);
/* From one host to another so many bytes a millisecond, that much further; 0: as usual. */
void net_narrow(struct realm *realm, const struct host *from, const struct host *to,
                uint32_t bytes_per_ms, qr_time further);
void net_mend(struct realm *realm); /* all links */
/* Somewhere between the ends: about one of so many connections of that host. Returns how many. */
uint32_t net_reset(struct realm *realm, const struct host *host, uint32_t of);
void net_look_again(struct realm *realm); /* links or hosts have changed */
void chunks_free(struct chunks *chunks);

/* --- io_stream.c, io_loop.c: what the above tells streams and processes ---------------------- */

void stream_arrives(struct io_stream *stream, struct chunk *chunk);
void stream_connected(struct io_stream *stream, int error);
void stream_has_room(struct io_stream *stream);
/* A connection for the listener at that port; NULL when nobody listens. */
struct io_stream *listener_offer(struct host *host, uint16_t port, struct connection *c);
void io_forget(struct process *process, bool power); /* all of it, when the process is gone */
void files_forget(struct process *process);

#endif
