/* What the servers, this program and the whole machine use, from /proc. A server whose process is
 * gone ends the measurement: its time would be missing from the sum. */
#include "lbench.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The first line of /proc/PID/NAME. */
static void read_line(int pid, const char *name, char *line, int n)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, n, file) == NULL) {
        die("a server's process is gone");
    }
    fclose(file);
}

static double server_cpu(const struct bench *b)
{
    double ticks = 0;
    for (uint32_t i = 0; i < b->pid_count; i++) {
        char line[1024];
        unsigned long user = 0;
        unsigned long system = 0;
        read_line(b->pids[i], "stat", line, sizeof line);
        const char *rest = strrchr(line, ')'); /* the name before it may hold anything */
        if (rest == NULL || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                   &user, &system) != 2) {
            die("/proc/PID/stat does not look as expected");
        }
        ticks += (double)(user + system);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

double server_rss_mb(const struct bench *b)
{
    double pages = 0;
    for (uint32_t i = 0; i < b->pid_count; i++) {
        char line[256];
        long resident = 0;
        read_line(b->pids[i], "statm", line, sizeof line);
        if (sscanf(line, "%*d %ld", &resident) == 1) {
            pages += (double)resident;
        }
    }
    return pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

/* All that ran on any core, also what the hypervisor took away. */
static double machine_busy(void)
{
    unsigned long user, nice, system, idle, wait, irq, soft, stolen;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL || fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system,
                               &idle, &wait, &irq, &soft, &stolen) != 8) {
        die("/proc/stat");
    }
    fclose(file);
    return (double)(user + nice + system + irq + soft + stolen) / (double)sysconf(_SC_CLK_TCK);
}

static double own_cpu(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

struct usage usage_now(const struct bench *b)
{
    return (struct usage){ server_cpu(b), own_cpu(), machine_busy(), now_ns() };
}
