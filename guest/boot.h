/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel's start of /init in the initramfs to a running system on the root disk. */
#ifndef GONDOLIN_GUEST_BOOT_H
#define GONDOLIN_GUEST_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/session.h"
#include "src/err.h"

/* Only for PID 1. Mounts /proc, /sys and /dev, loads the modules of /modules/order, waits for the root device (10 s),
 * mounts it, makes it the root without executing anything anew, and frees the initramfs. Then the usual file systems,
 * loopback and limits. Fills the first phases of *times and tells in *root_writable how the root was mounted. Returns
 * 0 or -errno with *err set: the machine is of no use then. */
int boot_run(int uevents, struct boot_times *times, bool *root_writable, struct err *err);

/* Microseconds of CLOCK_BOOTTIME. */
uint64_t boot_now_us(void);

#endif
