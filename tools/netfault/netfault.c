/* A network with faults between network namespaces: the relay behind tests/chaos.
 *
 *     netfault --seed N [--mtu N] NAMESPACE=ADDRESS...
 *
 * NAMESPACE is a file that stands for a network namespace (/proc/PID/ns/net), ADDRESS is what the
 * node in it shall have, one of a /24 for all. In each a TUN device "relay" is made, and whatever
 * is sent to the address of another node comes out here, to be lost, delayed, duplicated, reordered
 * or passed on (schedule.h). Orders come on standard input, a line each (command.h); their answers
 * go to standard output, and the first line there, `ready`, says that the devices are up. When its
 * input ends so does the relay, and with it its devices.
 *
 * Exit code: 0 at the end of the input, 1 when the network cannot be made, which it explains. */
#include "base/alloc.h"
#include "tools/netfault/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MTU_DEFAULT 1500
#define PACKET_BYTES 65536u
#define BURST 64       /* packets of a device before the others have their turn */
#define ADDRESS_AT 16u /* of the destination in a packet of IPv4 */
#define HEAD_BYTES 20u

struct relay {
    struct schedule *schedule;
    uint32_t nodes;
    int fd[NETFAULT_NODES];           /* their devices */
    uint32_t address[NETFAULT_NODES]; /* as it stands in packets */
    int mtu;
    int epoll;
    size_t line_n;
    char line[COMMAND_BYTES];
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * MILLION + (uint64_t)t.tv_nsec / 1000;
}

static bool fails(const char *what, const char *which)
{
    fprintf(stderr, "netfault: %s %s: %s\n", what, which, strerror(errno));
    return false;
}

/* --- Devices ---------------------------------------------------------------------------------- */

static bool configure(const char *device, const char *address, int mtu)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    bool ok = s >= 0;
    if (address != NULL) {
        in->sin_family = AF_INET;
        ok = ok && inet_pton(AF_INET, address, &in->sin_addr) == 1 &&
             ioctl(s, SIOCSIFADDR, &request) == 0;
        in->sin_addr.s_addr = htonl(0xffffff00);
        ok = ok && ioctl(s, SIOCSIFNETMASK, &request) == 0;
        request.ifr_mtu = mtu;
        ok = ok && ioctl(s, SIOCSIFMTU, &request) == 0;
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ok = ok && ioctl(s, SIOCSIFFLAGS, &request) == 0;
    close(s);
    return ok || fails("cannot set up", device);
}

/* In the namespace of this process by now. */
static bool make_device(struct relay *r, const char *address)
{
    struct ifreq request = { .ifr_name = "relay", .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return fails("cannot open", "/dev/net/tun");
    }
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = r->nodes };
    if (ioctl(fd, TUNSETIFF, &request) < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        return fails("cannot make the device for", address);
    }
    if (inet_pton(AF_INET, address, &r->address[r->nodes]) != 1) {
        errno = EINVAL;
        return fails("not an address:", address);
    }
    r->fd[r->nodes++] = fd;
    return configure("relay", address, r->mtu) && configure("lo", NULL, 0);
}

static bool join(struct relay *r, char *argument)
{
    char *address = strchr(argument, '=');
    if (address == NULL || r->nodes == NETFAULT_NODES) {
        errno = EINVAL;
        return fails("not NAMESPACE=ADDRESS, or one too many:", argument);
    }
    *address++ = 0;
    int there = open(argument, O_RDONLY | O_CLOEXEC);
    if (there < 0 || setns(there, CLONE_NEWNET) < 0) {
        return fails("cannot enter the network namespace", argument);
    }
    close(there);
    return make_device(r, address);
}

/* --- Packets ---------------------------------------------------------------------------------- */

static void deliver(struct relay *r)
{
    struct packet *p;
    while ((p = schedule_take(r->schedule, now_us())) != NULL) {
        /* A device that takes no more loses it, as a network card does. */
        if (write(r->fd[p->to], p->bytes, p->n) < 0 && errno != EAGAIN && errno != ENOBUFS) {
            fails("cannot write to", "a device");
        }
        free(p);
    }
}

static void take_in(struct relay *r, uint32_t from)
{
    uint8_t bytes[PACKET_BYTES];
    for (int i = 0; i < BURST; i++) {
        ssize_t n = read(r->fd[from], bytes, sizeof bytes);
        if (n <= 0) {
            return;
        }
        if (n < (ssize_t)HEAD_BYTES || bytes[0] >> 4 != 4) {
            continue; /* the kernel's own talk of IPv6 */
        }
        uint32_t address;
        memcpy(&address, bytes + ADDRESS_AT, sizeof address);
        for (uint32_t to = 0; to < r->nodes; to++) {
            if (r->address[to] == address && to != from) {
                schedule_offer(r->schedule, now_us(), from, to, bytes, (uint32_t)n);
            }
        }
    }
}

/* False at the end of the input. */
static bool take_orders(struct relay *r)
{
    ssize_t n = read(STDIN_FILENO, r->line + r->line_n, sizeof r->line - 1 - r->line_n);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    r->line_n += (size_t)n;
    r->line[r->line_n] = 0;
    char *end;
    while ((end = strchr(r->line, '\n')) != NULL) {
        *end++ = 0;
        netfault_command(r->schedule, now_us(), r->line, stdout);
        r->line_n -= (size_t)(end - r->line);
        memmove(r->line, end, r->line_n + 1);
    }
    fflush(stdout);
    if (r->line_n == sizeof r->line - 1) {
        fprintf(stderr, "netfault: a line is longer than %u bytes\n", COMMAND_BYTES);
        return false;
    }
    return true;
}

static void run(struct relay *r)
{
    struct epoll_event events[NETFAULT_NODES + 1];
    for (;;) {
        uint64_t next = schedule_next_us(r->schedule), now = now_us();
        uint64_t wait = next > now ? next - now : 0;
        struct timespec t = { .tv_sec = (time_t)(wait / MILLION),
                              .tv_nsec = (long)(wait % MILLION) * 1000 };
        int n = epoll_pwait2(r->epoll, events, NETFAULT_NODES + 1, next == UINT64_MAX ? NULL : &t,
                             NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 < r->nodes) {
                take_in(r, events[i].data.u32);
            } else if (!take_orders(r)) {
                return;
            }
        }
        deliver(r);
    }
}

static bool parse_option(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 0);
    return *text != 0 && *end == 0;
}

int main(int argc, char **argv)
{
    struct relay r = { .mtu = MTU_DEFAULT, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    uint64_t seed = 0, mtu = MTU_DEFAULT;
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        uint64_t *to = strcmp(argv[at], "--seed") == 0 ? &seed : &mtu;
        if ((to == &mtu && strcmp(argv[at], "--mtu") != 0) || !parse_option(argv[at + 1], to)) {
            break;
        }
    }
    if (at >= argc || argv[at][0] == '-' || mtu < 576 || mtu >= PACKET_BYTES) {
        fprintf(stderr, "netfault --seed N [--mtu N] NAMESPACE=ADDRESS...\n");
        return 1;
    }
    r.mtu = (int)mtu;
    for (; at < argc; at++) {
        if (!join(&r, argv[at])) {
            return 1;
        }
    }
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = NETFAULT_NODES };
    if (epoll_ctl(r.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) {
        fails("cannot wait for", "standard input");
        return 1;
    }
    r.schedule = schedule_new(seed, r.nodes);
    printf("ready\n");
    fflush(stdout);
    run(&r);
    schedule_free(r.schedule);
    return 0;
}
