/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of the initramfs. */
#ifndef GONDOLIN_GUEST_MODULES_H
#define GONDOLIN_GUEST_MODULES_H

/* Loads the uncompressed modules that DIRECTORY/order names, one file name a line, in that order. One that fails is
 * logged and passed over: whether it was needed shows soon enough. Without that file nothing is loaded. */
void modules_load(const char *directory);

#endif
