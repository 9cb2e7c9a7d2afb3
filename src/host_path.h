/* SPDX-License-Identifier: Apache-2.0 */
/* A path of the host, followed by hand so that one file system is never asked anything: a supervisor that looks something
 * up in its own mount waits for itself. */
#ifndef GONDOLIN_SRC_HOST_PATH_H
#define GONDOLIN_SRC_HOST_PATH_H

#include <sys/types.h>

/* Follows symlinks as path_resolution(7) has it, those of /proc by their text. Returns a descriptor (O_PATH, close-on-exec)
 * and in *resolved (to be freed) the path without symlinks; or -errno: -EDEADLK when the path leads into the file system
 * whose st_dev is `avoid` (0: into none), before that has been asked for anything. */
int host_path_open(const char *path, dev_t avoid, char **resolved);

#endif
