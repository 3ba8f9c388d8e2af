#include "base/status.h"

#include "base/panic.h"

const char *status_text(enum qr_status status)
{
    switch (status) {
#define STATUS(tag, name, retryable, surely_not_applied, text)                                     \
    case STATUS_##name:                                                                            \
        return text;
#include "base/status.def"
#undef STATUS
    }
    qr_unreachable();
}

bool status_surely_not_applied(enum qr_status status)
{
    switch (status) {
#define STATUS(tag, name, retryable, surely_not_applied, text)                                     \
    case STATUS_##name:                                                                            \
        return surely_not_applied;
#include "base/status.def"
#undef STATUS
    }
    qr_unreachable();
}
