/* SPDX-License-Identifier: Apache-2.0 */
/* Who keeps a mount busy. */
#ifndef GONDOLIN_SRC_HOLDERS_H
#define GONDOLIN_SRC_HOLDERS_H

#include <stddef.h>
#include <sys/types.h>

/* Describes the processes, as far as this user may look into them, that work in `mountpoint` or have something there
 * open or mapped: "bash (pid 12, working directory), vim (pid 34, root/srv/app.py)". The first few are named.
 * `ignored` and the caller are left out. Looks only at /proc, never at the mount, so a stuck one does not block.
 * Returns their number. */
size_t holders_describe(const char *mountpoint, pid_t ignored, char *text, size_t size);

#endif
