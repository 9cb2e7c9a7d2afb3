/* SPDX-License-Identifier: Apache-2.0 */
/* The one FUSE mount of a sandbox. Reads each request of the host's kernel once and gives it, by its node id, to
 * libfuse's low-level session (control files) or to the pump (everything under root/). */
#ifndef GONDOLIN_FS_FRONT_H
#define GONDOLIN_FS_FRONT_H

#include <stdbool.h>

#include "fs/control.h"
#include "fs/pump.h"
#include "src/err.h"
#include "src/loop.h"

struct front;

struct front_config {
    const char *mountpoint;
    bool allow_other;
    struct hostview_config view;
};

struct front_ops {
    /* Unmounted from outside (umount, fusermount3 -u) or the connection was aborted. */
    void (*unmounted)(void *data);
    /* The file channel broke; `why` is a sentence. */
    void (*guest_files_gone)(void *data, const char *why);
};

/* Mounts. The control tree is borrowed. NULL with *err set. */
struct front *front_new(struct loop *loop, const struct front_config *config, struct control *control,
                        const struct front_ops *ops, void *data, struct err *err);
/* Unmounts (lazily when busy) unless that has happened, answers what waits, frees. */
void front_free(struct front *front);

struct pump *front_pump(struct front *front);
/* Begins a session with a guest, see pump_connect; its notices are counted anew. */
int front_connect(struct front *front, int fd, int window_fd);
/* From now on every request is refused with ENOTCONN; answers to parked ones still go out. */
void front_close(struct front *front);
/* Calls `done` once the first `count` notices of the guest have reached the host's kernel: at once, or later from the
 * loop. One waiter at a time; a second call replaces the first. */
void front_await_notices(struct front *front, uint64_t count, void (*done)(void *data), void *data);
/* Whoever waits with that `data` no longer does. */
void front_stop_awaiting(struct front *front, const void *data);
/* Detaches the mount now; requests in flight end with ENOTCONN. */
void front_unmount(struct front *front);

#endif
