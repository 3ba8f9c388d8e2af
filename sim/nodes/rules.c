/* Defaults that change under the clients: the operator orders `local` or `linearizable` for the
 * reads that say nothing. When linearizable is answered OK each such read from then on is one, at
 * every node, whatever that one has heard (decision 051). Errors are believed: nothing was changed.
 * What has no answer may take effect at any time: behind a lost `local` nothing is certain. */
#include "sim/nodes/rules.h"

#define WEAK "local"

enum rule_order rules_ordered(struct run *run, const char *request)
{
    bool judged = strstr(request, "\r\njunk\r\n") == NULL; /* that one is the visitors' */
    if (!judged || strstr(request, "\r\nALTER\r\n") == NULL ||
        strstr(request, "\r\nREAD\r\n") == NULL) {
        return RULE_NONE;
    }
    struct rule *rule = &run->rule[strstr(request, "\r\ndefault\r\n") == NULL];
    bool weak = strstr(request, "\r\n" WEAK "\r\n") != NULL;
    rule->weak_before = rule->weak;
    rule->weak = rule->weak || weak;
    rule->weakened += weak;
    return rule == &run->rule[0] ? (weak ? RULE_ZERO_WEAK : RULE_ZERO_STRONG)
                                 : (weak ? RULE_CREATED_WEAK : RULE_CREATED_STRONG);
}

static struct rule *rule_of(struct run *run, enum rule_order order)
{
    return &run->rule[order >= RULE_CREATED_WEAK];
}

static bool weakens(enum rule_order order)
{
    return order == RULE_ZERO_WEAK || order == RULE_CREATED_WEAK;
}

void rules_answered(struct run *run, enum rule_order order, const struct tree *reply)
{
    struct rule *rule = rule_of(run, order);
    bool refused = tree_type(reply, 0) == '-';
    if (order == RULE_NONE) {
        return;
    }
    if (weakens(order) && refused) {
        rule->weak = rule->weak_before;
    } else if (!weakens(order) && !refused) {
        rule->weak = rule->lost;
        run->strengthened++;
    }
}

void rules_lost(struct run *run, enum rule_order order)
{
    if (weakens(order)) {
        rule_of(run, order)->lost = true;
    }
}

void rules_read(const struct run *run, bool in_keyspace, struct deed *asked)
{
    const struct rule *rule = &run->rule[in_keyspace];
    asked->rule = 1 + in_keyspace;
    asked->weakened = rule->weakened;
    if (rule->weak) {
        (void)snprintf(asked->level, sizeof asked->level, WEAK);
    }
}

void rules_shown(const struct run *run, struct deed *asked)
{
    if (asked->rule > 0 && run->rule[asked->rule - 1].weakened != asked->weakened) {
        (void)snprintf(asked->level, sizeof asked->level, WEAK);
    }
}
