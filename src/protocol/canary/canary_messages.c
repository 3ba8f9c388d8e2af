#include "protocol/canary/canary_messages.h"

#include "protocol/schema_codec.h"
