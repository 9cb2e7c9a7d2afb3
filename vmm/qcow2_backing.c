/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/qcow2.h"
#include "vmm/qcow2_header.h"

struct place {
    uint64_t offset;
    uint32_t size;
    size_t room; /* bytes of the first cluster */
};

/* Where the name is. offset 0: there is none. */
static int find_name(int fd, struct qcow2_header *h, struct place *place, struct err *err)
{
    ssize_t n = pread(fd, h, sizeof *h, 0);
    if (n < 0)
        return err_errno(err, errno, "read the disk's header");
    if (n < (ssize_t)sizeof *h || be32toh(h->magic) != QCOW2_MAGIC)
        return err_set(err, EINVAL, "the disk is not a qcow2 file");
    uint32_t bits = be32toh(h->cluster_bits);
    if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
        return err_set(err, EINVAL, "the disk's header has a cluster size that is not allowed");
    *place = (struct place){be64toh(h->backing_offset), be32toh(h->backing_size), (size_t)1 << bits};
    if (!place->offset)
        return 0;
    if (place->size == 0 || place->size > QCOW2_BACKING_MAX || place->offset < QCOW2_HEADER_2 ||
        place->size > place->room || place->offset > place->room - place->size)
        return err_set(err, EINVAL, "the disk's header has a name of the disk below it that is too long or misplaced");
    return 0;
}

int qcow2_backing(int fd, char name[QCOW2_BACKING_MAX + 1], struct err *err)
{
    struct qcow2_header h;
    struct place place;
    name[0] = '\0';
    int rc = find_name(fd, &h, &place, err);
    if (rc < 0 || !place.offset)
        return rc;
    ssize_t n = pread(fd, name, place.size, (off_t)place.offset);
    name[n > 0 ? n : 0] = '\0';
    if (n < 0)
        return err_errno(err, errno, "read the disk's header");
    if (n != (ssize_t)place.size || strlen(name) != place.size) {
        name[0] = '\0';
        return err_set(err, EINVAL, "the disk's header has a name of the disk below it that is cut short");
    }
    return 0;
}

/* The end of the header's extensions, behind which there is nothing but the name. 0: they are not well formed. */
static size_t extensions_end(const char *cluster, size_t size)
{
    const struct qcow2_header *h = (const void *)cluster;
    size_t at = be32toh(h->header_length);
    for (;;) {
        struct qcow2_extension e;
        if (at < sizeof *h || at % 8 || at > size - sizeof e)
            return 0;
        memcpy(&e, cluster + at, sizeof e);
        at += sizeof e;
        if (!e.type)
            return at;
        size_t length = be32toh(e.length);
        if (length > size - at)
            return 0;
        at += (length + 7) / 8 * 8;
    }
}

int qcow2_set_backing(int fd, const char *name, struct err *err)
{
    struct qcow2_header h;
    struct place place;
    size_t length = strlen(name);
    int rc = find_name(fd, &h, &place, err);
    if (rc < 0)
        return rc;
    if (be32toh(h.version) != 3 || !place.offset || !length)
        return err_set(err, EINVAL, "the disk is not a version 3 qcow2 file over another");
    cleanup_free char *cluster = calloc(1, place.room);
    if (!cluster || pread(fd, cluster, place.room, 0) < 0)
        return err_errno(err, errno, "read the disk's header");
    size_t end = extensions_end(cluster, place.room);
    if (!end || place.offset < end)
        return err_set(err, EINVAL, "the disk's header is laid out in a way that is not known here");
    if (length > QCOW2_BACKING_MAX || length > place.room - place.offset)
        return err_set(err, ENAMETOOLONG, "no room in the disk's header for the name %.64s...", name);
    memset(cluster + place.offset, 0, place.size);
    memcpy(cluster + place.offset, name, length);
    ((struct qcow2_header *)(void *)cluster)->backing_size = htobe32((uint32_t)length);
    size_t all = (size_t)place.offset + (length > place.size ? length : place.size);
    ssize_t n = pwrite(fd, cluster, all, 0);
    return n == (ssize_t)all ? 0 : err_errno(err, n < 0 ? errno : ENOSPC, "write the disk's header");
}
