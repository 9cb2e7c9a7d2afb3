/* SPDX-License-Identifier: Apache-2.0 */
/* How gondolin-vfs gives up rights, in stages. Each says what is possible from then on; none can be taken back. */
#ifndef GONDOLIN_FS_WORKER_CONFINE_H
#define GONDOLIN_FS_WORKER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* First, as it takes rights. An empty network namespace, where this user may have one; false when not. */
bool confine_network(void);

struct confine_directory {
    int fd;
    bool writable;
    bool is_file; /* a single file instead */
};

/* No new privileges, no core dumps, no tracing by others, all the descriptors there may be; of root's
 * capabilities only those that ownership and permissions of files need. Returns 0 or -errno. */
int confine_process(void);

/* What Landlock the kernel has: its version, 0 for none that can be used. */
int confine_landlock_version(void);

/* From now on only these directories and files can be opened, and no TCP port (where Landlock knows ports). Only for
 * threads started afterwards, and this one. Returns 0 or -errno; -ENOSYS without a Landlock that can be used. */
int confine_files(const struct confine_directory *directories, size_t count);

/* From now on only system calls that serving files takes: no sockets, no programs, no tracing, no mounts. For all threads.
 * Returns 0 or -errno. */
int confine_system_calls(void);

#endif
