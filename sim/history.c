#include "sim/seed.h"
int check_history_main(int argc, char **argv)
{
    (void)argc; (void)argv;
    return 1;
}
