/* SPDX-License-Identifier: Apache-2.0 */
/* Symlinks of the guest as a host process may follow them: every target ends up inside the guest's tree, however the
 * guest wrote it. */
#ifndef GONDOLIN_FS_JAIL_H
#define GONDOLIN_FS_JAIL_H

#include <stddef.h>

/* Writes to `out` (capacity `out_size`, no NUL added) the target to show for a link whose directory is `depth`
 * directories below the root of the tree.
 *
 * A relative target passes as it is when it climbs at most `depth` directories, all of them at its beginning: only then
 * does the kernel's own walk of `..` stay inside, whatever symlinks the rest passes through. Everything else (absolute
 * targets, `..` behind a name, climbing too far) is resolved by text alone, clamped at the tree's root, and written as a
 * relative path from the link's directory.
 * Returns the length, or -EIO (empty target, or one with a NUL), -ENAMETOOLONG. */
int jail_target(const char *target, size_t len, unsigned depth, char *out, size_t out_size);

#endif
