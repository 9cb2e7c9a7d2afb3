/* SPDX-License-Identifier: Apache-2.0 */
/* The process gondolin-vfs (fs/worker_main.c) as the supervisor sees it: started, told what to serve, noticed when it
 * ends. One process serves one session. */
#ifndef GONDOLIN_SRC_VFS_WORKER_H
#define GONDOLIN_SRC_VFS_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/worker_proto.h"
#include "src/err.h"
#include "src/loop.h"

struct vfs_worker;

struct vfs_worker_ops {
    void (*confined)(void *data, uint32_t how, unsigned landlock_abi); /* enum worker_confinement */
    void (*done)(void *data, uint32_t what, uint32_t id, int code);    /* the answer to a message; errno value or 0 */
    void (*log)(void *data, const char *line);
    /* The hook program has said hello (flags: enum worker_hook_flags), or is dead: an errno value and a sentence. */
    void (*hook)(void *data, uint32_t flags, int code, const char *why);
    /* The process is gone, whatever the reason; `why` is a sentence. The callee frees the worker. Called once. */
    void (*ended)(void *data, const char *why);
};

/* Of fs/worker_proto.h. */
struct vfs_worker_fds {
    int stream, counters, window;
};

/* The descriptors are borrowed. NULL with *err set. */
struct vfs_worker *vfs_worker_start(struct loop *loop, const struct vfs_worker_fds *fds, const struct vfs_worker_ops *ops,
                                    void *data, struct err *err);
/* Sends one message, with a descriptor (borrowed) or -1. False when it is not taken: then the worker is ending. */
bool vfs_worker_send(struct vfs_worker *worker, const struct worker_message *message, int fd);
pid_t vfs_worker_pid(const struct vfs_worker *worker);
/* `ended` follows, as soon as the process is gone: one that waits for a disk, or for this very loop, takes its time. */
void vfs_worker_kill(struct vfs_worker *worker);
/* Kills the process if it still runs, and waits for its end, but not for ever; then it is left to whoever inherits it. NULL
 * is ignored. */
void vfs_worker_free(struct vfs_worker *worker);

#endif
