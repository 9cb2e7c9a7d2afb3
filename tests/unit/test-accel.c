/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "vmm/accel.h"

Test(accel, the_environment_decides_without_a_test)
{
    struct accel_verdict verdict;
    setenv("GONDOLIN_ACCEL", "tcg", 1);
    accel_probe(&verdict);
    cr_assert_not(verdict.kvm);
    cr_assert(strstr(verdict.reason, "GONDOLIN_ACCEL=tcg"));
    setenv("GONDOLIN_ACCEL", "kvm", 1);
    accel_probe(&verdict);
    cr_assert(verdict.kvm);
}

Test(accel, a_wrong_word_is_named_and_ignored)
{
    struct accel_verdict verdict;
    setenv("GONDOLIN_ACCEL", "hvf", 1);
    accel_probe(&verdict);
    cr_assert(strstr(verdict.fix, "GONDOLIN_ACCEL=hvf was ignored"), "%s", verdict.fix);
}

Test(accel, the_probe_ends_in_time_with_a_reason_and_no_child, .timeout = 20)
{
    struct accel_verdict verdict;
    unsetenv("GONDOLIN_ACCEL");
    accel_probe(&verdict);
    /* Far more than its deadlines: on a machine with other work to do, nobody promises when it is its turn. */
    cr_assert_lt(verdict.took_ms, 5000, "took %u ms", verdict.took_ms);
    cr_assert(*verdict.reason);
    while (waitpid(-1, NULL, 0) > 0) { /* one that was slow to die; one that was not killed would hang the test */
    }
    cr_assert_eq(errno, ECHILD);
}

Test(accel, tsc_measurements_agree)
{
    uint32_t first = accel_tsc_khz();
    uint32_t second = accel_tsc_khz();
    cr_assert_leq(abs((int)first - (int)second), (int)(first / 100), "%u and %u kHz differ by more than 1 %%", first,
                  second);
}

Test(accel, libguestfs_gets_the_verdict_unless_the_user_decided)
{
    const struct accel_verdict no = {.kvm = false}, yes = {.kvm = true};
    unsetenv("LIBGUESTFS_BACKEND_SETTINGS");
    setenv("LIBGUESTFS_BACKEND", "libvirt", 1);
    accel_apply_to_libguestfs(&yes);
    cr_assert_null(getenv("LIBGUESTFS_BACKEND_SETTINGS"));
    accel_apply_to_libguestfs(&no);
    cr_assert_str_eq(getenv("LIBGUESTFS_BACKEND_SETTINGS"), "force_tcg");
    cr_assert_str_eq(getenv("LIBGUESTFS_BACKEND"), "libvirt");
}
