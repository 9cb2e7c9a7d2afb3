/* SPDX-License-Identifier: Apache-2.0 */
/* The uncompressed kernel inside a bzImage: it boots faster under emulation, and it is what small VMMs want.
 * Format: the kernel's Documentation/arch/x86/boot.rst (setup_sects, payload_offset, payload_length). */
#ifndef GONDOLIN_IMAGES_BZIMAGE_H
#define GONDOLIN_IMAGES_BZIMAGE_H

#include <stddef.h>

#include "src/err.h"

/* Writes the ELF kernel inside the image of `size` bytes to `fd`. Compressions: what libarchive knows (gzip, bzip2, lzma,
 * xz, lzop, lz4, zstd). Errors: EINVAL (not a bzImage, damaged, or no ELF inside), E2BIG (more than 512 MiB), those of
 * writing. `what` names the image in messages. */
int bzimage_extract(const void *image, size_t size, const char *what, int fd, struct err *err);

#endif
