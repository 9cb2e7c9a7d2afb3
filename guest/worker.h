/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for work that can take long or block (freezing a file system, starting programs from one that hangs), so that
 * the loop keeps answering. */
#ifndef GONDOLIN_GUEST_WORKER_H
#define GONDOLIN_GUEST_WORKER_H

#include "src/loop.h"

struct worker;

typedef void worker_fn(void *argument);

/* Up to `max_threads` threads (with 1, pieces run one after the other, in order), the first from the start, others only
 * when all are busy. NULL with errno (ENOMEM, EMFILE, EAGAIN). They run with all signals blocked. */
struct worker *worker_new(struct loop *loop, unsigned max_threads);

/* Calls run(argument) in a thread and then done(argument) in the loop. Returns 0 or -ENOMEM (neither is called). */
int worker_submit(struct worker *worker, worker_fn *run, worker_fn *done, void *argument);

/* Waits until no piece is left, also of those that `done` submits. */
void worker_settle(struct worker *worker);

/* Waits for the pieces being worked on. For them and those waiting `done` is called, from here. NULL is ignored. */
void worker_free(struct worker *worker);

#endif
