/* SPDX-License-Identifier: Apache-2.0 */
/* The file that --config names. */
#ifndef GONDOLIN_SRC_MOUNT_CONFIG_H
#define GONDOLIN_SRC_MOUNT_CONFIG_H

#include "src/err.h"
#include "src/mount_options.h"

struct mount_config {
    struct mount_options options; /* what the file says */
    struct option_list texts;     /* what they point to */
};

/* Reads the file, if one is named, and sets the options that were not given to what it says. They point into *config,
 * which is to be closed after them, also when this fails. Its lists stay there, since errors in them have to name it. */
int mount_config_open(struct mount_options *options, struct mount_config *config, struct err *err);
void mount_config_close(struct mount_config *config);

#endif
