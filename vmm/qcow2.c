/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/qcow2_header.h"

enum { CLUSTER_BITS = 16, CLUSTER = 1 << CLUSTER_BITS, REFCOUNT_ORDER = 4 /* 16 bits */ };

/* Which cluster holds what. */
enum { AT_HEADER, AT_REFCOUNT_TABLE, AT_REFCOUNTS, AT_L1_TABLE, CLUSTERS };

/* One L1 entry leads to one cluster of L2 entries, each of which leads to one cluster of data. */
#define L1_REACH ((uint64_t)CLUSTER / 8 * CLUSTER)
#define LARGEST (L1_REACH * (CLUSTER / 8)) /* as one cluster of L1 entries goes */

struct extensions {
    uint32_t type, length;
    char format[8];
    uint32_t end_type, end_length;
};

int qcow2_size(int fd, uint64_t *size, struct err *err)
{
    struct qcow2_header h;
    ssize_t n = pread(fd, &h, sizeof h, 0);
    if (n < 0)
        return err_errno(err, errno, "read the disk's header");
    if (n < QCOW2_HEADER_2 || be32toh(h.magic) != QCOW2_MAGIC)
        return err_set(err, EINVAL, "the disk is not a qcow2 file");
    *size = be64toh(h.size);
    return 0;
}

static int write_at(int fd, const void *data, size_t length, off_t offset, struct err *err)
{
    ssize_t n = pwrite(fd, data, length, offset);
    if (n == (ssize_t)length)
        return 0;
    return err_errno(err, n < 0 ? errno : ENOSPC, "write the overlay's header");
}

static int write_header(int fd, const char *backing, uint64_t size, struct err *err)
{
    const struct extensions extensions = {
        .type = htobe32(QCOW2_EXTENSION_FORMAT), .length = htobe32(strlen("qcow2")), .format = "qcow2"};
    const struct qcow2_header h = {
        .magic = htobe32(QCOW2_MAGIC),
        .version = htobe32(3),
        .backing_offset = htobe64(sizeof h + sizeof extensions),
        .backing_size = htobe32((uint32_t)strlen(backing)),
        .cluster_bits = htobe32(CLUSTER_BITS),
        .size = htobe64(size),
        .l1_entries = htobe32((uint32_t)((size + L1_REACH - 1) / L1_REACH)),
        .l1_offset = htobe64((uint64_t)AT_L1_TABLE * CLUSTER),
        .refcount_table_offset = htobe64((uint64_t)AT_REFCOUNT_TABLE * CLUSTER),
        .refcount_table_clusters = htobe32(1),
        .refcount_order = htobe32(REFCOUNT_ORDER),
        .header_length = htobe32(sizeof h),
    };
    char bytes[sizeof h + sizeof extensions + QCOW2_BACKING_MAX + 1];
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, &extensions, sizeof extensions);
    memcpy(bytes + sizeof h + sizeof extensions, backing, strlen(backing));
    return write_at(fd, bytes, sizeof h + sizeof extensions + strlen(backing), 0, err);
}

int qcow2_create_overlay(int fd, const char *backing, uint64_t size, struct err *err)
{
    const uint64_t refcount_table = htobe64((uint64_t)AT_REFCOUNTS * CLUSTER);
    uint16_t refcounts[CLUSTERS];
    if (strlen(backing) > QCOW2_BACKING_MAX)
        return err_set(err, ENAMETOOLONG, "the name of the disk under the overlay has more than %d bytes: %.64s...",
                       QCOW2_BACKING_MAX, backing);
    if (size > LARGEST)
        return err_set(err, EFBIG, "the disk has more than 4 TiB");
    for (int i = 0; i < CLUSTERS; i++)
        refcounts[i] = htobe16(1);
    if (ftruncate(fd, (off_t)CLUSTERS * CLUSTER) < 0)
        return err_errno(err, errno, "make the overlay");
    int rc = write_at(fd, &refcount_table, sizeof refcount_table, (off_t)AT_REFCOUNT_TABLE * CLUSTER, err);
    if (rc == 0)
        rc = write_at(fd, refcounts, sizeof refcounts, (off_t)AT_REFCOUNTS * CLUSTER, err);
    return rc == 0 ? write_header(fd, backing, size, err) : rc;
}

/* The directory that `path` lies in, with a '/' at the end. */
static char *real_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    cleanup_free char *real = directory ? realpath(directory, NULL) : NULL;
    char *ended;
    if (!real || asprintf(&ended, "%s%s", real, real[1] ? "/" : "") < 0)
        return NULL;
    return ended;
}

char *qcow2_relative_name(const char *from, const char *target)
{
    cleanup_free char *directory = real_directory_of(from);
    cleanup_free char *absolute = directory ? realpath(target, NULL) : NULL;
    if (!absolute)
        return NULL;
    size_t common = 0; /* ends behind a '/' */
    for (size_t i = 0; directory[i] && directory[i] == absolute[i]; i++)
        common = directory[i] == '/' ? i + 1 : common;
    size_t up = 0;
    for (const char *c = directory + common; *c; c++)
        up += *c == '/';
    char *name = malloc(3 * up + strlen(absolute + common) + sizeof "./");
    if (!name)
        return NULL;
    char *end = up ? name : stpcpy(name, "./"); /* without it "a:b" were a protocol to QEMU */
    while (up--)
        end = stpcpy(end, "../");
    strcpy(end, absolute + common); // NOLINT: the length was counted above
    return name;
}
