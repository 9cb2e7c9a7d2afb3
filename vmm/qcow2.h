/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to qcow2 files without QEMU. Overlays are made here rather than by qemu-img, because a start of that
 * costs 20 ms of the 100 in which a machine is loaded; and a file from elsewhere is looked at before QEMU sees it.
 * Format: docs/interop/qcow2.txt of the QEMU project. */
#ifndef GONDOLIN_VMM_QCOW2_H
#define GONDOLIN_VMM_QCOW2_H

#include <stdint.h>

#include "src/err.h"

enum { QCOW2_BACKING_MAX = 1023 }; /* bytes of a backing file's name */

/* The size of the disk that a qcow2 file holds. 0, or -errno with *err: EINVAL when it is none. */
int qcow2_size(int fd, uint64_t *size, struct err *err);

/* Makes the empty file `fd` an overlay of `size` bytes over the qcow2 file called `backing` (relative names are
 * relative to the overlay's directory; the name is recorded only, nothing is opened). 0, or -errno with *err:
 * ENAMETOOLONG, EFBIG (over 4 TiB), ENOSPC. */
int qcow2_create_overlay(int fd, const char *backing, uint64_t size, struct err *err);

/* The name of the backing file as the header has it, "" when there is none. 0, or -errno with *err: EINVAL when it is
 * no qcow2 file, or the name is too long, has a NUL in it or lies outside of the first cluster. */
int qcow2_backing(int fd, char name[QCOW2_BACKING_MAX + 1], struct err *err);

/* Gives another name to the backing file of a qcow2 file (version 3, open for writing) that nobody has open for writing
 * besides, in place: all else stays as it is. 0, or -errno with *err: EINVAL (no such file, or it has no backing file),
 * ENAMETOOLONG (no room for it in the header's cluster), ENOSPC. */
int qcow2_set_backing(int fd, const char *name, struct err *err);

/* Is this a qcow2 file that can be read safely: sizes and features that are known here, every table and every cluster
 * within the file, none in use twice (compressed ones aside), a backing file in qcow2 format only, no data kept in
 * another file, no encryption, no internal snapshots. Counts of references are not compared: they matter only for
 * writing. Reads the tables as far as they are no holes, not the data; memory is bounded (128 MiB for the largest file
 * that is accepted). 0, or -errno with *err: EBADMSG says what is wrong; EINTR when `stop_fd` (-1: none) became readable.
 * The file offset changes. */
int qcow2_check(int fd, int stop_fd, struct err *err);

/* The relative name of the file `target` as seen from the directory of the file `from` (which need not exist itself),
 * in a form that QEMU does not take for a protocol. malloc'd, or NULL with errno. */
char *qcow2_relative_name(const char *from, const char *target);

#endif
