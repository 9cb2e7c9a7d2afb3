/* SPDX-License-Identifier: Apache-2.0 */
/* A provider (fs/vfs.h) that keeps everything in memory: complete POSIX behaviour. Nothing outlives the process but what is
 * saved for another one. */
#ifndef GONDOLIN_FS_MEMORY_H
#define GONDOLIN_FS_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct vfs;

/* Holds at most `size` bytes, what names and inodes take included; ENOSPC beyond. NULL with errno. */
struct vfs *memory_new(uint64_t size);

/* All references must have been given back and all files released. NULL is ignored. */
void memory_free(struct vfs *vfs);

/* The whole tree as it is: whatever has a name, with its numbers, times and places in listings. What is open without a name
 * is not in it. Nobody may be changing the tree. 0, or -errno when memory or `out` fails. */
int memory_save(struct vfs *memory, FILE *out);

/* On a memory that has just been made and that nobody uses yet: what memory_save wrote, in `len` bytes that are borrowed.
 * -EPROTO: that is no such state; -ENOSPC: it holds more than this memory may; -ENOMEM: in each case the tree is empty, as
 * before. -EBUSY: there is something in this memory already. */
int memory_load(struct vfs *memory, const uint8_t *state, size_t len);

#endif
