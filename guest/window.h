/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that is shared with the host (fs/window.h), as the guest finds it: BAR 2 of a PCI device. */
#ifndef GONDOLIN_GUEST_WINDOW_H
#define GONDOLIN_GUEST_WINDOW_H

#include <stdint.h>

#include "fs/window.h"

/* Maps one half (WINDOW_HALF bytes), for the caller to unmap. NULL where there is no such device, or it cannot be mapped. */
uint8_t *window_map(enum window_half half);

#endif
