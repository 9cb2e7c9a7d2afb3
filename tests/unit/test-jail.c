/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/jail.h"

static const char *shown(const char *target, unsigned depth)
{
    static char out[4096];
    int n = jail_target(target, strlen(target), depth, out, sizeof out - 1);
    cr_assert_geq(n, 0, "%s", target);
    out[n] = '\0';
    return out;
}

struct row {
    const char *target;
    unsigned depth;
    const char *expected;
};

Test(jail, targets)
{
    static const struct row rows[] = {
        {"file", 0, "file"},
        {"./a//b", 0, "./a//b"},
        {"../a", 1, "../a"},
        {"../../a/b", 2, "../../a/b"},
        /* climbing above the root stops there */
        {"..", 0, "."},
        {"../etc/passwd", 0, "etc/passwd"},
        {"../../../etc/passwd", 2, "../../etc/passwd"},
        /* a climb behind a name is resolved by text */
        {"a/../b", 3, "b"},
        {"a/../../b", 1, "../b"},
        {"a/../../../b", 1, "../b"},
        {"../a/../../b", 2, "../../b"},
        {"a/..", 1, "."},
        /* absolute targets are relative to the guest's root */
        {"/etc/passwd", 0, "etc/passwd"},
        {"/etc/passwd", 2, "../../etc/passwd"},
        {"/", 0, "."},
        {"/", 1, ".."},
        {"//a///b", 1, "../a/b"},
        {"/../../etc", 1, "../etc"},
        {"/a/../../etc", 2, "../../etc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(shown(rows[i].target, rows[i].depth), rows[i].expected, "%s at depth %u", rows[i].target,
                         rows[i].depth);
}

Test(jail, nothing_climbs_further_than_the_depth)
{
    static const char *const parts[] = {"..", "a", ".", "", "/"};
    for (unsigned code = 0; code < 5 * 5 * 5 * 5 * 5 * 5; code++) {
        char target[64] = "";
        for (unsigned rest = code, i = 0; i < 6; i++, rest /= 5) {
            strcat(target, parts[rest % 5]);
            if (i < 5)
                strcat(target, "/");
        }
        const char *out = shown(target, 2);
        int climbs = 0, below = 0;
        char copy[4096];
        snprintf(copy, sizeof copy, "%s", out);
        for (char *c = strtok(copy, "/"); c; c = strtok(NULL, "/")) {
            if (strcmp(c, "..") == 0) {
                cr_assert_eq(below, 0, "%s -> %s", target, out);
                climbs++;
            } else if (strcmp(c, ".") != 0) {
                below++;
            }
        }
        cr_assert_leq(climbs, 2, "%s -> %s", target, out);
        cr_assert_neq(out[0], '/', "%s -> %s", target, out);
    }
}

Test(jail, refuses_what_is_no_target)
{
    char out[16];
    cr_assert_eq(jail_target("", 0, 0, out, sizeof out), -EIO);
    cr_assert_eq(jail_target("a\0b", 3, 0, out, sizeof out), -EIO);
    cr_assert_eq(jail_target("/0123456789abcdef", 17, 0, out, sizeof out), -ENAMETOOLONG);
    cr_assert_eq(jail_target("0123456789abcdefg", 17, 0, out, sizeof out), -ENAMETOOLONG);
}
