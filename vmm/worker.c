/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "src/thread.h"

/* Thread and loop let go of the worker one after the other; the second one frees it. */
enum stage { RUNNING, THREAD_ENDED, DONE_CALLED, ABANDONED };

struct worker {
    const struct worker_ops *ops;
    void *data;
    int event;
    struct watch *watch;
    _Atomic enum stage stage;
};

static void worker_free(struct worker *w)
{
    close(w->event);
    free(w);
}

static void *thread(void *data)
{
    struct worker *w = data;
    const struct worker_ops *ops = w->ops;
    void *job = w->data;
    ops->work(job);
    const uint64_t one = 1;
    /* The event goes first: after the exchange the loop may free the worker at any time. An eventfd takes 2^64 - 2. */
    if (write(w->event, &one, sizeof one) < 0)
        abort();
    enum stage before = atomic_exchange(&w->stage, THREAD_ENDED);
    if (before != RUNNING)
        worker_free(w);
    if (before == ABANDONED)
        ops->release(job);
    return NULL;
}

static void work_done(void *data, uint32_t events)
{
    struct worker *w = data;
    const struct worker_ops *ops = w->ops;
    void *job = w->data;
    (void)events;
    watch_del(w->watch);
    if (atomic_exchange(&w->stage, DONE_CALLED) == THREAD_ENDED)
        worker_free(w);
    ops->done(job);
}

static int start_thread(struct worker *w)
{
    pthread_t id;
    int rc = thread_start(&id, 0, thread, w);
    if (rc == 0)
        pthread_detach(id);
    return rc;
}

struct worker *worker_start(struct loop *loop, const struct worker_ops *ops, void *data)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct worker){.ops = ops, .data = data, .event = eventfd(0, EFD_CLOEXEC)};
    int code = w->event < 0 ? errno : 0;
    if (!code && !(w->watch = loop_watch(loop, w->event, EPOLLIN, work_done, w)))
        code = errno;
    if (!code)
        code = start_thread(w);
    if (!code)
        return w;
    watch_del(w->watch);
    if (w->event >= 0)
        close(w->event);
    free(w);
    errno = code;
    return NULL;
}

void worker_abandon(struct worker *w)
{
    if (!w)
        return;
    const struct worker_ops *ops = w->ops;
    void *job = w->data;
    watch_del(w->watch);
    if (atomic_exchange(&w->stage, ABANDONED) == THREAD_ENDED) {
        worker_free(w);
        ops->release(job);
    }
}
