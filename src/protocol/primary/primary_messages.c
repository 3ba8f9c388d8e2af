#include "protocol/primary/primary_messages.h"

#include "protocol/schema_codec.h"
