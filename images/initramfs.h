/* SPDX-License-Identifier: Apache-2.0 */
/* The initramfs: a cpio archive (newc, uncompressed: decompression costs more than the bytes) of
 *
 *   init               the guest agent
 *   dev/console        so that the kernel can give init a console
 *   modules/NAME.ko    loaded at boot, in the order of the lines of
 *   modules/order      NAME.ko, one per line
 *   modules/extra/NAME.ko, modules/extra/order   the same for modules loaded when needed
 *
 * The same input gives the same bytes. */
#ifndef GONDOLIN_IMAGES_INITRAMFS_H
#define GONDOLIN_IMAGES_INITRAMFS_H

#include "images/kernel.h"
#include "src/err.h"

/* Writes it to a new file. `agent` is a descriptor of the agent's binary. Errors: of the modules (ENOENT), of writing. */
int initramfs_write(const char *path, const struct kernel *kernel, int agent, struct err *err);

#endif
