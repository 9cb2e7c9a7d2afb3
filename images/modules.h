/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel modules have to be loaded, in which order: modules.dep and modules.builtin as written by depmod(8),
 * formats in modules.dep(5). Module names are written with '_' where file names may have '-'. */
#ifndef GONDOLIN_IMAGES_MODULES_H
#define GONDOLIN_IMAGES_MODULES_H

#include "images/names.h"
#include "src/err.h"

struct modules;

/* Reads DIRECTORY/modules.dep and modules.builtin (lib/modules/RELEASE). Free with modules_free. Errors: those of
 * reading, E2BIG (a file of more than 4 MiB), EINVAL (not the format). */
int modules_load(const char *directory, struct modules **out, struct err *err);

/* Appends each of the NULL-terminated `wanted` module names that is not built into the kernel and not yet in *order,
 * after everything it depends on. ENOENT names a module that the kernel does not have; EINVAL: a dependency circle. */
int modules_resolve(const struct modules *modules, const char *const *wanted, struct names *order, struct err *err);

/* The file of a module, relative to the directory; borrowed. NULL if there is none. */
const char *modules_file(const struct modules *modules, const char *name);

/* The name of the module in `file`: its last component without ".ko...", '-' made '_'. 0 or -EINVAL, when it is empty or
 * does not fit. */
int modules_name_of(const char *file, char *name, size_t size);

void modules_free(struct modules *modules);

#endif
