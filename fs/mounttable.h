/* SPDX-License-Identifier: Apache-2.0 */
/* The provider on top of all that is served to the guest: a directory that cannot be changed and holds one entry for each
 * mount, a directory or a single file, named by a number. What lies below belongs to the mount's own stack of providers.
 * Names and links never lead from one mount into another (EXDEV). Every request is counted with its mount. */
#ifndef GONDOLIN_FS_MOUNTTABLE_H
#define GONDOLIN_FS_MOUNTTABLE_H

#include <stdint.h>

struct vfs;
struct vfs_node;

enum {
    MOUNTTABLE_MAX = 64,     /* mounts, those taken out included while something of theirs is in use */
    MOUNTTABLE_BUCKETS = 20, /* of the latency histogram: bucket N counts requests of less than 2^N microseconds, the
                                last one all that took longer */
};

/* What a mount has been asked for. Written by several threads (relaxed atomics); may lie in shared memory. */
struct mount_counters {
    uint64_t requests, errors; /* ENOENT and ENODATA answer questions and are no errors */
    uint64_t bytes_read, bytes_written;
    uint64_t total_us; /* of all requests together */
    uint64_t latency[MOUNTTABLE_BUCKETS];
};

/* NULL with errno (ENOMEM). */
struct vfs *mounttable_new(void);

/* Makes `stack` (the top of a stack of providers, borrowed) the entry "ID". `counters` is borrowed. -EEXIST, -ENOSPC. */
int mounttable_add(struct vfs *table, uint32_t id, struct vfs *stack, struct mount_counters *counters);

/* Takes the name away; what the peer knows below it goes on working. -ENOENT. */
int mounttable_remove(struct vfs *table, uint32_t id);

/* The table's own root, borrowed: what server_invalidate_entry has to be told after a removal. */
struct vfs_node *mounttable_root(struct vfs *table);

/* The stacks are not freed. NULL is ignored. */
void mounttable_free(struct vfs *table);

#endif
