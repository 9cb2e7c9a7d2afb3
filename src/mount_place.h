/* SPDX-License-Identifier: Apache-2.0 */
/* The place to mount on. The directory is locked (flock) for as long as the sandbox lives: two mounts of one path at the
 * same time would otherwise both find it free. */
#ifndef GONDOLIN_SRC_MOUNT_PLACE_H
#define GONDOLIN_SRC_MOUNT_PLACE_H

#include <stdbool.h>

#include "src/err.h"

struct mount_place {
    char *path; /* resolved, absolute */
    int fd;     /* -1: not taken */
    bool made;  /* and to be removed again, unless that is set back */
};

/* Makes the directory where there is none, and locks it. Start with {.fd = -1}; to be given up in any case. 0, or -errno
 * with *err: ENOTEMPTY, EBUSY (mounted already, or being mounted), or as mkdir, realpath and open. */
int mount_place_take(const char *argument, struct mount_place *place, struct err *err);
void mount_place_give_up(struct mount_place *place);

#endif
