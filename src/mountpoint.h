/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted where, and taking it down as root or as an ordinary user. */
#ifndef GONDOLIN_SRC_MOUNTPOINT_H
#define GONDOLIN_SRC_MOUNTPOINT_H

#include <stdbool.h>

#include "src/err.h"

#define MOUNT_FS_TYPE "fuse.gondolin"

/* Is the topmost mount at exactly this (absolute, resolved) path one of gondolin's? Reads /proc/self/mountinfo and never
 * touches the mount, so a stuck one does not block. */
bool mountpoint_is_gondolin(const char *path);

/* Does the mount at `path` answer ENOTCONN, its server having gone? Blocks where a living server does not answer. */
bool mountpoint_is_dead(const char *path);

/* Unmounts: umount2(2) for those who may, fusermount3(1) otherwise. With `detach` it is lazy: gone from the tree at once
 * although files are open. Errors: EBUSY, ENOENT (no fusermount3), EINVAL (not mounted), EPERM. */
int mountpoint_unmount(const char *path, bool detach, struct err *err);

#endif
