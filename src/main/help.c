/* The texts of --help. */
#include "main/main.h"

#include "base/types.h"
#include "bench/options.h"

#include <stdio.h>
#include <string.h>

struct help {
    const char *subcommand;
    const char *text;
};

static const char overview[] =
    "quorate " QUORATE_VERSION ": a replicated key-value database that speaks Redis's protocol\n"
    "\n"
    "  quorate up --nodes 3           start a cluster on this machine\n"
    "  quorate server [CONFIG]        run one node\n"
    "  quorate status [--watch]       nodes, leaders, keyspaces, partitions, alarms on one screen\n"
    "  quorate admin ACTION           keyspaces, members, rebalancing, upgrades, alarms\n"
    "  quorate bench                  measure a server, or what a fault costs\n"
    "  quorate sim                    run protocols in a simulated, faulty world\n"
    "  quorate check-history FILE     check a recorded history of operations\n"
    "  quorate help SUBCOMMAND        more about one of them\n"
    "  quorate --version\n";

static const struct help helps[] = {
    { "server",
      "quorate server [CONFIG|-] [--name value]...\n"
      "\n"
      "Runs one node until SIGTERM, SIGINT or SHUTDOWN. CONFIG is a file of lines 'name value', "
      "in\n"
      "the syntax of redis.conf; '-' reads it from standard input. Options override the file and\n"
      "have the same names. The file has to be given first. CONFIG GET * shows all settings;\n"
      "these make or find a node:\n"
      "\n"
      "  --bootstrap       make the data directory; without it an empty one is refused\n"
      "  --join H:P...     make it as a node that a cluster, asked at these ports, takes in\n"
      "  --observer        with --join: as one that never votes\n"
      "  --dir PATH        the data directory\n"
      "  --port PORT       where clients connect (6379)\n"
      "  --bind ADDRESS... where it listens (127.0.0.1); numeric\n"
      "  --requirepass P   the password; without one only clients of this machine are served\n"
      "  --node-id N       which member of the cluster this node is (1)\n"
      "  --member N A P    member N has address A and client port P; once for every member\n"
      "  --cluster-id ID, --cluster-secret S\n"
      "                    the same for every member\n"
      "  --cluster-port P  where clients that know Redis Cluster connect; none unless set\n"
      "  --cluster-keyspace K\n"
      "                    the keyspace, by name or id, that they find there (0)\n"
      "  --sentinel-port P where clients that ask sentinels connect; none unless set\n"
      "\n"
      "Exit code: 0 after an orderly stop, 1 when the node could not start or had to stop.\n" },
    { "up",
      "quorate up [--nodes N] [--data DIR] [--base-port PORT] [--no-restart] [-- OPTION...]\n"
      "\n"
      "Runs a cluster on this machine, one process per node, on 127.0.0.1. A node that dies is\n"
      "restarted at once. Ctrl-C stops all of them; their data stays for the next time.\n"
      "\n"
      "  --nodes N         how many nodes, 1 to 15 (3)\n"
      "  --data DIR        where their data directories are (./quorate-data)\n"
      "  --base-port PORT  clients connect to PORT, PORT + 1 ... (7001); between themselves the\n"
      "                    nodes use these + 10000; cluster-aware clients use these + 100,\n"
      "                    those that ask sentinels to these + 200 (for mymaster), and the "
      "figures\n"
      "                    are on these + 300\n"
      "  --no-restart      leave a dead node dead\n"
      "  -- OPTION...      the rest is passed to every quorate server, such as\n"
      "                    -- --cluster-keyspace users\n"
      "\n"
      "Exit code: 0 after Ctrl-C or SIGTERM, 1 when a node could not be started.\n" },
    { "status",
      "quorate status [-h HOST] [-p PORT] [--watch] [--json] [OPTION...]\n"
      "\n"
      "Shows the cluster as one of its nodes sees it, also when that node has no quorum. The "
      "other\n"
      "nodes are asked for nothing but their own load and space.\n"
      "\n"
      "  -h, --host HOST    any node (127.0.0.1)\n"
      "  -p, --port PORT    its client port (6379); quorate up has 7001\n"
      "  -a, --password P   or the environment's REDISCLI_AUTH\n"
      "      --user U\n"
      "      --timeout S    seconds to wait for an answer (2)\n"
      "      --watch        draws it anew each second, until Ctrl-C\n"
      "      --json         one document; with --watch one each second, a line each\n"
      "\n"
      "A '*' marks the node that leads group 0, where the members and the keyspaces are kept.\n"
      "Empty fields are not known. In brackets at the end: what the node refused to say, and why.\n"
      "\n"
      "Exit code: 0, 2 for bad options, 3 when the node does not answer, 4 when standard output "
      "cannot\n"
      "be written.\n" },
    { "admin",
      "quorate admin [-h HOST] [-p PORT] [OPTION...] ACTION [WORD...]\n"
      "\n"
      "  keyspace list                       the keyspaces\n"
      "  keyspace create NAME [OPTION...]    REPLICAS n, PARTITIONS n, PREFIX p:, LEASE yes|no,\n"
      "                                      MAXMEMORY bytes, MAXOPS n, ID n, HISTORY time,\n"
      "                                      HISTORY-BYTES bytes, STRATEGY raft|primary,\n"
      "                                      ACK spec, FALLBACK fail|async\n"
      "  keyspace alter NAME OPTION...       REPLICAS, PREFIX, LEASE, MAXMEMORY, MAXOPS,\n"
      "                                      HISTORY, HISTORY-BYTES, ACK, FALLBACK\n"
      "  keyspace drop NAME [FORCE]          with FORCE also one that holds keys\n"
      "  keyspace info|stats|lag NAME        where its partitions are; how full; how far behind\n"
      "  keyspace explain NAME               what it guarantees, and at what price\n"
      "  member list                         the nodes\n"
      "  member add ID HOST:PORT             makes room for a node that joins\n"
      "  member drain ID [CANCEL]            moves everything off a node\n"
      "  member remove ID [FORCE]            takes it out of the cluster\n"
      "  member promote|demote|set ...       see docs/membership.md\n"
      "  rebalance [DRYRUN|STATUS|CANCEL] [RATE n]\n"
      "                                      spreads replicas and leaders evenly\n"
      "  failover [TO ID | TO HOST PORT]     another node is to lead group 0\n"
      "  upgrade status|finalize             the level of the cluster (docs/upgrade.md)\n"
      "  alarm list                          what needs a look\n"
      "  alarm ack ID|ALL                    it has had one\n"
      "\n"
      "Any node takes all of these. Options stand in front: -h, -p, -a, --user as for quorate "
      "status,\n"
      "--timeout S (30), --json. What the server refuses it says itself, on standard error.\n"
      "\n"
      "Exit code: 0 when it was done, 1 when the server refused, 2 for bad usage, 3 when it does "
      "not\n"
      "answer: then it may or may not have been done; 4 when it was done and standard output "
      "cannot be\n"
      "written.\n" },
    { "bench", bench_help },
    { "sim",
      "quorate sim --strategy NAME [--seed N] [--count N]\n"
      "\n"
      "Runs a replication protocol in a simulated world with faults, and checks what it promises.\n"
      "One seed is one history, on every machine.\n"
      "\n"
      "  --strategy NAME    raft: one group (unless said); cluster: nodes, keyspaces, moves;\n"
      "                     canary: a protocol with bugs, to see that they are found\n"
      "  --seed N           where to begin (1)\n"
      "  --count N          how many seeds (100)\n"
      "  --twice            each of them twice: it has to be the same history\n"
      "  --verbose          tells what happens\n"
      "\n"
      "Exit code: 0, 1 when a seed breaks a promise: how to repeat it is said.\n" },
    { "check-history",
      "quorate check-history FILE\n"
      "\n"
      "Reads a recorded history of client operations and checks it for linearizability.\n" },
};

void help_print(const char *subcommand)
{
    if (subcommand == NULL) {
        fputs(overview, stdout);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(helps); i++) {
        if (strcmp(helps[i].subcommand, subcommand) == 0) {
            fputs(helps[i].text, stdout);
        }
    }
}
