/* SPDX-License-Identifier: Apache-2.0 */
/* The distribution's kernel: its package, taken apart once and kept in the store's cache.
 *
 *   STORE/cache/kernel/PACKAGE_VERSION/{vmlinuz,vmlinux,release,lib/modules/RELEASE/{kernel/NAME.ko,modules.*}} */
#ifndef GONDOLIN_IMAGES_KERNEL_H
#define GONDOLIN_IMAGES_KERNEL_H

#include "images/apt.h"
#include "images/contain.h"
#include "src/err.h"

struct kernel {
    char *package, *version; /* of the package */
    char *release;           /* as uname -r tells it */
    char *image;             /* path: bzImage, for the libguestfs appliance */
    char *elf;               /* path: uncompressed, for sandboxes */
    char *modules;           /* path: lib/modules/RELEASE, indexed by depmod */
};

/* Finds the kernel in the cache, or downloads and unpacks its package. Errors: ENOTSUP (an architecture without a
 * cloud kernel), and those of apt, of unpacking and of writing. Free with kernel_free. */
int kernel_open(const char *store, const struct apt *apt, const struct contained *contained, struct kernel *kernel,
                struct err *err);
/* Any that is in the cache, for the appliance; package and version stay NULL. ENOENT says how to get one. */
int kernel_open_cached(const char *store, struct kernel *kernel, struct err *err);
void kernel_free(struct kernel *kernel);

#endif
