/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a supervisor (src/supervisor.h), in this process or in one of its own, and telling when the guest is ready. */
#ifndef GONDOLIN_SRC_MOUNT_START_H
#define GONDOLIN_SRC_MOUNT_START_H

#include <signal.h>

#include "src/err.h"
#include "src/supervisor.h"

/* Signals that end a mount are blocked from before it makes anything; the supervisor and its waiting parent take them when
 * they can clean up. *set is what has been blocked. */
void mount_block_signals(sigset_t *set);

/* Both print the mount point and the sandbox's id when the guest is ready, and what went wrong otherwise. They return the
 * exit code of the program: the one at the sandbox's end, the other when it is ready. */
int mount_in_foreground(const char *verb, const struct supervisor_start *start);
int mount_in_background(struct supervisor_start *start);

/* Prints the error and returns the exit code. Sentences are about a mount and its place: those are left out for any other
 * verb, whose caller has asked for neither. */
int mount_failed(const char *verb, const struct err *err, const char *mountpoint);

#endif
