/* What a request asks of a keyspace with STRATEGY primary beside what that says itself: what is
 * given, by whom that is seen to, and each refusal (cluster/primary_asked.h). Nodes 0 to 2 of zone
 * eu count; the keyspace has three replicas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/primary_asked.h"

#define IN_ZONE 3u
#define WHY_BYTES 320

static struct primary_options own_of(const char *ack, bool async, bool everysec)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    struct primary_options o = primary_options_default();
    assert_true(ack_parse(&o.ack, span_of(ack, strlen(ack)), &text));
    o.fallback_async = async;
    o.sync = everysec ? PRIMARY_EVERYSEC : PRIMARY_ALWAYS;
    return o;
}

static bool asks(struct wants_copies *out, const struct primary_options *own, const char *ack,
                 const char *fallback, char why[WHY_BYTES])
{
    struct text text = text_in(why, WHY_BYTES);
    struct asked_ack asked = { 0 };
    if (ack != NULL) {
        assert_true(ack_parse(&asked.ack, span_of(ack, strlen(ack)), &text));
        asked.given |= ASKED_ACK;
    }
    if (fallback != NULL) {
        asked.given |= ASKED_FALLBACK;
        asked.fallback_async = strcmp(fallback, "async") == 0;
    }
    const char *zone = ack != NULL ? asked.ack.zone : own->ack.zone;
    uint16_t in_zone = strcmp(zone, "eu") == 0 ? IN_ZONE : 0;
    return primary_asked(out, &asked, own, 3, in_zone, &text);
}

static void gives(const struct primary_options *own, const char *ack, const char *fallback,
                  uint8_t count, enum ack_stage stage, uint16_t among)
{
    char why[WHY_BYTES];
    struct wants_copies out;
    assert_true(asks(&out, own, ack, fallback, why));
    assert_string_equal(why, "");
    assert_int_equal(out.count, count);
    assert_int_equal(out.stage, stage);
    assert_int_equal(out.among, among);
}

static void refuses(const struct primary_options *own, const char *ack, const char *fallback,
                    const char *expected)
{
    char why[WHY_BYTES];
    struct wants_copies out;
    assert_false(asks(&out, own, ack, fallback, why));
    assert_string_equal(why, expected);
    assert_int_equal(out.count, 0);
}

/* Q1: also of what the keyspace gives by itself the primary is told, since it may be altered. */
static void test_what_waits_for_others_gives_more_and_less_U3(void **state)
{
    (void)state;
    struct primary_options any = own_of("ANY 1", false, false);
    gives(&any, "ANY 1", NULL, 2, ACK_DURABLE, 0);
    gives(&any, "ANY 2", NULL, 3, ACK_DURABLE, 0);
    gives(&any, "ALL", "fail", WANTS_ALL_COPIES, ACK_DURABLE, 0);
    gives(&any, "ANY 2 ON received", NULL, 3, ACK_RECEIVED, 0);
    gives(&any, "ANY 1 OF eu", NULL, 2, ACK_DURABLE, IN_ZONE);
    gives(&any, "ALL OF eu", NULL, WANTS_ALL_COPIES, ACK_DURABLE, IN_ZONE);
    gives(&any, "LOCAL", NULL, 1, ACK_DURABLE, 0);
    gives(&any, "LOCAL ON received", NULL, 0, ACK_DURABLE, 0); /* whatever it is altered to */
    struct primary_options all = own_of("ALL OF eu ON received", false, false);
    gives(&all, "ANY 1", NULL, 2, ACK_DURABLE, 0);
    gives(&all, NULL, "fail", 0, ACK_DURABLE, 0);
}

/* Q2 */
static void test_what_waits_for_nobody_gives_no_copies(void **state)
{
    (void)state;
    struct primary_options local = own_of("LOCAL", false, false);
    gives(&local, "LOCAL", NULL, 1, ACK_DURABLE, 0);
    refuses(&local, "ANY 1", NULL,
            "has ACK LOCAL: any of its nodes may be made primary, so more copies promise nothing; "
            "not given is ACK ANY 1 ON durable");
    refuses(&local, "ALL ON received", NULL,
            "has ACK LOCAL: any of its nodes may be made primary, so more copies promise nothing; "
            "not given is ACK ALL ON received");
}

/* Q3 */
static void test_of_what_nobody_tells_nothing_is_given_U6(void **state)
{
    (void)state;
    struct primary_options any = own_of("ANY 1", false, false);
    struct primary_options applied = own_of("ANY 1 ON applied", false, false);
    struct primary_options every_one = own_of("ALL ON applied", false, false);
    struct primary_options second = own_of("ANY 1 ON received", false, true);
    struct primary_options alone = own_of("LOCAL ON received", false, true);
    static const char unheard[] =
        "hears of others what they have executed for its own ACK alone, not for ACK ";
    char expected[WHY_BYTES];
    (void)snprintf(expected, sizeof expected, "%sANY 1 ON applied", unheard);
    refuses(&any, "ANY 1 ON applied", NULL, expected);
    gives(&applied, "ANY 1 ON applied", NULL, 2, ACK_APPLIED, 0);
    gives(&every_one, "ANY 2 ON applied", NULL, 3, ACK_APPLIED, 0);
    gives(&applied, "ANY 2", NULL, 3, ACK_DURABLE, 0);
    (void)snprintf(expected, sizeof expected, "%sANY 2 ON applied", unheard);
    refuses(&applied, "ANY 2 ON applied", NULL, expected);
    refuses(&applied, "LOCAL ON applied", NULL,
            "cannot give what contradicts itself: ACK LOCAL ON applied");
    gives(&second, "ANY 2 ON received", NULL, 3, ACK_RECEIVED, 0);
    static const char unknown[] =
        "has APPENDFSYNC everysec and does not know who has synced: not given is ACK ";
    (void)snprintf(expected, sizeof expected, "%sANY 1 ON durable", unknown);
    refuses(&second, "ANY 1", NULL, expected);
    (void)snprintf(expected, sizeof expected, "%sLOCAL ON durable", unknown);
    refuses(&alone, "LOCAL", NULL, expected);
    gives(&alone, "LOCAL ON received", NULL, 0, ACK_DURABLE, 0);
}

static void test_what_there_cannot_be_is_refused(void **state)
{
    (void)state;
    struct primary_options any = own_of("ANY 1", false, false);
    refuses(&any, "ANY 3", NULL, "has not so many replicas: ACK ANY 3 ON durable");
    refuses(&any, "ANY 255", NULL, "has not so many replicas: ACK ANY 255 ON durable");
    refuses(&any, "ANY 1 OF mars", NULL,
            "has not so many nodes in that zone: ACK ANY 1 OF mars ON durable");
    refuses(&any, "ALL OF mars", NULL,
            "has not so many nodes in that zone: ACK ALL OF mars ON durable");
    refuses(&any, "LOCAL OF eu", NULL,
            "waits for no other node, in no zone, with ACK LOCAL OF eu ON durable");
    refuses(&any, "MAJORITY", NULL, "gives ACK LOCAL, ANY k and ALL, not ACK MAJORITY ON durable");
    refuses(&any, "w=2", NULL, "gives ACK LOCAL, ANY k and ALL, not ACK w=2 ON durable");
}

/* Q2, Q4: who says ACK is not answered with less because its keyspace may be. */
static void test_a_fallback_is_ones_own(void **state)
{
    (void)state;
    struct primary_options any = own_of("ANY 1 ON durable", true, false);
    struct primary_options fail = own_of("ANY 1", false, false);
    gives(&any, "ANY 1", NULL, 2, ACK_DURABLE, 0);
    gives(&any, NULL, "fail", 2, ACK_DURABLE, 0);
    gives(&any, NULL, "async", 0, ACK_DURABLE, 0);
    gives(&any, "ANY 1", "async", 0, ACK_DURABLE, 0);
    gives(&any, "ANY 1 ON received", "async", 0, ACK_DURABLE, 0);
    gives(&any, "LOCAL", "async", 0, ACK_DURABLE, 0);
    refuses(&any, "ANY 2", "async",
            "falls back from its own ACK alone, not from ACK ANY 2 ON durable");
    refuses(&any, "ANY 1 OF eu", "async",
            "falls back from its own ACK alone, not from ACK ANY 1 OF eu ON durable");
    refuses(&fail, NULL, "async",
            "never acknowledges less than was asked for: FALLBACK fail is given, not async");
    refuses(&fail, "ANY 1", "async",
            "never acknowledges less than was asked for: FALLBACK fail is given, not async");
    struct primary_options zone = own_of("ANY 1 OF eu", true, false);
    gives(&zone, NULL, "fail", 2, ACK_DURABLE, IN_ZONE);
    gives(&zone, "ANY 1 OF eu", "async", 0, ACK_DURABLE, 0);
    struct primary_options received = own_of("ANY 1 ON received", true, true);
    gives(&received, NULL, "fail", 2, ACK_RECEIVED, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_for_others_gives_more_and_less_U3),
        cmocka_unit_test(test_what_waits_for_nobody_gives_no_copies),
        cmocka_unit_test(test_of_what_nobody_tells_nothing_is_given_U6),
        cmocka_unit_test(test_what_there_cannot_be_is_refused),
        cmocka_unit_test(test_a_fallback_is_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
