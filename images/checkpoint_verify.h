/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin checkpoint verify. */
#ifndef GONDOLIN_IMAGES_CHECKPOINT_VERIFY_H
#define GONDOLIN_IMAGES_CHECKPOINT_VERIFY_H

#include "src/err.h"

/* Compares every file of a checkpoint, of what it lies on and of its image with the recorded digests, whatever was
 * found before, and checks the structure of each of its disks. Errors as checkpoint_open. */
int checkpoint_verify(const char *store, const char *name, struct err *err);

#endif
