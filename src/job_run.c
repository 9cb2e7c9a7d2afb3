/* SPDX-License-Identifier: Apache-2.0 */
/* The file `run`: a command line in, its exit status as the success of the write, its output kept for `last`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/jobs_internal.h"
#include "src/loop.h"

enum { RUN_MAX_WRITE = 64 * 1024, READ_PIECE = 128 * 1024, REPEATED_WITHIN_MS = 100 };

/* What one descriptor of `run` is doing. */
struct run {
    struct job *job; /* the newest it started; referenced */
    struct control_request *parked;
    size_t request_len;
    uint64_t read; /* of the job's stdout */
    off_t offset;  /* of the write that started it */
    uint64_t failed_ms; /* when that write was answered with an error; 0: it was not */
};

static int run_open(struct control_handle *handle)
{
    struct run *run = calloc(1, sizeof *run);
    control_handle_set_state(handle, run);
    return run ? 0 : ENOMEM;
}

static void forget_job(struct run *run)
{
    if (!run->job)
        return;
    run->job->ended = NULL;
    job_unref(run->job);
    run->job = NULL;
}

static void run_release(struct control_handle *handle)
{
    struct run *run = control_handle_state(handle);
    forget_job(run);
    free(run);
}

/* The write's answer for a job that has ended. */
static int verdict(const struct job *job, char *why, size_t size)
{
    const struct job_result *r = &job->result;
    if (job->state == JOB_LOST) {
        snprintf(why, size, "%s", r->reason[0] ? r->reason : "the job has been removed");
        return ENOTCONN;
    }
    if (job->state == JOB_FAILED) {
        snprintf(why, size, "%s", r->reason);
        return r->code == 126 ? ENOEXEC : ENOENT;
    }
    if (r->timeout) {
        snprintf(why, size, "ran out of its time");
        return ETIMEDOUT;
    }
    if (r->signal) {
        snprintf(why, size, "was ended by signal %d", r->signal);
        return EREMOTEIO;
    }
    snprintf(why, size, "exited with %d", r->code);
    return r->code ? EREMOTEIO : 0;
}

static void answer(struct run *run, struct control_request *request)
{
    char why[300], sentence[512];
    int code = verdict(run->job, why, sizeof why);
    run->failed_ms = code ? loop_now_ms() : 0;
    snprintf(sentence, sizeof sentence, "run: \"%.160s\": %s", run->job->cmd, why);
    if (code)
        control_reply_code(request, code, sentence);
    else
        control_reply_written(request, run->request_len);
}

/* Buffered output that could not be written is written again when the file is closed (Python does so, and keeps quiet about
 * it), which must not run a failing command twice. */
static bool is_repeated(struct run *run, const char *data, size_t len, off_t offset, struct control_request *request)
{
    bool repeated = run->failed_ms && loop_now_ms() - run->failed_ms < REPEATED_WITHIN_MS && run->offset == offset &&
                    control_request_continues(request) && strlen(run->job->cmd) == len &&
                    memcmp(run->job->cmd, data, len) == 0;
    run->failed_ms = 0;
    return repeated;
}

static void run_ended(struct job *job, void *data)
{
    (void)job;
    struct run *run = data;
    struct control_request *parked = run->parked;
    if (!parked)
        return;
    run->parked = NULL;
    answer(run, parked);
}

static void run_interrupted(struct control_request *request, void *data)
{
    struct run *run = data;
    run->parked = NULL;
    job_kill(run->job, 9);
    control_reply_error(request, EINTR, "interrupted");
}

static struct job *new_run_job(struct jobs *jobs, const char *data, size_t len)
{
    struct job *job = job_new(jobs, NULL, true);
    if (!job)
        return NULL;
    job->cmd = strndup(data, len);
    job->in.closed = true;
    return job;
}

static void run_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                      struct control_request *request)
{
    struct run *run = control_handle_state(handle);
    struct jobs *jobs = control_handle_object(handle);
    size_t line_len = len;
    while (line_len && data[line_len - 1] == '\n')
        line_len--;
    if (run->parked) {
        control_reply_error(request, EBUSY, "run: this descriptor is running a command already");
        return;
    }
    if (!line_len || memchr(data, 0, line_len)) {
        control_reply_error(request, EINVAL, "run: %s; write a command line", line_len ? "a NUL byte" : "nothing to run");
        return;
    }
    if (is_repeated(run, data, line_len, offset, request)) {
        answer(run, request);
        run->failed_ms = 0;
        return;
    }
    struct job *job = new_run_job(jobs, data, line_len);
    struct err err = {0};
    if (!job) {
        control_reply_error(request, errno, "run: no room for another job: %s", strerror(errno));
        return;
    }
    int code = job_start(job, &err);
    if (code) {
        job_remove(job);
        control_reply_error(request, code, "run: %s", err.text);
        return;
    }
    forget_job(run);
    job->references++;
    *run = (struct run){.job = job, .parked = request, .request_len = len, .offset = offset};
    job->ended = run_ended;
    job->ended_data = run;
    control_request_on_interrupt(request, run_interrupted, run);
}

static void run_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    struct run *run = control_handle_state(handle);
    if (size > READ_PIECE)
        size = READ_PIECE;
    char *buffer = malloc(size ? size : 1);
    int64_t n = !buffer ? -ENOMEM : run->job ? outstream_copy(run->job->out[0], run->read, buffer, size) : 0;
    if (n < 0) {
        control_reply_error(request, (int)-n, "run: output: %s", strerror((int)-n));
    } else {
        run->read += (uint64_t)n;
        control_reply_data(request, buffer, (size_t)n);
    }
    free(buffer);
}

const struct control_ops job_run_ops = {
    .open = run_open,
    .release = run_release,
    .read = run_read,
    .write = run_write,
    .max_write = RUN_MAX_WRITE,
};
