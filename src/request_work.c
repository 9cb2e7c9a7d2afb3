/* SPDX-License-Identifier: Apache-2.0 */
#include "src/request_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/worker.h"

struct request_work {
    const struct request_work_ops *ops;
    void *data;
    struct control_request *request; /* NULL: nobody waits any more */
    struct err err;
};

static void work(void *data)
{
    struct request_work *w = data;
    w->ops->work(w->data, &w->err);
}

static void work_free(void *data)
{
    struct request_work *w = data;
    w->ops->free(w->data);
    free(w);
}

static void done(void *data)
{
    struct request_work *w = data;
    w->ops->answer(w->data, w->request, &w->err);
    work_free(w);
}

static void interrupted(struct control_request *request, void *data)
{
    struct request_work *w = data;
    w->request = NULL;
    control_reply_error(request, EINTR, "interrupted");
}

void request_work_start(struct loop *loop, struct control_request *request, const char *what,
                        const struct request_work_ops *ops, void *data)
{
    static const struct worker_ops worker_ops = {.work = work, .done = done, .release = work_free};
    struct request_work *w = data ? calloc(1, sizeof *w) : NULL;
    if (w) {
        *w = (struct request_work){.ops = ops, .data = data, .request = request};
        if (worker_start(loop, &worker_ops, w)) {
            control_request_on_interrupt(request, interrupted, w);
            return;
        }
    }
    control_reply_error(request, w ? errno : ENOMEM, "%s: %s", what, strerror(w ? errno : ENOMEM));
    if (data)
        ops->free(data);
    free(w);
}
