/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/shquote.h"

/* Splits `text` and compares with the NULL-terminated words. */
static void expect_words(const char *text, const char *const *expected)
{
    char **words;
    size_t count, n = 0;
    cr_assert_eq(shquote_split(text, strlen(text), &words, &count), 0, "%s", text);
    for (; expected[n]; n++) {
        cr_assert_lt(n, count, "%s: only %zu words", text, count);
        cr_assert_str_eq(words[n], expected[n], "%s", text);
    }
    cr_assert_eq(n, count, "%s: %zu words", text, count);
    cr_assert_null(words[count]);
    free(words);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS ((const char *const[]){NULL})

static void expect_joined(char *const *words, const char *expected)
{
    char *text = shquote_join(words);
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(shquote, splits_at_blanks)
{
    expect_words("", NO_WORDS);
    expect_words(" \t\n ", NO_WORDS);
    expect_words("ls -l /", WORDS("ls", "-l", "/"));
    expect_words("\n a\tb\nc\n", WORDS("a", "b", "c"));
}

Test(shquote, understands_quotes)
{
    expect_words("'a b'", WORDS("a b"));
    expect_words("a'b 'c\" d\"", WORDS("ab c d"));
    expect_words("'' \"\"", WORDS("", ""));
    expect_words("'\\n$x\"'", WORDS("\\n$x\""));
    expect_words("\"\\$x \\` \\\\ \\\" \\n\"", WORDS("$x ` \\ \" \\n"));
    expect_words("\"a\\\nb\"", WORDS("ab"));
    expect_words("'it'\\''s'", WORDS("it's"));
    expect_words("'two\nlines'", WORDS("two\nlines"));
}

Test(shquote, understands_backslashes)
{
    expect_words("a\\ b \\' \\\\", WORDS("a b", "'", "\\"));
    expect_words("a\\\nb", WORDS("ab"));
    expect_words("\\\n", NO_WORDS);
}

Test(shquote, expands_nothing)
{
    expect_words("$HOME `id` * ; a|b # c >x", WORDS("$HOME", "`id`", "*", ";", "a|b", "#", "c", ">x"));
}

static void expect_refused(const char *text, size_t len)
{
    char **words = NULL;
    size_t count;
    cr_assert_eq(shquote_split(text, len, &words, &count), -EINVAL, "%s", text);
    cr_assert_null(words);
}

Test(shquote, refuses_what_is_unbalanced_or_binary)
{
    expect_refused("'abc", 4);
    expect_refused("\"abc", 4);
    expect_refused("\"abc\\\"", 6);
    expect_refused("abc\\", 4);
    expect_refused("a\0b", 3);
    expect_refused("'a\0b'", 5);
}

Test(shquote, never_reads_past_the_length)
{
    char **words;
    size_t count;
    cr_assert_eq(shquote_split("ab'cd", 2, &words, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(words[0], "ab");
    free(words);
    expect_refused("\"a\\", 3);
}

Test(shquote, quotes_only_what_needs_it)
{
    expect_joined((char *[]){NULL}, "");
    expect_joined((char *[]){"ls", "-l", "/etc/x@y", "A=b", NULL}, "ls -l /etc/x@y A=b");
    expect_joined((char *[]){"", "a b", "it's", "*", "~", "two\nlines", NULL},
                  "'' 'a b' 'it'\\''s' '*' '~' 'two\nlines'");
}

Test(shquote, what_is_joined_splits_into_the_same)
{
    char all[256];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    char *words[] = {all, "", "'", "\"", "\\", "a\\'b", "-", all, NULL};
    char *text = shquote_join(words);
    char **back;
    size_t count;
    cr_assert_eq(shquote_split(text, strlen(text), &back, &count), 0);
    cr_assert_eq(count, 8);
    for (size_t i = 0; i < count; i++)
        cr_assert_str_eq(back[i], words[i]);
    free(back);
    free(text);
}
