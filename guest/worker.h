/* SPDX-License-Identifier: Apache-2.0 */
/* One thread for work that can take long or block (freezing a file system, walking directories), so that the loop keeps
 * answering. Pieces run one after the other, in order. */
#ifndef GONDOLIN_GUEST_WORKER_H
#define GONDOLIN_GUEST_WORKER_H

#include "src/loop.h"

struct worker;

typedef void worker_fn(void *argument);

/* NULL with errno (ENOMEM, EMFILE, EAGAIN). The thread starts with all signals blocked. */
struct worker *worker_new(struct loop *loop);

/* Calls run(argument) in the thread and then done(argument) in the loop. Returns 0 or -ENOMEM (neither is called). */
int worker_submit(struct worker *worker, worker_fn *run, worker_fn *done, void *argument);

/* Waits for the piece being worked on. For it and those waiting `done` is called, from here. NULL is ignored. */
void worker_free(struct worker *worker);

#endif
