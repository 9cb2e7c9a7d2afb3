/* SPDX-License-Identifier: Apache-2.0 */
/* The providers that make up one mount, from the host directory or memory at the bottom to what the options add. */
#ifndef GONDOLIN_FS_WORKER_STACK_H
#define GONDOLIN_FS_WORKER_STACK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct vfs;
struct hook;
struct hostwatch;
struct worker_message;

/* What the stacks of a worker have in common, borrowed for good. */
struct worker_common {
    struct hostwatch *watch; /* or NULL */
    struct hook *hook;       /* or NULL */
    int mounts_fd;           /* hostdir_config.mounts_fd */
};

/* `mount` is borrowed for good, `root_fd` (-1 for memory) for the call. NULL with errno. Never freed: the worker serves one
 * session and ends. */
struct vfs *worker_stack_new(const struct worker_message *mount, int root_fd, const struct worker_common *common);

/* What the stack keeps in memory, for one made of the same mount in another process; nothing when it keeps nothing there. No
 * request may be under way. 0, or -errno when memory or `out` fails. */
int worker_stack_save(struct vfs *stack, FILE *out);

/* On a stack that has just been made and that nobody uses yet: the `len` bytes (borrowed) that worker_stack_save wrote, of
 * which there are none for a stack without memory. -EPROTO, -ENOSPC or -ENOMEM, as of memory_load: the stack is as
 * before. */
int worker_stack_load(struct vfs *stack, const uint8_t *state, size_t len);

#endif
