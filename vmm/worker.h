/* SPDX-License-Identifier: Apache-2.0 */
/* Work in a thread of its own, for what blocks; its end is an event of the loop. */
#ifndef GONDOLIN_VMM_WORKER_H
#define GONDOLIN_VMM_WORKER_H

#include "src/loop.h"

struct worker;

struct worker_ops {
    void (*work)(void *data);    /* in the thread; all signals are blocked */
    void (*done)(void *data);    /* in the loop, after it; the worker is gone */
    void (*release)(void *data); /* instead of `done`, after `work`, in either thread, when it was abandoned */
};

/* NULL with errno (EAGAIN, ENOMEM, EMFILE); `data` is then the caller's. */
struct worker *worker_start(struct loop *loop, const struct worker_ops *ops, void *data);

/* The result is no longer wanted. `data` belongs to the worker from now on. */
void worker_abandon(struct worker *worker);

#endif
