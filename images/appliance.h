/* SPDX-License-Identifier: Apache-2.0 */
/* The libguestfs appliance: a small machine that sees disks as file systems, so that the host's kernel need not. */
#ifndef GONDOLIN_IMAGES_APPLIANCE_H
#define GONDOLIN_IMAGES_APPLIANCE_H

#include <guestfs.h>

#include "images/kernel.h"
#include "src/err.h"

struct appliance {
    guestfs_h *g;
    const char *store; /* borrowed: its cache keeps the appliance */
    int cache_lock;    /* shared; or -1 */
};

/* Makes a handle that boots `kernel` (NULL: the appliance as it is in the cache, whatever its kernel), keeps temporary
 * files in `work`, and prints nothing. Disks are to be added, then it is to be launched. Changes the environment of the
 * process (SUPERMIN_*, LIBGUESTFS_*). ENOENT, ENOSPC with the fix. */
int appliance_open(const char *store, const char *work, const struct kernel *kernel, struct appliance *out, struct err *err);

/* Launches it, and leaves no name of a socket in the file system. */
int appliance_launch(const struct appliance *appliance, struct err *err);

/* Makes sure that an appliance is in the cache, building it from a kernel that is there: half a minute, once. Call it
 * from the main thread. ENOENT with the fix, EINTR. */
int appliance_prepare(const char *store, struct err *err);

/* The sentence for the call that failed last. */
int appliance_failed(const struct appliance *appliance, const char *what, struct err *err);

/* Ends it too, if it was launched. */
void appliance_close(struct appliance *appliance);

#endif
