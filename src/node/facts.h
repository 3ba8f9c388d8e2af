/* What INFO and /metrics work out when they are asked, rather than what is counted all the time. */
#ifndef NODE_FACTS_H
#define NODE_FACTS_H

#include "node/node.h"

struct memory_facts {
    uint64_t clients, data, log_cache;
    uint64_t used, overhead, resident, system;
};
void facts_memory(const struct node *node, struct memory_facts *out);

struct cpu_facts {
    double system_s, user_s, children_system_s, children_user_s;
};
void facts_cpu(struct cpu_facts *out);

/* The system that this runs on: "Linux 6.1 x86_64". */
void facts_os(char *p, size_t cap);

/* The path of the program. */
void facts_executable(char *p, size_t cap);

/* The cluster's history as Redis shows one: 40 hex digits. */
void facts_history(const struct node *node, char p[41]);

#endif
