#include "node/facts.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Resident bytes, from the second number of statm. */
static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total = 0, resident = 0;
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &total, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Counted by the queues, since a walk over ten thousand clients is most of a millisecond. */
static uint64_t client_bytes(const struct node *node)
{
    return node->queues[QUEUE_clients_bytes].now +
           (uint64_t)node->client_count * sizeof(struct client);
}

void facts_memory(const struct node *node, struct memory_facts *out)
{
    struct log_stats log = { 0 };
    if (node->log != NULL) {
        log_stats(node->log, &log);
    }
    out->clients = client_bytes(node);
    out->data = node->totals.memory;
    out->log_cache = log.cache_bytes;
    out->overhead = out->clients + out->log_cache + node->pending_bytes;
    out->used = out->data + out->overhead;
    out->resident = resident_bytes();
    out->system = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void facts_cpu(struct cpu_facts *out)
{
    struct rusage self, children;
    (void)getrusage(RUSAGE_SELF, &self);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    out->system_s = seconds(self.ru_stime);
    out->user_s = seconds(self.ru_utime);
    out->children_system_s = seconds(children.ru_stime);
    out->children_user_s = seconds(children.ru_utime);
}

void facts_os(char *p, size_t cap)
{
    struct utsname os;
    (void)uname(&os);
    (void)snprintf(p, cap, "%s %s %s", os.sysname, os.release, os.machine);
}

void facts_executable(char *p, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", p, cap - 1);
    p[n > 0 ? n : 0] = 0;
}

void facts_history(const struct node *node, char p[41])
{
    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(p + 2 * i, 3, "%02x", node->identity.cluster[i]);
    }
    (void)snprintf(p + 32, 9, "00000000");
}
