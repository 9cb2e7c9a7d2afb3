/* SPDX-License-Identifier: Apache-2.0 */
/* What fs/shadow.c (names) and fs/shadow_dirs.c (listings) share. */
#ifndef GONDOLIN_FS_SHADOW_INTERNAL_H
#define GONDOLIN_FS_SHADOW_INTERNAL_H

#include <stdbool.h>

#include "fs/stacked.h"

enum { SHADOW_HIDDEN = '-', SHADOW_MEMORY = '+' };

struct shadow {
    struct stacked stacked; /* first; below: the host directory */
    struct vfs *memory;     /* NULL: nothing is kept there */
    struct patterns *patterns;
};

/* The directory in memory for what is made in a host directory, with a reference. -ENOENT: there is none, and `make` is
 * false. */
int shadow_upper_of(const struct shadow *s, struct vfs_node *dir, bool make, struct vfs_node **out);
void shadow_upper_done(const struct shadow *s, struct vfs_node *upper);
/* Whether the host's entry of this name is not to be seen. */
bool shadow_hides(const struct shadow *s, struct vfs_node *dir, const char *name);

int shadow_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file);
void shadow_release(struct vfs *vfs, struct vfs_file *file);
int shadow_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data);
int shadow_fsync(struct vfs *vfs, struct vfs_file *file, int data_only);

#endif
