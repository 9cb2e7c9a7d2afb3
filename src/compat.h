/* SPDX-License-Identifier: Apache-2.0 */
/* Can a machine go on from a saved state here? */
#ifndef GONDOLIN_SRC_COMPAT_H
#define GONDOLIN_SRC_COMPAT_H

#include "images/checkpoint.h"
#include "src/err.h"

/* Compares what the checkpoint was made with, and `shape` (vmm_backend.shape) of a machine here. 0, or -EOPNOTSUPP with a
 * sentence that names everything that differs, and says that the disk alone would do. */
int compat_check(const struct checkpoint *checkpoint, const char *shape, struct err *err);

#endif
