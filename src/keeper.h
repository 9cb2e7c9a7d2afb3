/* SPDX-License-Identifier: Apache-2.0 */
/* The process that cleans up behind a supervisor that was killed: it waits on a pipe whose other end only the supervisor
 * holds, then takes down the dead mount and removes the sandbox's directories. */
#ifndef GONDOLIN_SRC_KEEPER_H
#define GONDOLIN_SRC_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "src/err.h"
#include "src/loop.h"

struct keeper;

struct keeper_duties {
    const char *mountpoint;
    bool remove_mountpoint;
    const char *session_dir, *work_dir;
    void (*restarted)(void *data); /* keeper_pid has changed */
    void *data;
};

/* Starts libexec/gondolin-keeper; it is started again should it die. NULL with *err set. */
struct keeper *keeper_start(struct loop *loop, const struct keeper_duties *duties, struct err *err);
pid_t keeper_pid(const struct keeper *keeper);
/* The supervisor has cleaned up by itself: dismisses the keeper and waits for its end. NULL is ignored. */
void keeper_dismiss(struct keeper *keeper);

#endif
