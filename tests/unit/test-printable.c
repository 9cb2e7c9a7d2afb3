/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "src/printable.h"

static const char *shown(const char *text)
{
    static char out[64];
    printable_copy(out, sizeof out, text, strlen(text));
    return out;
}

Test(printable, text_stays)
{
    cr_expect_str_eq(shown("plain ~ text"), "plain ~ text");
    cr_expect_str_eq(shown("\u00e9\u00a0\u20ac\U0001f600"), "\u00e9\u00a0\u20ac\U0001f600");
}

Test(printable, what_terminals_obey_does_not)
{
    cr_expect_str_eq(shown("a\033[2J\r\n\tb\x7f"), "a?[2J???b?");
    cr_expect_str_eq(shown("\xc2\x9b" "2J"), "??2J", "CSI in 8 bits");
}

Test(printable, what_is_not_utf8_does_not)
{
    cr_expect_str_eq(shown("\xff\xfe\x80"), "???");
    cr_expect_str_eq(shown("\xc0\x8a"), "??", "an overlong newline");
    cr_expect_str_eq(shown("\xe0\x80\x8a"), "???");
    cr_expect_str_eq(shown("\xed\xa0\x80"), "???", "a surrogate");
    cr_expect_str_eq(shown("\xf4\x90\x80\x80"), "????", "beyond Unicode");
    cr_expect_str_eq(shown("x\xe2\x82"), "x??", "cut off");
}

static void expect_spelled(const char *text, const char *expected)
{
    char *out = printable_spelled(text);
    cr_expect_str_eq(out, expected);
    free(out);
}

Test(printable, what_cannot_be_shown_is_spelled)
{
    expect_spelled("", "");
    expect_spelled("/plain \\ \u00e9", "/plain \\ \u00e9");
    expect_spelled("a\nstate x\t\033[2J\x7f", "a\\nstate x\\t\\x1b[2J\\x7f");
    expect_spelled("\xc2\x9b" "2J\xff", "\\xc2\\x9b" "2J\\xff");
}

Test(printable, a_copy_is_cut_and_stays_whole)
{
    char out[4];
    printable_copy(out, sizeof out, "ab\u20ac", 5);
    cr_expect_str_eq(out, "ab?");
    printable_copy(out, sizeof out, "abcdef", 6);
    cr_expect_str_eq(out, "abc");
}
