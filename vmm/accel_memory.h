/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict of a probe that ran into its deadline, kept for this boot of the host and this /dev/kvm: finding it out costs
 * each start a tenth of a second. Other verdicts are quick to find, and change when the user does something about them.
 * The file is $XDG_RUNTIME_DIR/gondolin-accel, or in /run/user/UID, or for root in /run. */
#ifndef GONDOLIN_VMM_ACCEL_MEMORY_H
#define GONDOLIN_VMM_ACCEL_MEMORY_H

#include <stdbool.h>

#include "vmm/accel.h"

/* Fills *verdict with what accel_remember kept; false, and *verdict unchanged, when there is nothing that still holds. */
bool accel_recall(struct accel_verdict *verdict);

/* Best effort: where it cannot be kept, the next start probes again. */
void accel_remember(const struct accel_verdict *verdict);

void accel_forget(void);

#endif
