/* SPDX-License-Identifier: Apache-2.0 */
/* A qcow2 file is a table (L1) of tables (L2) of clusters, and a table of blocks of reference counts. Each offset in it
 * is looked at once; a cluster that has been met before ends the check, so that no more is read than the file has. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/qcow2.h"
#include "vmm/qcow2_header.h"

#define OFFSET_MASK 0x00fffffffffffe00ULL
#define COPIED (1ULL << 63)
#define COMPRESSED (1ULL << 62)
#define ZERO 1ULL

#define MAX_CLUSTERS (1ULL << 30)      /* 64 TiB of the usual size: one bit each */
#define MAX_L1_ENTRIES (4U << 20)      /* as QEMU has it: 32 MiB */
#define MAX_REFCOUNT_TABLE (8ULL << 20) /* bytes, as QEMU has it */
#define FEATURE_COMPRESSION (1ULL << 3) /* incompatible feature: the header says how clusters are compressed */

struct check {
    int fd, stop_fd;
    struct err *err;
    off_t size;            /* of the file */
    struct qcow2_header h; /* as in the file */
    uint32_t version;
    unsigned cluster_bits;
    uint64_t cluster, clusters; /* bytes of one; how many there are in the file, a part at its end counted whole */
    unsigned char *used;        /* a bit for each */
};

static int wrong(const struct check *c, const char *what)
{
    return err_set(c->err, EBADMSG, "the disk is damaged or not what it should be: %s", what);
}

/* Notes that `count` clusters from a byte offset are used: whole clusters in the file that nothing else uses. */
static int take(struct check *c, uint64_t offset, uint64_t count, const char *what)
{
    uint64_t first = offset >> c->cluster_bits;
    if (offset & (c->cluster - 1))
        return err_set(c->err, EBADMSG, "the disk is damaged: %s is not at a cluster's beginning", what);
    if (first >= c->clusters || count > c->clusters - first)
        return err_set(c->err, EBADMSG, "the disk is damaged or cut short: %s lies behind its end", what);
    for (uint64_t i = first; i < first + count; i++) {
        unsigned char bit = (unsigned char)(1U << (i % 8));
        if (c->used[i / 8] & bit)
            return err_set(c->err, EBADMSG, "the disk is damaged: %s lies where something else does", what);
        c->used[i / 8] |= bit;
    }
    return 0;
}

static int read_table(const struct check *c, uint64_t *table, uint64_t offset, size_t bytes)
{
    size_t have = 0;
    while (have < bytes) {
        ssize_t n = pread(c->fd, (char *)table + have, bytes - have, (off_t)(offset + have));
        if (n < 0)
            return err_errno(c->err, errno, "read the disk");
        if (n == 0)
            return wrong(c, "a table is cut short");
        have += (size_t)n;
    }
    return 0;
}

/* A table in a hole is all zeros: what a few bytes make large is not read for hours. */
static bool is_hole(const struct check *c, uint64_t offset)
{
    off_t data = lseek(c->fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        data = c->size; /* there are no more */
    return data >= 0 && (uint64_t)data >= offset + c->cluster;
}

static int look_at_stop(const struct check *c)
{
    struct pollfd stop = {.fd = c->stop_fd, .events = POLLIN};
    return poll(&stop, 1, 0) > 0 ? err_set(c->err, EINTR, "check the disk: interrupted") : 0;
}

static int check_features(const struct check *c)
{
    uint64_t incompatible = be64toh(c->h.incompatible);
    if (c->h.encryption)
        return wrong(c, "it is encrypted");
    if (c->h.snapshots)
        return wrong(c, "it has internal snapshots");
    if (c->version == 2)
        return 0;
    if (incompatible & ~FEATURE_COMPRESSION)
        return wrong(c, "it has features that are not allowed here (data in another file, marked as damaged or in use, or "
                        "unknown ones)");
    if (be32toh(c->h.refcount_order) > 6)
        return wrong(c, "its reference counts have a size that is not allowed");
    uint32_t length = be32toh(c->h.header_length);
    if (length < sizeof c->h || length % 8 || length > 512)
        return wrong(c, "its header has a length that is not allowed");
    return 0;
}

static int check_extension(const struct check *c, const struct qcow2_extension *e, const char *data, bool *qcow2)
{
    if (e->type == QCOW2_EXTENSION_DATA)
        return wrong(c, "it keeps its data in another file");
    if (e->type != QCOW2_EXTENSION_FORMAT)
        return 0;
    if (e->length != strlen("qcow2") || memcmp(data, "qcow2", e->length) != 0)
        return wrong(c, "the disk below it is not a qcow2 one");
    *qcow2 = true;
    return 0;
}

/* The extensions end before the name of the backing file, or with their own end, or with the cluster. */
static int check_extensions(const struct check *c)
{
    size_t size = (size_t)c->cluster, at = c->version == 2 ? QCOW2_HEADER_2 : be32toh(c->h.header_length);
    uint64_t backing = be64toh(c->h.backing_offset);
    bool qcow2 = false;
    cleanup_free char *header = calloc(1, size);
    if (!header || pread(c->fd, header, size, 0) < 0)
        return err_errno(c->err, errno, "read the disk's header");
    if (backing && backing < size)
        size = (size_t)backing;
    while (at + sizeof(struct qcow2_extension) <= size) {
        struct qcow2_extension e;
        memcpy(&e, header + at, sizeof e);
        e = (struct qcow2_extension){be32toh(e.type), be32toh(e.length)};
        at += sizeof e;
        if (!e.type)
            break;
        if (e.length > size - at)
            return wrong(c, "an extension of its header is too long");
        int rc = check_extension(c, &e, header + at, &qcow2);
        if (rc < 0)
            return rc;
        at += (e.length + 7) / 8 * 8;
    }
    return !backing || qcow2 ? 0 : wrong(c, "it does not say of which format the disk below it is");
}

static int check_header(struct check *c)
{
    struct stat st;
    ssize_t n = pread(c->fd, &c->h, sizeof c->h, 0);
    if (n < 0 || fstat(c->fd, &st) < 0)
        return err_errno(c->err, errno, "read the disk's header");
    c->version = be32toh(c->h.version);
    if (n < (ssize_t)sizeof c->h || be32toh(c->h.magic) != QCOW2_MAGIC || (c->version != 2 && c->version != 3))
        return wrong(c, "it is not a qcow2 file");
    c->cluster_bits = be32toh(c->h.cluster_bits);
    if (c->cluster_bits < QCOW2_CLUSTER_BITS_MIN || c->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return wrong(c, "its clusters have a size that is not allowed");
    c->cluster = 1ULL << c->cluster_bits;
    c->size = st.st_size;
    c->clusters = ((uint64_t)st.st_size + c->cluster - 1) >> c->cluster_bits;
    if (c->clusters > MAX_CLUSTERS)
        return wrong(c, "it is too large");
    int rc = check_features(c);
    if (rc == 0)
        rc = check_extensions(c);
    if (rc < 0)
        return rc;
    char name[QCOW2_BACKING_MAX + 1];
    return qcow2_backing(c->fd, name, c->err) < 0 ? wrong(c, "the name of the disk below it is too long or misplaced") : 0;
}

static int check_refcounts(struct check *c)
{
    uint64_t clusters = be32toh(c->h.refcount_table_clusters), offset = be64toh(c->h.refcount_table_offset);
    if (clusters == 0 || clusters << c->cluster_bits > MAX_REFCOUNT_TABLE)
        return wrong(c, "its table of reference counts has a size that is not allowed");
    size_t bytes = (size_t)(clusters << c->cluster_bits);
    int rc = take(c, offset, clusters, "the table of reference counts");
    if (rc < 0)
        return rc;
    cleanup_free uint64_t *table = malloc(bytes);
    rc = table ? read_table(c, table, offset, bytes) : err_errno(c->err, ENOMEM, "check the disk");
    for (size_t i = 0; rc == 0 && i < bytes / sizeof *table; i++)
        if (table[i])
            rc = take(c, be64toh(table[i]), 1, "a block of reference counts");
    return rc;
}

/* Compressed data have a length in sectors and may share clusters. */
static int check_compressed(const struct check *c, uint64_t entry)
{
    uint64_t offset = entry & ((1ULL << (62 - (c->cluster_bits - 8))) - 1);
    return offset >> c->cluster_bits < c->clusters ? 0 : wrong(c, "compressed data lie behind its end");
}

static int check_l2_entry(struct check *c, uint64_t entry)
{
    if (entry & COMPRESSED)
        return check_compressed(c, entry);
    if (entry & ~(OFFSET_MASK | COPIED | (c->version == 3 ? ZERO : 0)))
        return wrong(c, "an entry of a table has bits that are reserved");
    return entry & OFFSET_MASK ? take(c, entry & OFFSET_MASK, 1, "a cluster of data") : 0;
}

static int check_l2(struct check *c, uint64_t offset, uint64_t *table)
{
    int rc = take(c, offset, 1, "a table of clusters");
    if (rc == 0)
        rc = look_at_stop(c);
    if (rc < 0 || is_hole(c, offset))
        return rc;
    rc = read_table(c, table, offset, (size_t)c->cluster);
    for (size_t i = 0; rc == 0 && i < c->cluster / sizeof *table; i++)
        if (table[i])
            rc = check_l2_entry(c, be64toh(table[i]));
    return rc;
}

static int check_l1(struct check *c)
{
    uint64_t entries = be32toh(c->h.l1_entries), offset = be64toh(c->h.l1_offset), size = be64toh(c->h.size);
    uint64_t reach = c->cluster / 8 * c->cluster;
    if (entries > MAX_L1_ENTRIES || size / reach + (size % reach != 0) > entries)
        return wrong(c, "its first table has not the size that the disk needs");
    if (entries == 0)
        return 0;
    uint64_t bytes = entries * sizeof(uint64_t);
    int rc = take(c, offset, (bytes + c->cluster - 1) >> c->cluster_bits, "the first table");
    if (rc < 0)
        return rc;
    cleanup_free uint64_t *l1 = malloc((size_t)bytes), *l2 = malloc((size_t)c->cluster);
    rc = l1 && l2 ? read_table(c, l1, offset, (size_t)bytes) : err_errno(c->err, ENOMEM, "check the disk");
    for (uint64_t i = 0; rc == 0 && i < entries; i++) {
        uint64_t entry = be64toh(l1[i]);
        if (entry & ~(OFFSET_MASK | COPIED))
            rc = wrong(c, "an entry of the first table has bits that are reserved");
        else if (entry)
            rc = check_l2(c, entry & OFFSET_MASK, l2);
    }
    return rc;
}

int qcow2_check(int fd, int stop_fd, struct err *err)
{
    struct err own = {0};
    struct check c = {.fd = fd, .stop_fd = stop_fd, .err = err ? err : &own};
    int rc = check_header(&c);
    if (rc < 0)
        return rc;
    cleanup_free unsigned char *used = calloc(1, (size_t)c.clusters / 8 + 1);
    if (!used)
        return err_errno(c.err, ENOMEM, "check the disk");
    c.used = used;
    rc = take(&c, 0, 1, "the header");
    if (rc == 0)
        rc = check_refcounts(&c);
    return rc == 0 ? check_l1(&c) : rc;
}
