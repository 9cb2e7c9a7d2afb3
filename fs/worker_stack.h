/* SPDX-License-Identifier: Apache-2.0 */
/* The providers that make up one mount, from the host directory or memory at the bottom to what the options add. */
#ifndef GONDOLIN_FS_WORKER_STACK_H
#define GONDOLIN_FS_WORKER_STACK_H

struct vfs;
struct hook;
struct hostwatch;
struct worker_message;

/* `mount` is borrowed for good, `root_fd` (-1 for memory) for the call, `watch` and `hook` (each or NULL) for good. NULL
 * with errno. Never freed: the worker serves one session and ends. */
struct vfs *worker_stack_new(const struct worker_message *mount, int root_fd, struct hostwatch *watch, struct hook *hook);

#endif
