/* SPDX-License-Identifier: Apache-2.0 */
/* What starting from a checkpoint takes, in place or in a new sandbox. */
#ifndef GONDOLIN_SRC_CHECKPOINT_START_H
#define GONDOLIN_SRC_CHECKPOINT_START_H

#include <stdbool.h>

#include "images/checkpoint.h"
#include "src/err.h"
#include "src/job_record.h"

/* Can a machine of this shape go on from it? With `boot`, and for one of the disk only, always. 0, or -errno with *err. */
int checkpoint_fits(const struct checkpoint *checkpoint, bool boot, const char *shape, struct err *err);

/* The jobs that run in it; none with `boot`. 0, or -errno with *err. */
int checkpoint_read_jobs(const struct checkpoint *checkpoint, bool boot, struct job_records *out, struct err *err);

#endif
