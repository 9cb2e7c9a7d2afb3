/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "vmm/tail.h"

static void add(struct tail *tail, const char *text)
{
    tail_add(tail, text, strlen(text));
}

static void expect(const struct tail *tail, unsigned lines, const char *text)
{
    char joined[TAIL_LINES * TAIL_LINE_MAX];
    tail_join(tail, lines, joined, sizeof joined);
    cr_assert_str_eq(joined, text);
}

Test(tail, lines_may_come_in_pieces)
{
    struct tail tail = {0};
    expect(&tail, 3, "");
    add(&tail, "fi");
    add(&tail, "rst\r\n\nsec");
    expect(&tail, 3, "first; sec");
    add(&tail, "ond\nthird\n");
    expect(&tail, 2, "second; third");
    expect(&tail, 100, "first; second; third");
}

Test(tail, only_the_last_lines_are_kept)
{
    struct tail tail = {0};
    char line[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        add(&tail, line);
    }
    expect(&tail, 2, "line 998; line 999");
    char joined[8];
    tail_join(&tail, TAIL_LINES, joined, sizeof joined);
    cr_assert_str_eq(joined, "line 98", "a small buffer takes what fits");
}

Test(tail, long_and_binary_lines_are_tamed)
{
    struct tail tail = {0};
    for (int i = 0; i < 100000; i++)
        add(&tail, "x");
    add(&tail, "\n\033[2Jabc\x7f\n");
    expect(&tail, 1, "?[2Jabc?");
    char joined[2 * TAIL_LINE_MAX];
    tail_join(&tail, 2, joined, sizeof joined);
    cr_assert_eq(strcspn(joined, ";"), TAIL_LINE_MAX - 1);
}
