/* SPDX-License-Identifier: Apache-2.0 */
/* What the providers that stack on another one (fs/vfs.h) share: passing an operation on to the one below. Each begins
 * with a struct stacked, takes stacked_ops and replaces what it changes. Nodes and files are those of the provider below. */
#ifndef GONDOLIN_FS_STACKED_H
#define GONDOLIN_FS_STACKED_H

#include "fs/vfs.h"

struct stacked {
    struct vfs vfs; /* first; its ops are `ops` below */
    struct vfs *below;
    struct vfs_ops ops;
};

static inline struct vfs *stacked_below(struct vfs *vfs)
{
    return ((struct stacked *)vfs)->below;
}

/* Everything is passed on. `below` is borrowed. */
void stacked_init(struct stacked *stacked, struct vfs *below);

/* Every change is refused with EROFS. malloc'd, to be freed with free(); NULL with errno. `below` is borrowed. */
struct vfs *readonly_new(struct vfs *below);

#endif
