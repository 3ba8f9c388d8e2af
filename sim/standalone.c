/* The simulator as a program of its own, for builds without the node. */
#include "sim/seed.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check-history") == 0) {
        return check_history_main(argc - 1, argv + 1);
    }
    return sim_main(argc, argv);
}
