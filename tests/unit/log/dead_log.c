/* A log whose process is dead: see disk.h. It has nothing on the disk to end any more. */
#include "disk.h"

#include "log/log_internal.h"

#include <stdlib.h>

void disk_kill_log(struct io *disk, struct log *log)
{
    disk_kill(disk); /* the files are closed with it */
    for (uint32_t i = 0; i < log->segment_count; i++) {
        log->segments[i].file = NULL;
    }
    log->ready = log->lock = NULL;
    free(log->job);
    log->job = NULL;
    log->flight_batches = 0;
    log->syncing = false;
    log_close(log);
}
