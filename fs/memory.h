/* SPDX-License-Identifier: Apache-2.0 */
/* A provider (fs/vfs.h) that keeps everything in memory: complete POSIX behaviour, nothing outlives the process. */
#ifndef GONDOLIN_FS_MEMORY_H
#define GONDOLIN_FS_MEMORY_H

#include <stdint.h>

struct vfs;

/* Holds at most `size` bytes, what names and inodes take included; ENOSPC beyond. NULL with errno. */
struct vfs *memory_new(uint64_t size);

/* All references must have been given back and all files released. NULL is ignored. */
void memory_free(struct vfs *vfs);

#endif
