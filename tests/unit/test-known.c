/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/known.h"
#include "vmm/vmm.h"

static char directory[32], file[64], base[64];

static void set_up(void)
{
    strcpy(directory, "/tmp/test-known-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(base, sizeof base, "%s/gondolin", directory);
    snprintf(file, sizeof file, "%s/known.it", base);
    setenv("XDG_RUNTIME_DIR", directory, 1);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(known, .init = set_up, .fini = tear_down, .timeout = 20);

static void expect(const char *key, const char *wanted)
{
    char *value = known_get("it", key);
    cr_assert_eq(value != NULL, wanted != NULL, "%s", key);
    if (value)
        cr_assert_str_eq(value, wanted);
    free(value);
}

Test(known, a_value_is_kept_with_its_key)
{
    struct stat st;
    expect("key", NULL);
    known_put("it", "key", "a\nb\n");
    expect("key", "a\nb\n");
    expect("ke", NULL);
    expect("other", NULL);
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    known_put("it", "other", "");
    expect("other", "");
    expect("key", NULL);
}

Test(known, what_others_could_have_written_is_not_believed)
{
    known_put("it", "key", "value");
    cr_assert_eq(chmod(file, 0666), 0);
    expect("key", NULL);
}

Test(known, another_boot_forgets)
{
    known_put("it", "key", "value");
    FILE *f = fopen(file, "r+");
    cr_assert_not_null(f);
    fputs("00000000", f);
    fclose(f);
    expect("key", NULL);
}

Test(known, the_frequency_is_the_same_each_time)
{
    uint32_t khz = known_tsc_khz();
    cr_assert_eq(known_tsc_khz(), khz);
}

Test(known, the_shape_tells_machines_apart)
{
    struct err err = {.code = 0};
    char binary[64], asked[80];
    snprintf(binary, sizeof binary, "%s/qemu-system-x86_64", directory);
    FILE *f = fopen(binary, "w");
    cr_assert_not_null(f);
    fputs("#!/bin/sh\ncase $1 in\n--version) echo 'QEMU emulator version 9.9 (Test)';;\n"
          "*) echo 'q35   Standard (alias of pc-q35-9.9)';;\nesac\necho asked >>\"$0.asked\"\n", f);
    fclose(f);
    cr_assert_eq(chmod(binary, 0700), 0);
    struct vmm_config config = {.binary = binary, .arch = "x86_64", .accel = "tcg", .root_disk = "/disk",
                                .ports = {{.name = "one"}}, .port_count = 1};
    char *first = vmm_qemu.shape(&config, &err);
    cr_assert_not_null(first, "%s", err.text);
    cr_assert(strstr(first, "vmm qemu\nversion 9.9 (Test)\narch x86_64\nmachine pc-q35-9.9,"), "%s", first);
    cr_assert(strstr(first, "\nmemory 536870912\ncpus 1\n"), "%s", first);
    cr_assert(strstr(first, "nr=1,chardev=port1,name=one\n"), "%s", first);
    snprintf(asked, sizeof asked, "%s.asked", binary);
    cr_assert_eq(unlink(asked), 0);
    char *second = vmm_qemu.shape(&config, &err);
    cr_assert_str_eq(first, second);
    cr_assert_eq(access(asked, F_OK), -1, "qemu is asked once");
    free(second);
    config.memory = (uint64_t)1 << 30;
    second = vmm_qemu.shape(&config, &err);
    cr_assert_str_neq(first, second);
    free(first);
    free(second);
}
