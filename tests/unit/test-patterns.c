/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fs/patterns.h"

static char match(const char *lines, const char *dir, const char *name)
{
    struct patterns *p = patterns_new(lines);
    cr_assert_not_null(p, "%s", lines);
    return patterns_match(p, dir, name);
}

Test(patterns, match_as_gitignore_does)
{
    static const struct {
        const char *lines, *dir, *name;
        char wanted;
    } cases[] = {
        {"-.env", "", ".env", '-'},
        {"-.env", "a/b", ".env", '-'},
        {"-.env", "a/b", ".envx", 0},
        {"-*.key", "a", "id.key", '-'},
        {"-*.key", "a", ".key", '-'},
        {"-node_modules/", "a", "node_modules", '-'},
        {"-/build", "", "build", '-'},
        {"-/build", "a", "build", 0},
        {"-a/b", "", "a", 0},
        {"-a/b", "a", "b", '-'},
        {"-a/b", "x/a", "b", 0},
        {"-a/*/c", "a/b", "c", '-'},
        {"-a/*/c", "a", "c", 0},
        {"-**/c", "a/b", "c", '-'},
        {"-a/**", "a", "x", '-'},
        {"-a/**", "a/b", "x", '-'},
        {"-a/**", "", "a", 0},
        {"-a/**/z", "a", "z", '-'},
        {"-a/**/z", "a/b/c", "z", '-'},
        {"-a/**/z", "b/c", "z", 0},
        {"-*.txt\n-!keep.txt", "", "keep.txt", 0},
        {"-*.txt\n-!keep.txt", "", "drop.txt", '-'},
        {"-x\n+x", "", "x", '+'},
        {"-[ab]c", "", "ac", '-'},
        {"-.git", "", ".GIT", '-'},
        {"-.GIT", "", ".git", '-'},
        {"-a?c", "", "abc", '-'},
        {"-a?c", "", "ac", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(match(cases[i].lines, cases[i].dir, cases[i].name), cases[i].wanted, "%s on %s/%s", cases[i].lines,
                     cases[i].dir, cases[i].name);
}

Test(patterns, what_is_too_deep_to_compare_is_hidden)
{
    char dir[512] = "a";
    for (unsigned i = 0; i < 100; i++)
        strcat(dir, "/a");
    cr_expect_eq(match("-/**/b/.env", dir, ".env"), '-');
    cr_expect_eq(match("-.env\n-!/**/b/.env", dir, ".env"), '-', "a negated pattern would show it");
}

Test(patterns, what_leads_to_a_path_is_known)
{
    struct patterns *p = patterns_new("-a/b/c\n-name\n+/x");
    cr_assert(patterns_pass_through(p, "", "a"));
    cr_assert(patterns_pass_through(p, "a", "b"));
    cr_assert_not(patterns_pass_through(p, "", "b"));
    cr_assert_not(patterns_pass_through(p, "", "name"));
    cr_assert(patterns_need_path(p) && patterns_have(p, '+') && !patterns_have(p, '?'));
    p = patterns_new("-q/**/z");
    cr_assert(patterns_pass_through(p, "", "q") && patterns_pass_through(p, "q/r", "s"));
    cr_assert_not(patterns_pass_through(p, "", "r"));
    cr_assert_not(patterns_need_path(patterns_new("-**/a")));
}

Test(patterns, nonsense_is_refused)
{
    cr_assert_null(patterns_new("-"));
    cr_assert_null(patterns_new("-/"));
    cr_assert_null(patterns_new("-!"));
}
