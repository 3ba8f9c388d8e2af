/* Acknowledgements in words: refused in words, or written and read again the same. */
#include "fuzz.h"

#include "base/alloc.h"
#include "cluster/ack.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char why[320], back[ACK_TEXT_BYTES];
    struct text text = text_in(why, sizeof why), out = text_in(back, sizeof back);
    struct ack ack, again;
    memset(&ack, 0xa5, sizeof ack);
    memset(&again, 0xa5, sizeof again);
    uint8_t *copy = qr_alloc(n); /* overruns are seen */
    memcpy(copy, data, n);
    bool good = ack_parse(&ack, span_of(copy, n), &text);
    qr_assert(!text.cut && good == (why[0] == 0));
    if (good) {
        ack_put(&out, &ack);
        qr_assert(!out.cut && ack_parse(&again, span_of(back, out.n), &text));
        qr_assert(ack.kind == again.kind && ack.stage == again.stage && ack.n == again.n &&
                  strcmp(ack.zone, again.zone) == 0);
    } else {
        for (const char *c = why; *c != 0; c++) {
            qr_assert(*c >= ' ' && *c < 127);
        }
    }
    free(copy);
    return 0;
}
