/* SPDX-License-Identifier: Apache-2.0 */
/* The providers that make up one mount, from the host directory or memory at the bottom to what the options add. */
#ifndef GONDOLIN_FS_WORKER_STACK_H
#define GONDOLIN_FS_WORKER_STACK_H

struct vfs;
struct hostwatch;
struct worker_message;

/* `root_fd` is borrowed; -1 for memory. `watch` (or NULL) is borrowed. NULL with errno. Never freed: the worker serves one session and ends. */
struct vfs *worker_stack_new(const struct worker_message *mount, int root_fd, struct hostwatch *watch);

#endif
