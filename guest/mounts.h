/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of the guest. */
#ifndef GONDOLIN_GUEST_MOUNTS_H
#define GONDOLIN_GUEST_MOUNTS_H

#include <stdbool.h>

#include "src/err.h"

/* /proc, /sys and /dev, in the initramfs. Returns 0 or -errno with *err set. */
int mounts_early(struct err *err);

/* Makes the file system mounted at `new_root` the root of everything: moves /proc, /sys and /dev there (their
 * directories are made if it is writable), and deletes what the initramfs held. Returns 0 or -errno with *err set. */
int mounts_switch_root(const char *new_root, bool writable, struct err *err);

/* What programs expect besides: /dev/pts, /dev/shm, /run, /sys/fs/cgroup, /tmp. /tmp stays on the disk, where the host
 * sees it, unless the root is read-only. Failures are logged. */
void mounts_late(bool root_writable);

/* Unmounts what can be, and makes the root read-only, or freezes it if it is in use, so that its disk is consistent. */
void mounts_finish(void);

/* FIFREEZE or FITHAW of the root. Returns 0 or -errno. May block until writers are done. */
int mounts_freeze_root(bool frozen);

#endif
