/* SPDX-License-Identifier: Apache-2.0 */
/* A provider that hides names of a host directory (fs/patterns.h). What a line with '-' matches is not there: ENOENT, absent
 * from listings, and nothing can be made or moved there (EACCES). What a line with '+' matches is not there either, but
 * may be made: it is kept in memory and never reaches the host.
 *
 * A match by path would end with the path: so directories that such a pattern passes through cannot be renamed. Nothing
 * can be moved or linked between host and memory (EXDEV). */
#ifndef GONDOLIN_FS_SHADOW_H
#define GONDOLIN_FS_SHADOW_H

struct vfs;

/* `hostdir` has to be a provider of fs/hostdir.h; `memory` one of fs/memory.h, NULL without lines with '+'. Both are
 * borrowed. NULL with errno. */
struct vfs *shadow_new(struct vfs *hostdir, struct vfs *memory, const char *lines);

#endif
