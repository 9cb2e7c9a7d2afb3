/* SPDX-License-Identifier: Apache-2.0 */
/* One operation after the other, each begun once. */
#include <criterion/criterion.h>

#include "src/loop.h"
#include "src/supervisor_internal.h"

static struct supervisor s;
static struct operation operations[3];
static unsigned begun[3];

static void set_up(void)
{
    s.loop = loop_new();
    cr_assert_not_null(s.loop);
}

static void tear_down(void)
{
    loop_free(s.loop);
}

TestSuite(operation, .init = set_up, .fini = tear_down, .timeout = 20);

static void begin(struct operation *operation)
{
    begun[operation - operations]++;
}

static void add(unsigned i)
{
    operations[i].begin = begin;
    operation_add(&s, &operations[i]);
}

static void leave(void *data)
{
    loop_quit(data, 0);
}

/* Runs what is due, and then returns. */
static void turn(void)
{
    cr_assert_not_null(loop_timer(s.loop, 20, leave, s.loop));
    cr_assert_eq(loop_run(s.loop), 0);
}

Test(operation, the_second_waits_for_the_first)
{
    add(0);
    add(1);
    cr_expect(begun[0] == 1 && begun[1] == 0);
    operation_done(&s, &operations[0]);
    cr_expect_eq(begun[1], 0, "whoever ends one is in the middle of something");
    turn();
    cr_expect(begun[0] == 1 && begun[1] == 1);
}

Test(operation, one_that_comes_when_the_last_has_just_ended_is_begun_once)
{
    add(0);
    operation_done(&s, &operations[0]);
    add(1);
    add(2);
    cr_expect_eq(begun[1], 1);
    turn();
    cr_expect(begun[1] == 1 && begun[2] == 0, "begun %u and %u times", begun[1], begun[2]);
    operation_done(&s, &operations[1]);
    turn();
    cr_expect_eq(begun[2], 1);
}
