/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse copies and empty overlays. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/child.h"
#include "vmm/qcow2.h"
#include "vmm/sparse.h"

static char directory[32], path[64], base[64];

static void set_up(void)
{
    strcpy(directory, "/var/tmp/test-copy-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a:b.qcow2", directory);
    snprintf(base, sizeof base, "%s/base.qcow2", directory);
}

static void tear_down(void)
{
    unlink(path);
    unlink(base);
    cr_assert_eq(rmdir(directory), 0);
}

TestSuite(disk_copies, .init = set_up, .fini = tear_down, .timeout = 30);

static int make(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(disk_copies, holes_stay_holes_and_data_is_copied)
{
    enum { SIZE = 64 << 20, AT = 33 << 20 };
    static char data[3 << 20], back[3 << 20];
    struct sparse_report report;
    struct stat st;
    int from = make(base), to = make(path);
    memset(data, 'd', sizeof data);
    cr_assert_eq(ftruncate(from, SIZE), 0);
    cr_assert_eq(pwrite(from, data, sizeof data, AT), (ssize_t)sizeof data);
    cr_assert_eq(pwrite(from, "end", 3, SIZE - 3), 3);
    cr_assert_eq(sparse_copy(from, to, NULL, &report), 0);
    cr_assert_eq(pread(to, back, sizeof back, AT), (ssize_t)sizeof back);
    cr_assert_eq(memcmp(data, back, sizeof data), 0);
    cr_assert_eq(pread(to, back, 3, SIZE - 3), 3);
    cr_assert_eq(memcmp(back, "end", 3), 0);
    fstat(to, &st);
    cr_assert_eq(st.st_size, SIZE);
    cr_assert_lt(st.st_blocks * 512, 4 << 20);
    const atomic_bool cancel = true;
    cr_assert_eq(ftruncate(to, 0), 0);
    cr_assert(report.reflinked || sparse_copy(from, to, &cancel, &report) == -ECANCELED || report.reflinked);
}

Test(disk_copies, an_empty_or_hollow_file_is_copied)
{
    struct sparse_report report;
    struct stat st;
    int from = make(base), to = make(path);
    cr_assert_eq(sparse_copy(from, to, NULL, &report), 0);
    cr_assert_eq(ftruncate(from, 12345), 0);
    cr_assert_eq(sparse_copy(from, to, NULL, &report), 0);
    fstat(to, &st);
    cr_assert_eq(st.st_size, 12345);
    cr_assert_eq(report.copied, 0);
}

/* The judge of the format is QEMU's own tool. */
Test(disk_copies, overlays_are_sound_and_of_the_base_s_size)
{
    struct err err = {.code = 0};
    uint64_t size = 0;
    char output[4096];
    char *create[] = {"qemu-img", "create", "-q", "-f", "qcow2", base, "5G", NULL};
    char *check[] = {"qemu-img", "check", path, NULL};
    char *info[] = {"qemu-img", "info", "--backing-chain", path, NULL};
    cr_assert_eq(child_run(create, NULL, 0, 10000, NULL, 0, &err), 0, "%s", err.text);
    int disk = open(base, O_RDONLY);
    cr_assert_eq(qcow2_size(disk, &size, &err), 0);
    cr_assert_eq(size, (uint64_t)5 << 30);
    int fd = make(path);
    cr_assert_eq(qcow2_create_overlay(fd, "./base.qcow2", size, &err), 0, "%s", err.text);
    cr_assert_eq(child_run(check, NULL, 0, 10000, output, sizeof output, &err), 0, "%s %s", err.text, output);
    cr_assert(strstr(output, "No errors were found"), "%s", output);
    cr_assert_eq(child_run(info, NULL, 0, 10000, output, sizeof output, &err), 0, "%s", err.text);
    cr_assert(strstr(output, "virtual size: 5 GiB"), "%s", output);
    cr_assert(strstr(output, "backing file format: qcow2"), "%s", output);
    cr_assert(strstr(strstr(output, "backing file"), "virtual size: 5 GiB"), "the base is found: %s", output);
}

Test(disk_copies, overlays_are_refused_where_they_cannot_be)
{
    struct err err = {.code = 0};
    uint64_t size;
    char name[QCOW2_BACKING_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    int fd = make(path);
    cr_assert_eq(qcow2_create_overlay(fd, name, 1 << 20, &err), -ENAMETOOLONG);
    cr_assert_eq(qcow2_create_overlay(fd, "b", UINT64_MAX / 2, &err), -EFBIG);
    cr_assert_eq(qcow2_size(fd, &size, &err), -EINVAL);
}

static void expect_relative(const char *from, const char *target, const char *wanted)
{
    char *name = qcow2_relative_name(from, target);
    cr_assert_not_null(name, "%s %s", from, target);
    cr_expect_str_eq(name, wanted, "%s for %s from %s", name, target, from);
    free(name);
}

Test(disk_copies, names_are_relative_to_the_overlay_s_directory)
{
    expect_relative("/usr/overlay", "/usr/bin/env", "./bin/env");
    expect_relative("/usr/lib/overlay", "/usr/bin/env", "../bin/env");
    expect_relative("/usr/lib/overlay", "/proc/version", "../../proc/version");
    expect_relative("/overlay", "/proc/version", "./proc/version");
    expect_relative("/usr/share/doc/overlay", "/usr/share/man", "../man");
    cr_assert_null(qcow2_relative_name("/no/such/overlay", "/proc/version"));
    cr_assert_null(qcow2_relative_name("/usr/overlay", "/no/such"));
}
