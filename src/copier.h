/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that copies one descriptor to another until the end.
 *
 * Threads, because both sides may be files that only know blocking calls well: a terminal shared with other programs
 * must not be made non-blocking, and poll on a FUSE file costs the same round trip as the read that it saves. */
#ifndef GONDOLIN_SRC_COPIER_H
#define GONDOLIN_SRC_COPIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum copier_state {
    COPIER_IDLE,    /* not started */
    COPIER_RUNNING,
    COPIER_ENDED,   /* end of file */
    COPIER_FAILED,  /* reading failed: `error` */
    COPIER_ESCAPED, /* the escape byte was read */
};

struct copier {
    int from, to;
    bool close_to;   /* close `to` at the end, which is how the other side learns of it */
    int escape;      /* a byte (0..255) that ends the copying, or -1 */
    int notify_fd;   /* eventfd, written when anything below changes (`copied` only when `wake_at` is reached) */
    _Atomic enum copier_state state;
    _Atomic int error;        /* errno of a failed read */
    _Atomic int write_error;  /* errno of a failed write; what comes after it is read and thrown away */
    _Atomic uint64_t copied;  /* bytes taken from `from` and done with */
    _Atomic uint64_t wake_at; /* tell when `copied` reaches this */
};

/* Starts the thread, detached; all signals are to be blocked already. The struct has to live as long as the process. 0
 * or -errno. */
int copier_start(struct copier *copier);

#endif
