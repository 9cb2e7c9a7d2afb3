/* SPDX-License-Identifier: Apache-2.0 */
/* The named byte streams to the host (virtio-serial ports). */
#ifndef GONDOLIN_GUEST_PORTS_H
#define GONDOLIN_GUEST_PORTS_H

/* Opens the port of that name; there is no udev, so names are looked up in sysfs. Returns the fd (non-blocking,
 * close-on-exec), -ENOENT while there is no such port (yet), or the -errno of opening it (-EBUSY: open already). */
int ports_open(const char *name);

#endif
