/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted where, and taking it down as root or as an ordinary user. */
#ifndef GONDOLIN_SRC_MOUNTPOINT_H
#define GONDOLIN_SRC_MOUNTPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "src/err.h"

#define MOUNT_FS_TYPE "fuse.gondolin"
#define MOUNT_OFFLINE_SUBTYPE "gondolin.offline" /* a checkpoint's disk, see src/offline.h */

/* Is the topmost mount at exactly this (absolute, resolved) path one of gondolin's? Reads /proc/self/mountinfo and
 * never touches the mount, so a stuck one does not block. */
bool mountpoint_is_gondolin(const char *path);

/* The same for a checkpoint's disk that is shown without a machine. */
bool mountpoint_is_offline(const char *path);

/* The device number (as makedev(3) packs it) of the topmost mount at exactly this path; 0 when there is none. Never
 * touches the mount. A mount keeps it when directories above it are renamed, and everything bound to it has the same.
 * */
uint64_t mountpoint_device(const char *path);

/* Where a mount of gondolin's with this device number is now: `recorded` if it is there, else any other; NULL when
 * there is none in this mount namespace. malloc'd. Never touches the mount. */
char *mountpoint_locate(uint64_t device, const char *recorded);

/* Detaches every mount of gondolin's with this device number whose server has gone. */
void mountpoint_clear_dead(uint64_t device);

/* Detaches the mounts of checkpoints' disks (src/offline.c) whose process was killed. */
void mountpoint_clear_offline(void);

/* Does the mount at `path` answer ENOTCONN, its server having gone? Blocks where a living server does not answer. */
bool mountpoint_is_dead(const char *path);

/* Unmounts: umount2(2) for those who may, fusermount3(1) otherwise. With `detach` it is lazy: gone from the tree at
 * once although files are open. Errors: EBUSY, ENOENT (no fusermount3), EINVAL (not mounted), EPERM. */
int mountpoint_unmount(const char *path, bool detach, struct err *err);

#endif
