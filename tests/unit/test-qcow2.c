/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"
#include "vmm/qcow2_header.h"

enum { CLUSTER = 64 * 1024 };

static int overlay(const char *backing)
{
    struct err err = {0};
    int fd = memfd_create("disk", MFD_CLOEXEC);
    cr_assert_eq(qcow2_create_overlay(fd, backing, 1 << 30, &err), 0, "%s", err.text);
    return fd;
}

static void put64(int fd, off_t offset, uint64_t value)
{
    value = htobe64(value);
    cr_assert_eq(pwrite(fd, &value, sizeof value, offset), (ssize_t)sizeof value);
}

static void put32(int fd, off_t offset, uint32_t value)
{
    value = htobe32(value);
    cr_assert_eq(pwrite(fd, &value, sizeof value, offset), (ssize_t)sizeof value);
}

/* Gives an overlay a table of clusters (number 4) with one cluster of data (5). */
static void put_data(int fd)
{
    put64(fd, 3 * CLUSTER, (1ULL << 63) | 4 * CLUSTER);
    put64(fd, 4 * CLUSTER, (1ULL << 63) | 5 * CLUSTER);
    cr_assert_eq(ftruncate(fd, 6 * CLUSTER), 0);
}

static void damaged(int fd, const char *words)
{
    struct err err = {0};
    cr_expect_eq(qcow2_check(fd, -1, &err), -EBADMSG, "%s", words);
    cr_expect(strstr(err.text, words), "not '%s' but: %s", words, err.text);
}

Test(qcow2, the_name_below_is_read_and_changed)
{
    char name[QCOW2_BACKING_MAX + 1], long_name[QCOW2_BACKING_MAX + 2];
    struct err err = {0};
    cleanup_close int fd = overlay("../a/disk.qcow2");
    cr_assert_eq(qcow2_backing(fd, name, &err), 0, "%s", err.text);
    cr_expect_str_eq(name, "../a/disk.qcow2");
    memset(long_name, 'x', sizeof long_name);
    long_name[QCOW2_BACKING_MAX] = '\0';
    const char *const names[] = {"x", long_name, "layer-1.qcow2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(qcow2_set_backing(fd, names[i], &err), 0, "%s", err.text);
        cr_assert_eq(qcow2_backing(fd, name, &err), 0, "%s", err.text);
        cr_expect_str_eq(name, names[i]);
        cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
    }
    cr_expect_eq(qcow2_set_backing(fd, "", &err), -EINVAL);
    memset(long_name, 'x', sizeof long_name);
    long_name[QCOW2_BACKING_MAX + 1] = '\0';
    cr_expect_eq(qcow2_set_backing(fd, long_name, &err), -ENAMETOOLONG);
}

Test(qcow2, headers_of_qemu_img)
{
    char path[] = "/tmp/gondolin-test-qcow2.XXXXXX", name[QCOW2_BACKING_MAX + 1];
    struct err err = {0};
    if (system("command -v qemu-img >/dev/null") != 0)
        cr_skip_test("needs qemu-img");
    cr_assert_not_null(mkdtemp(path));
    cleanup_free char *make = files_format("cd %s && qemu-img create -q -f qcow2 a 64M && qemu-img create -q -f qcow2 -b a -F "
                                           "qcow2 b && qemu-io -c 'write -P 7 1M 3M' b >/dev/null && mv a c", path);
    cleanup_free char *compare = files_format("cd %s && qemu-img check -q b && qemu-io -c 'read -P 7 1M 3M' b >/dev/null", path);
    cleanup_free char *disk = files_format("%s/b", path);
    cr_assert_eq(system(make), 0);
    int fd = open(disk, O_RDWR | O_CLOEXEC);
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
    cr_assert_eq(qcow2_backing(fd, name, &err), 0, "%s", err.text);
    cr_expect_str_eq(name, "a");
    cr_assert_eq(qcow2_set_backing(fd, "c", &err), 0, "%s", err.text);
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
    close(fd);
    cr_expect_eq(system(compare), 0);
    files_remove_tree(path);
}

Test(qcow2, no_disk_below)
{
    char name[QCOW2_BACKING_MAX + 1];
    cleanup_close int fd = overlay("a");
    put64(fd, 8, 0);
    cr_expect_eq(qcow2_backing(fd, name, NULL), 0);
    cr_expect_str_eq(name, "");
    cr_expect_eq(qcow2_set_backing(fd, "a", NULL), -EINVAL);
}

Test(qcow2, what_is_sound_passes)
{
    struct err err = {0};
    cleanup_close int fd = overlay("a");
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
    put_data(fd);
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
    cr_assert_eq(ftruncate(fd, 5 * CLUSTER + 512), 0); /* the last cluster may be a part */
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
}

/* 256 GiB of tables in a hole, which reading would take minutes. */
Test(qcow2, tables_in_holes_are_not_read, .timeout = 60)
{
    enum { TABLES = 1 << 17, BITS = 21 };
    struct err err = {0};
    cleanup_close int fd = memfd_create("disk", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(fd, (off_t)(TABLES + 3) << BITS), 0);
    const struct qcow2_header h = {.magic = htobe32(QCOW2_MAGIC), .version = htobe32(3), .cluster_bits = htobe32(BITS),
                                   .size = htobe64(1 << 20), .l1_entries = htobe32(TABLES), .l1_offset = htobe64(2 << BITS),
                                   .refcount_table_offset = htobe64(1 << BITS), .refcount_table_clusters = htobe32(1),
                                   .refcount_order = htobe32(4), .header_length = htobe32(sizeof h)};
    cr_assert_eq(pwrite(fd, &h, sizeof h, 0), (ssize_t)sizeof h);
    for (off_t i = 0; i < TABLES; i++)
        put64(fd, (2 << BITS) + i * 8, (uint64_t)(i + 3) << BITS);
    cr_expect_eq(qcow2_check(fd, -1, &err), 0, "%s", err.text);
}

Test(qcow2, a_check_is_interrupted)
{
    struct err err = {0};
    int ends[2];
    cleanup_close int fd = overlay("a");
    put_data(fd);
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    cr_expect_eq(qcow2_check(fd, ends[0], &err), 0, "%s", err.text);
    close(ends[1]);
    cr_expect_eq(qcow2_check(fd, ends[0], &err), -EINTR);
    close(ends[0]);
}

Test(qcow2, offsets_outside_or_used_twice)
{
    static const struct {
        off_t at;
        uint64_t value;
        const char *words;
    } cases[] = {
        {3 * CLUSTER, 6 * CLUSTER, "behind its end"},          {3 * CLUSTER, 4 * CLUSTER + 512, "cluster's beginning"},
        {3 * CLUSTER, 3 * CLUSTER, "where something else"},    {3 * CLUSTER, 1 << 20 | 1, "reserved"},
        {4 * CLUSTER, 6 * CLUSTER, "behind its end"},          {4 * CLUSTER, 0x00fffffffffe0000, "behind its end"},
        {4 * CLUSTER, 4 * CLUSTER, "where something else"},    {4 * CLUSTER + 8, 5 * CLUSTER, "where something else"},
        {4 * CLUSTER, 5 * CLUSTER | 2, "reserved"},            {4 * CLUSTER, 1ULL << 62 | 7 * CLUSTER, "compressed data"},
        {1 * CLUSTER, 9 * CLUSTER, "behind its end"},          {1 * CLUSTER + 8, 2 * CLUSTER, "where something else"},
        {40, 0x7fffffffffff0000, "behind its end"},            {40, 3 * CLUSTER + 8, "cluster's beginning"},
        {48, 1, "cluster's beginning"},                        {24, 1ULL << 62, "first table"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_close int fd = overlay("a");
        put_data(fd);
        put64(fd, cases[i].at, cases[i].value);
        damaged(fd, cases[i].words);
    }
}

Test(qcow2, features_that_reach_out)
{
    static const struct {
        off_t at;
        uint32_t value;
        const char *words;
    } cases[] = {
        {0, 0, "not a qcow2 file"},           {4, 1, "not a qcow2 file"},       {4, 4, "not a qcow2 file"},
        {20, 8, "size that is not allowed"},  {20, 40, "size that is not allowed"},
        {32, 1, "encrypted"},                 {60, 1, "internal snapshots"},    {76, 4, "data in another file"},
        {76, 1, "features"},                  {76, 16, "features"},             {72, 1, "features"},
        {36, 0x7fffffff, "first table"},      {36, 0, "first table"},           {56, 0, "reference counts"},
        {56, 0x7fffffff, "reference counts"}, {96, 7, "reference counts"},      {100, 8, "header"},
        {100, 4096, "header"},                {104, QCOW2_EXTENSION_DATA, "another file"},
        {104, 1, "which format"},             {108, 0x7fffffff, "extension"},   {112, 0x72617720, "not a qcow2 one"},
        {16, 0, "name of the disk"},          {16, 5000, "name of the disk"},   {8, 1, "name of the disk"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_close int fd = overlay("a");
        put32(fd, cases[i].at, cases[i].value);
        damaged(fd, cases[i].words);
    }
}

Test(qcow2, any_cut_is_found)
{
    static const off_t sizes[] = {0, 1, 71, 103, 104, CLUSTER, 2 * CLUSTER, 3 * CLUSTER, 3 * CLUSTER + 1, 4 * CLUSTER,
                                  5 * CLUSTER};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cleanup_close int fd = overlay("a");
        put_data(fd);
        cr_assert_eq(ftruncate(fd, sizes[i]), 0);
        cr_expect_eq(qcow2_check(fd, -1, NULL), -EBADMSG, "%jd bytes", (intmax_t)sizes[i]);
    }
}
