/* SPDX-License-Identifier: Apache-2.0 */
/* jobs/NAME/wait: blocks until the job has ended, gives one line, then end of file. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "src/jobs_internal.h"

/* One descriptor of `wait`. Shells read it byte by byte. */
struct job_waiter {
    struct job_waiter *next;
    struct control_handle *handle;
    struct control_request *parked;
    size_t parked_size, given;
};

static int wait_open(struct control_handle *handle)
{
    struct job *job = control_handle_object(handle);
    struct job_waiter *w = calloc(1, sizeof *w);
    if (!w)
        return ENOMEM;
    w->handle = handle;
    w->next = job->waiters;
    job->waiters = w;
    control_handle_set_state(handle, w);
    return 0;
}

static void wait_release(struct control_handle *handle)
{
    struct job *job = control_handle_object(handle);
    struct job_waiter **at = &job->waiters;
    while ((*at)->handle != handle)
        at = &(*at)->next;
    struct job_waiter *w = *at;
    *at = w->next;
    free(w);
}

static void give(const struct job *job, struct job_waiter *w, size_t size, struct control_request *request)
{
    char line[JOB_RESULT_MAX + 1];
    job_describe_result(job, line, sizeof line - 1);
    size_t len = strlen(line);
    line[len++] = '\n';
    size_t left = len - w->given;
    size_t n = left < size ? left : size;
    w->given += n;
    control_reply_data(request, line + len - left, n);
}

void job_wait_tell(struct job *job)
{
    for (struct job_waiter *w = job->waiters; w; w = w->next) {
        struct control_request *parked = w->parked;
        w->parked = NULL;
        if (parked)
            give(job, w, w->parked_size, parked);
        control_notify(w->handle);
    }
}

static void interrupted(struct control_request *request, void *data)
{
    struct job_waiter *w = data;
    w->parked = NULL;
    control_reply_error(request, EINTR, "interrupted");
}

static void wait_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    const struct job *job = control_handle_object(handle);
    struct job_waiter *w = control_handle_state(handle);
    if (job_over(job)) {
        give(job, w, size, request);
    } else if (control_handle_flags(handle) & O_NONBLOCK) {
        control_reply_error(request, EAGAIN, "wait: job %s has not ended", job->name);
    } else if (w->parked) {
        control_reply_error(request, EBUSY, "wait: job %s: another read of this descriptor is waiting", job->name);
    } else {
        w->parked = request;
        w->parked_size = size;
        control_request_on_interrupt(request, interrupted, w);
    }
}

static unsigned wait_poll(struct control_handle *handle)
{
    return job_over(control_handle_object(handle)) ? POLLIN : 0;
}

static void wait_freed(void *object)
{
    job_unref(object);
}

const struct control_ops job_wait_ops = {
    .open = wait_open,
    .release = wait_release,
    .read = wait_read,
    .poll = wait_poll,
    .freed = wait_freed,
    .stream = true,
};
