/* INFO's section of the failure detector: what it is, and how good it has been for each other node
 * (cluster/suspicions.h). */
#include "node/info_internal.h"

#define HOUR (3600.0 * QR_SECOND)

typedef unsigned long long ull;

static const char *state_name(enum suspicion_state state)
{
    static const char *const names[] = {
        [SUSPICION_UNKNOWN] = "unknown",
        [SUSPICION_TRUSTED] = "trusted",
        [SUSPICION_SILENT] = "silent",
        [SUSPICION_CLOSED] = "closed",
    };
    return names[state];
}

static double average_ms(qr_time all, uint64_t count)
{
    return count == 0 ? 0 : (double)all / (double)count / (double)QR_MILLISECOND;
}

static double per_hour(const struct suspicion_figures *f)
{
    double lived = (double)(f->trusted + f->mistaken);
    return lived <= 0 ? 0 : (double)f->mistakes * HOUR / lived;
}

static void node_line(const struct node *node, node_index i, qr_time now, struct reply *out)
{
    const struct contact *c = &node->contact;
    struct suspicion_figures f = suspicions_figures(&c->suspicions, i, now);
    info_line(out,
              "detector%u:id=%u,state=%s,timeout_ms=%lld,silent=%llu,closed=%llu,mistakes=%llu,"
              "mistakes_per_hour=%.3f,mistake_ms=%.1f,mistake_max_ms=%.1f,failures=%llu,"
              "missed=%llu,unproven=%llu,detection_ms=%.1f,detection_max_ms=%.1f,"
              "completeness=%.4f,accuracy=%.6f",
              (unsigned)i, (unsigned)node->known[i].id, state_name(c->suspicions.of[i].state),
              (long long)(detector_timeout(&c->beats.detector, i) / QR_MILLISECOND), (ull)f.silent,
              (ull)f.closed, (ull)f.mistakes, per_hour(&f), average_ms(f.mistaken, f.mistakes),
              average_ms(f.mistaken_max, 1), (ull)f.failures, (ull)f.missed, (ull)f.unproven,
              average_ms(f.detection, f.failures), average_ms(f.detection_max, 1),
              suspicion_completeness(&f) / 1e6, suspicion_accuracy(&f) / 1e6);
}

void info_detector(struct node *node, struct reply *out)
{
    static const char *const kinds[] = {
        [DETECTOR_HEARTBEAT] = "heartbeat", [DETECTOR_PING] = "ping", [DETECTOR_PHI] = "phi"
    };
    const struct detector_options *o = &node->contact.beats.detector.options;
    info_line(out, "failure_detector:%s", kinds[o->kind]);
    info_line(out, "failure_detector_timeout_ms:%lld", (long long)(o->silence / QR_MILLISECOND));
    info_line(out, "failure_detector_phi:%u", o->kind == DETECTOR_PHI ? o->phi : 0);
    qr_time now = io_now(node->io);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (i != identity_me(&node->identity) && node->known[i].id != 0) {
            node_line(node, (node_index)i, now, out);
        }
    }
}
