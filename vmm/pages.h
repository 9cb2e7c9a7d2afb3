/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of another process that is its own: what it has written into an anonymous mapping, or into a private mapping
 * of a file since it was mapped. */
#ifndef GONDOLIN_VMM_PAGES_H
#define GONDOLIN_VMM_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/err.h"

struct pages_source {
    pid_t pid; /* to be ptraced by the caller: its own child, say */
    uint64_t address, size; /* of the mapping, in bytes; whole pages */
    bool over_base; /* the file already has what the mapping began with; otherwise it is all zeros (a hole) */
};

/* Writes the private pages to the same offsets in `to`, a regular file; pages of zeros stay holes. The process should
 * not run. *written: bytes. `cancel` (may be NULL) ends it early (ECANCELED). Returns 0 or -errno with *err: EPERM where
 * the process may not be read, EFAULT where the mapping is not there, ENOSPC, ESRCH when it has ended.
 * Format of /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst of the Linux kernel. */
int pages_dump(const struct pages_source *source, int to, const atomic_bool *cancel, uint64_t *written,
               struct err *err);

#endif
