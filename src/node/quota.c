#include "node/quota.h"

#include "node/stream.h"

bool quota_refuses(const struct partition *partition, const struct command_spec *spec, size_t bytes)
{
    (void)partition, (void)spec, (void)bytes;
    return false;
}

void quota_refuse(struct pending *p)
{
    reply_error(stream_reply(p), "QUOTA the keyspace has used its quota, the command was not "
                                 "applied");
    stream_answered(p, STATUS_OK);
}
