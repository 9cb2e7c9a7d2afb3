/* SPDX-License-Identifier: Apache-2.0 */
/* The process of one sandbox: its machine, its mount, its jobs.
 *
 *   new -> starting -> running -> stopping -> exited
 *              \____________________________-> failed
 *
 * starting: the mount is there, the guest boots. Any end of the machine, asked for or not, ends the sandbox: waiting
 * callers get ENOTCONN, the mount is detached, nothing is left behind. */
#ifndef GONDOLIN_SRC_SUPERVISOR_H
#define GONDOLIN_SRC_SUPERVISOR_H

#include "images/checkpoint.h"
#include "images/image.h"
#include "src/err.h"
#include "src/mount_options.h"
#include "src/mount_spec.h"
#include "src/vfs_hook.h"

struct supervisor_start {
    const struct mount_options *options;
    const char *mountpoint; /* resolved, absolute */
    bool made_mountpoint;   /* to be removed at the end */
    struct image *image;    /* borrowed */
    struct checkpoint *from; /* NULL: none; borrowed, and moved out of when it has been used */
    struct mount_specs *mounts; /* emptied */
    const struct vfs_hook_spec *hook; /* NULL: none */
    int waiter_fd;          /* the writing end of a pipe; that nobody reads it any more ends a sandbox that boots. -1: none */
};

/* Called when the guest serves jobs and files. `id` is the sandbox's. */
typedef void supervisor_ready_fn(void *data, const char *id);

/* Runs a sandbox to its end. Returns 0 when it ended because somebody wanted it to (umount, ctl, power-off in the guest),
 * else -errno with *err set. */
int supervisor_run(const struct supervisor_start *start, supervisor_ready_fn *ready, void *data, struct err *err);

#endif
