/* SPDX-License-Identifier: Apache-2.0 */
/* jobs/NAME/stdin: bytes from one host writer to the guest, never more than the guest has given credit for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fs/wire.h"
#include "src/jobs_internal.h"

static bool can_send(const struct job *job)
{
    return job->jobs->link && (job->state == JOB_STARTING || job->state == JOB_RUNNING);
}

/* Sends as much as credit and frame size allow; returns the bytes sent. */
static size_t send_input(struct job *job, const char *data, size_t len)
{
    size_t sent = 0;
    while (sent < len && job->in.credit && can_send(job)) {
        size_t piece = len - sent;
        if (piece > job->in.credit)
            piece = job->in.credit;
        if (piece > CTL_MAX_PAYLOAD)
            piece = CTL_MAX_PAYLOAD;
        if (!agent_link_send(job->jobs->link, CTL_JOB_DATA, CTL_STDIN, job->id, data + sent, piece))
            break;
        job->in.credit -= (uint32_t)piece;
        sent += piece;
    }
    return sent;
}

static void drop_pending(struct job *job)
{
    free(job->in.pending);
    job->in.pending = NULL;
    job->in.parked = NULL;
}

/* What was sent of a parked write counts as written; when that is nothing, `code` is the answer. */
static void answer_parked(struct job *job, int code)
{
    struct control_request *parked = job->in.parked;
    size_t sent = job->in.pending_sent;
    if (!parked)
        return;
    drop_pending(job);
    if (sent)
        control_reply_written(parked, sent);
    else
        control_reply_error(parked, code, "stdin: job %s: %s", job->name, strerror(code));
}

void job_input_fail(struct job *job, int code)
{
    answer_parked(job, code);
    if (job->in.handle)
        control_notify(job->in.handle);
}

void job_input_credit(struct job *job, uint32_t credit)
{
    struct job_input *in = &job->in;
    if (credit > CTL_STREAM_WINDOW - in->credit)
        credit = CTL_STREAM_WINDOW - in->credit;
    in->credit += credit;
    if (in->parked) {
        in->pending_sent += send_input(job, in->pending + in->pending_sent, in->pending_len - in->pending_sent);
        if (in->pending_sent == in->pending_len) {
            struct control_request *parked = in->parked;
            size_t len = in->pending_len;
            drop_pending(job);
            control_reply_written(parked, len);
        }
    }
    if (in->handle && in->credit)
        control_notify(in->handle);
}

void job_input_close(struct job *job)
{
    if (job->in.closed)
        return;
    job->in.closed = true;
    answer_parked(job, EPIPE); /* nothing may follow the end */
    if (can_send(job))
        agent_link_send(job->jobs->link, CTL_JOB_DATA, CTL_STDIN, job->id, NULL, 0);
}

static int stdin_open(struct control_handle *handle)
{
    struct job *job = control_handle_object(handle);
    if (job->in.handle || job->in.closed) {
        control_set_error(job->jobs->control, job->in.closed ? "stdin: job %s: has been closed"
                                                             : "stdin: job %s: somebody else has it open", job->name);
        return job->in.closed ? EPIPE : EBUSY;
    }
    job->in.handle = handle;
    return 0;
}

static void stdin_release(struct control_handle *handle)
{
    struct job *job = control_handle_object(handle);
    job->in.handle = NULL;
    job_input_close(job);
}

static void stdin_interrupted(struct control_request *request, void *data)
{
    (void)request;
    answer_parked(data, EINTR);
}

static void stdin_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                        struct control_request *request)
{
    (void)offset;
    struct job *job = control_handle_object(handle);
    struct job_input *in = &job->in;
    if (job_over(job) || in->closed) {
        control_reply_error(request, EPIPE, "stdin: job %s no longer reads", job->name);
        return;
    }
    if (in->parked) {
        control_reply_error(request, EBUSY, "stdin: job %s: another write is waiting", job->name);
        return;
    }
    if (job->state == JOB_NEW) {
        control_reply_error(request, EBUSY, "stdin: job %s has not been started", job->name);
        return;
    }
    size_t sent = send_input(job, data, len);
    if (sent == len) {
        control_reply_written(request, len);
        return;
    }
    if (control_handle_flags(handle) & O_NONBLOCK) {
        if (sent)
            control_reply_written(request, sent);
        else
            control_reply_error(request, EAGAIN, "stdin: job %s is not reading", job->name);
        return;
    }
    in->pending = malloc(len);
    if (!in->pending) {
        control_reply_error(request, ENOMEM, "stdin: out of memory");
        return;
    }
    memcpy(in->pending, data, len);
    in->pending_len = len;
    in->pending_sent = sent;
    in->parked = request;
    control_request_on_interrupt(request, stdin_interrupted, job);
}

static unsigned stdin_poll(struct control_handle *handle)
{
    const struct job *job = control_handle_object(handle);
    if (job_over(job) || job->in.closed)
        return POLLERR;
    return job->in.credit && can_send(job) ? POLLOUT : 0;
}

static void stdin_freed(void *object)
{
    job_unref(object);
}

const struct control_ops job_stdin_ops = {
    .open = stdin_open,
    .release = stdin_release,
    .write = stdin_write,
    .poll = stdin_poll,
    .freed = stdin_freed,
    .max_write = WIRE_IO_LIMIT,
    .stream = true,
};
