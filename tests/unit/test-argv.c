/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "vmm/argv.h"

Test(argv, grows_and_stays_terminated)
{
    struct argv argv = {0};
    for (int i = 0; i < 100; i++)
        argv_addf(&argv, "word %d", i);
    argv_add(&argv, "");
    cr_assert_not(argv.failed);
    cr_assert_eq(argv.count, 101);
    cr_assert_str_eq(argv.words[0], "word 0");
    cr_assert_str_eq(argv.words[99], "word 99");
    cr_assert_str_eq(argv.words[100], "");
    cr_assert_null(argv.words[101]);
    argv_free(&argv);
    cr_assert_null(argv.words);
}
