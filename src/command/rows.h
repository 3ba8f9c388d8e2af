/* The rows of commands.def by name, in the order of the table; for src/command alone. */
#ifndef COMMAND_ROWS_H
#define COMMAND_ROWS_H

enum row {
#define READ(t, id, ...) ROW_##id,
#define WRITE READ
#define LOCAL READ
#define WAITING READ
#define ORDER READ
#define PARENT READ
#include "command/commands.def"
    ROW_COUNT
};

#endif
