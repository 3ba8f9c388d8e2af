/* What a token says of a group, for the tests of tokens and of what is made into them. cmocka.h
 * stands in front of this. */
#ifndef TESTS_CLUSTER_TOLD_H
#define TESTS_CLUSTER_TOLD_H

#include "cluster/token.h"

static inline qr_slot slot_of(const struct token *token, uint32_t group)
{
    qr_slot slot;
    assert_true(token_find(token, group, &slot));
    return slot;
}

static inline bool is_told(const struct token *token, uint32_t group)
{
    qr_slot slot;
    return token_find(token, group, &slot);
}

#endif
