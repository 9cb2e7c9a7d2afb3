/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the disks of checkpoints, seen through the appliance, read-only. What a guest had not yet written to its
 * disk is in a full checkpoint's memory, and not seen. */
#ifndef GONDOLIN_IMAGES_CHECKPOINT_VIEW_H
#define GONDOLIN_IMAGES_CHECKPOINT_VIEW_H

#include "images/appliance.h"

/* Launches an appliance with `count` disks (1 or 2), which are not written; the first is mounted read-only on /, or
 * with two of them on /0 and /1. `work` is for temporary files. Needs appliance_prepare. */
int checkpoint_view_open(const char *store, const char *work, const char *const *disks, unsigned count,
                         struct appliance *out, struct err *err);

/* Called for each difference, sorted by path: 'A' added, 'M' changed, 'D' removed. Paths begin with '/' and may hold
 * any bytes but NUL. */
typedef void checkpoint_diff_fn(void *data, char change, const char *path);

/* Compares the files on the disks of two checkpoints; `from` NULL: the image of `to`. Compared are type, mode, owner,
 * size, device, target of a link, and contents where only the time is another. `report` is called in a child process.
 * Call it from the main thread. Errors as checkpoint_open; EINVAL (one is too deep), EIO, EINTR. */
int checkpoint_diff(const char *store, const char *from, const char *to, checkpoint_diff_fn *report, void *data,
                    struct err *err);

#endif
