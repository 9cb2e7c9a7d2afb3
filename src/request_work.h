/* SPDX-License-Identifier: Apache-2.0 */
/* A request on a control file whose work may block (a disk, a lock, a path that leads anywhere, even into this very mount):
 * it has a thread, and whoever waits can be interrupted. */
#ifndef GONDOLIN_SRC_REQUEST_WORK_H
#define GONDOLIN_SRC_REQUEST_WORK_H

#include "fs/control.h"
#include "src/err.h"
#include "src/loop.h"

struct request_work_ops {
    /* In the thread. 0, or a negative value with *err set. */
    int (*work)(void *data, struct err *err);
    /* In the loop, after it. request NULL: nobody waits any more; what the work brought about is to be taken back, or kept.
     * err->code 0: it has succeeded. */
    void (*answer)(void *data, struct control_request *request, const struct err *err);
    void (*free)(void *data);
};

/* Answers at once, in `what`'s name, where no thread can be had. Takes `data` over. NULL for `data`: memory is out. */
void request_work_start(struct loop *loop, struct control_request *request, const char *what,
                        const struct request_work_ops *ops, void *data);

#endif
