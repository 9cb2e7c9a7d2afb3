/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of files that are mostly holes. */
#ifndef GONDOLIN_VMM_SPARSE_H
#define GONDOLIN_VMM_SPARSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sparse_report {
    bool reflinked;  /* the blocks are shared with the original: nothing was copied */
    uint64_t copied; /* bytes */
};

/* Makes the empty file `to` a copy of `from`, sharing blocks where the file system can, else copying what is not a hole.
 * The offsets of both descriptors change. `cancel` (may be NULL) ends it early. Returns 0 or -errno: ECANCELED, or of
 * lseek, sendfile (ENOSPC), ftruncate. Linux 2.6.33 for sendfile into a file. */
int sparse_copy(int from, int to, const atomic_bool *cancel, struct sparse_report *report);

#endif
