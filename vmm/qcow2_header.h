/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a qcow2 file, big-endian; what the files behind vmm/qcow2.h share. */
#ifndef GONDOLIN_VMM_QCOW2_HEADER_H
#define GONDOLIN_VMM_QCOW2_HEADER_H

#include <stdint.h>

#define QCOW2_MAGIC 0x514649fb            /* "QFI\xfb" */
#define QCOW2_EXTENSION_FORMAT 0xe2792aca /* the backing file's format */
#define QCOW2_EXTENSION_DATA 0x44415441   /* the name of a file that has the data */

enum {
    QCOW2_HEADER_2 = 72, /* bytes of a version 2 header */
    QCOW2_CLUSTER_BITS_MIN = 9,
    QCOW2_CLUSTER_BITS_MAX = 21,
};

struct qcow2_header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t encryption, l1_entries;
    uint64_t l1_offset, refcount_table_offset;
    uint32_t refcount_table_clusters, snapshots;
    uint64_t snapshots_offset, incompatible, compatible, autoclear;
    uint32_t refcount_order, header_length;
};

_Static_assert(sizeof(struct qcow2_header) == 104, "the header is as the format has it");

struct qcow2_extension {
    uint32_t type, length; /* of what follows, padded to 8 bytes; type 0 ends the list */
};

#endif
