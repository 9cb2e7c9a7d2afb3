/* SPDX-License-Identifier: Apache-2.0 */
/* The hook program (--vfs-hook) as the supervisor sees it: started with one end of a socket as its standard input and
 * output, the other end being gondolin-vfs's, and noticed when it ends. What is said on the socket is fs/hook.h. */
#ifndef GONDOLIN_SRC_VFS_HOOK_H
#define GONDOLIN_SRC_VFS_HOOK_H

#include <sys/types.h>

#include "src/err.h"
#include "src/loop.h"

/* What --vfs-hook says. */
struct vfs_hook_spec {
    char **words;     /* NULL-terminated, malloc'd in one block; NULL: there is no hook */
    char *program;    /* words[0], absolute */
    int directory_fd; /* where it runs: the one that gondolin was called in */
};

/* Takes the program and its arguments apart as sh(1) quotes them, and looks whether there is such a program. 0, or -errno
 * with *err set (-EINVAL, -ENOENT, -EACCES, ...) and nothing to free. */
int vfs_hook_spec_read(const char *text, struct vfs_hook_spec *out, struct err *err);
void vfs_hook_spec_free(struct vfs_hook_spec *spec);

struct vfs_hook;

struct vfs_hook_ops {
    void (*log)(void *data, const char *line); /* of its standard error, or about its end */
    /* The process is gone. The callee frees the hook. Called once. */
    void (*ended)(void *data);
};

/* `spec` is borrowed for the call. *socket is the other end, the caller's. NULL with *err set. */
struct vfs_hook *vfs_hook_start(struct loop *loop, const struct vfs_hook_spec *spec, const struct vfs_hook_ops *ops,
                                void *data, int *socket, struct err *err);
pid_t vfs_hook_pid(const struct vfs_hook *hook);
/* With all that it has started in its session; `ended` follows as soon as it is gone, which may take as long as a file of
 * this very sandbox that it reads. */
void vfs_hook_kill(struct vfs_hook *hook);
/* Kills it if it still runs; then it is left to whoever inherits it. NULL is ignored. */
void vfs_hook_free(struct vfs_hook *hook);

#endif
