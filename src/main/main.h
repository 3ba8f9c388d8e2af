/* The subcommands of the binary. Each gets its own name as argv[0] and the arguments behind it, and
 * returns the exit code of the process. */
#ifndef MAIN_MAIN_H
#define MAIN_MAIN_H

int server_main(int argc, char **argv);
int up_main(int argc, char **argv);
int status_main(int argc, char **argv);
int admin_main(int argc, char **argv);
int sim_main(int argc, char **argv);           /* sim/ */
int check_history_main(int argc, char **argv); /* sim/ */

/* Prints the help of a subcommand to standard output. */
void help_print(const char *subcommand);

#endif
