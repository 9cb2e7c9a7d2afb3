/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin mount --offline: the disk of a checkpoint as a read-only directory, without its machine. */
#ifndef GONDOLIN_SRC_OFFLINE_H
#define GONDOLIN_SRC_OFFLINE_H

#include <stdbool.h>

/* Mounts the disk of a checkpoint on an empty directory, in the background unless `foreground`; it ends when that is
 * unmounted, and then removes the directory if it was `made`. Reports its own mistakes; returns the exit code. */
int offline_mount(const char *checkpoint, const char *mountpoint, bool made, bool foreground);

#endif
