/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/accel_memory.h"

static const struct accel_verdict late = {.reason = "it did not finish", .fix = "ask for it"};
static char directory[] = "/tmp/gondolin-accel.XXXXXX";
static char file[sizeof directory + 16];

static void make_directory(void)
{
    if (access("/dev/kvm", F_OK) < 0)
        cr_skip("no /dev/kvm that a verdict could be about");
    cr_assert(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/gondolin-accel", directory);
    setenv("XDG_RUNTIME_DIR", directory, 1);
}

static void remove_directory(void)
{
    unlink(file);
    rmdir(directory);
}

TestSuite(accel_memory, .init = make_directory, .fini = remove_directory);

static void overwrite(long at, const char *text)
{
    FILE *f = fopen(file, "r+");
    cr_assert(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    fputs(text, f);
    fclose(f);
}

Test(accel_memory, what_is_remembered_is_recalled_until_it_is_forgotten)
{
    struct accel_verdict v = {.kvm = true};
    cr_assert_not(accel_recall(&v));
    cr_assert(v.kvm, "unchanged");
    accel_remember(&late);
    cr_assert(accel_recall(&v));
    cr_assert_not(v.kvm);
    cr_assert_str_eq(v.reason, late.reason);
    cr_assert_str_eq(v.fix, late.fix);
    accel_forget();
    cr_assert_not(accel_recall(&v));
}

Test(accel_memory, another_boot_is_another_matter)
{
    struct accel_verdict v;
    accel_remember(&late);
    overwrite(0, "00000000");
    cr_assert_not(accel_recall(&v));
}

Test(accel_memory, half_a_verdict_is_none)
{
    struct accel_verdict v;
    accel_remember(&late);
    overwrite(-1, " "); /* the last line's end */
    cr_assert_not(accel_recall(&v));
}

Test(accel_memory, a_directory_that_others_may_write_is_not_believed)
{
    struct accel_verdict v;
    accel_remember(&late);
    cr_assert(accel_recall(&v));
    cr_assert_eq(access(file, F_OK), 0);
    cr_assert_eq(system("chmod 0777 \"$XDG_RUNTIME_DIR\""), 0);
    if (accel_recall(&v)) /* from another place, where somebody has remembered */
        cr_assert_str_neq(v.reason, late.reason);
}
