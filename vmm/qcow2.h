/* SPDX-License-Identifier: Apache-2.0 */
/* Empty qcow2 overlays. Written here rather than by qemu-img, because a start of that costs 20 ms of the 100 in which a
 * machine is loaded. Format: docs/interop/qcow2.txt of the QEMU project. */
#ifndef GONDOLIN_VMM_QCOW2_H
#define GONDOLIN_VMM_QCOW2_H

#include <stdint.h>

#include "src/err.h"

enum { QCOW2_BACKING_MAX = 1023 }; /* bytes of a backing file's name */

/* The size of the disk that a qcow2 file holds. 0, or -errno with *err: EINVAL when it is none. */
int qcow2_size(int fd, uint64_t *size, struct err *err);

/* Makes the empty file `fd` an overlay of `size` bytes over the qcow2 file called `backing` (relative names are relative
 * to the overlay's directory; the name is recorded only, nothing is opened). 0, or -errno with *err: ENAMETOOLONG, EFBIG
 * (over 4 TiB), ENOSPC. */
int qcow2_create_overlay(int fd, const char *backing, uint64_t size, struct err *err);

/* The relative name of the file `target` as seen from the directory of the file `from` (which need not exist itself), in a
 * form that QEMU does not take for a protocol. malloc'd, or NULL with errno. */
char *qcow2_relative_name(const char *from, const char *target);

#endif
