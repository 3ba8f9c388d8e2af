/* `quorate bench`: a client that measures, for anything that speaks Redis's protocol.
 *
 *   options.c       what was asked for
 *   pick.c          which key next
 *   value.c         what is written, and what of it is found again
 *   ledger.c        what a read must not find any more
 *   source.c        the operations, one after the other
 *   endpoint.c      a server's address
 *   routes.c        --cluster: which server has which slot
 *   session.c       --cluster: whose operations go over which connection
 *   client.c        a connection: dials, greets, is lost
 *   client_send.c   ... its requests
 *   client_take.c   ... its replies
 *   run.c           the phases and the loop
 *   report.c, distribution.c, json.c    the figures
 *
 * One thread and one epoll. Memory is taken before the run begins, and when a connection is dialed
 * for the first time; none of it grows but for CLUSTER SLOTS. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/* The subcommand; returns the exit code of the process. */
int bench_main(int argc, char **argv);

#endif
