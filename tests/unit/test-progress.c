/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/progress.h"

Test(progress, one_line_for_each_phase)
{
    cleanup_free char *text = NULL;
    size_t length;
    struct progress progress;
    FILE *to = open_memstream(&text, &length);
    progress_begin(&progress, to);
    progress_show(&progress, "downloading", -1);
    progress_show(&progress, "downloading", 0.25);
    progress_show(&progress, "copying", 0);
    progress_show(&progress, "copying", 2);
    progress_end(&progress);
    fclose(to);
    cr_expect_str_eq(text, "   0.0s  downloading\n   0.0s  copying\n");
}

Test(progress, a_bar_on_a_terminal)
{
    cleanup_free char *text = NULL;
    size_t length;
    struct progress progress;
    FILE *to = open_memstream(&text, &length);
    progress_begin(&progress, to);
    progress.terminal = true;
    progress_show(&progress, "copying", 0.5);
    progress_show(&progress, "copying", 0.501);
    cr_expect(strstr(text, "\r[############            ]  50%  copying"), "%s", text);
    size_t once = length;
    progress_show(&progress, "copying", 0.502);
    cr_expect_eq(length, once, "nothing new to show");
    progress_end(&progress);
    fclose(to);
    cr_expect_eq(text[length - 1], '\r', "the line is not wiped");
    cr_expect_null(strchr(text, '\n'));
}

Test(progress, quiet)
{
    struct progress progress;
    progress_begin(&progress, NULL);
    progress_show(&progress, "copying", 0.5);
    progress_end(&progress);
}
