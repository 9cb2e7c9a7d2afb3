/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin mount --from: the checkpoint, and the options it brings along. */
#ifndef GONDOLIN_SRC_MOUNT_FROM_H
#define GONDOLIN_SRC_MOUNT_FROM_H

#include "images/checkpoint.h"
#include "src/err.h"
#include "src/mount_options.h"

struct mount_from {
    struct checkpoint checkpoint; /* directory NULL: none, or handed on */
    char *image;                  /* reference of its image */
    char *vmm, *machine, *accel, *cpu, *append;
};

/* Opens options->from, if it is given, and sets what was not given as it was when the checkpoint was taken. Start with {0}.
 * 0, or -errno with *err: EINVAL for options that do not go together, else as checkpoint_open. */
int mount_from_open(struct mount_options *options, struct mount_from *from, struct err *err);
void mount_from_close(struct mount_from *from);

#endif
