/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "src/nearest.h"

static const char *const verbs[] = {"mount", "umount", "run", "exec", "shell", "list", "status", "build", "image",
                                    "doctor", "help", NULL};

static void expect(const char *word, const char *near)
{
    const char *got = nearest_match(word, verbs);
    if (near)
        cr_assert(got && strcmp(got, near) == 0, "%s: expected %s, got %s", word, near, got ? got : "nothing");
    else
        cr_assert(!got, "%s: expected nothing, got %s", word, got);
}

Test(nearest, finds_slips_of_every_kind)
{
    expect("moutn", "mount"); /* swapped */
    expect("exc", "exec");    /* left out */
    expect("lisst", "list");  /* doubled */
    expect("imege", "image"); /* replaced */
    expect("EXEC", "exec");   /* case */
    expect("stat", "status"); /* begun */
    expect("unmount", "umount");
}

Test(nearest, says_nothing_rather_than_nonsense)
{
    expect("frobnicate", NULL);
    expect("xyz", NULL);
    expect("", NULL);
    expect("x", NULL);
}

Test(nearest, prefers_the_exact_word)
{
    expect("mount", "mount");
    expect("umount", "umount");
}

Test(nearest, ignores_words_beyond_its_bound)
{
    char longest[64], too_long[65];
    memset(longest, 'a', 63);
    longest[63] = '\0';
    memset(too_long, 'a', 64);
    too_long[64] = '\0';
    const char *candidates[] = {longest, NULL};
    cr_assert_not_null(nearest_match(longest, candidates));
    cr_assert_null(nearest_match(too_long, candidates));
}
