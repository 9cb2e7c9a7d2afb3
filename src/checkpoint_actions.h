/* SPDX-License-Identifier: Apache-2.0 */
/* The actions of gondolin checkpoint that only look. */
#ifndef GONDOLIN_SRC_CHECKPOINT_ACTIONS_H
#define GONDOLIN_SRC_CHECKPOINT_ACTIONS_H

#include <stdbool.h>

#include "src/options.h"

struct checkpoint_options {
    bool json, disk, with_image;
};

int checkpoint_ls(const struct operands *operands, const void *options);
int checkpoint_tree(const struct operands *operands, const void *options);
int checkpoint_diff_action(const struct operands *operands, const void *options);
int checkpoint_show(const struct operands *operands, const void *options);

#endif
