/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/job.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/job_internal.h"
#include "guest/payload.h"
#include "src/cleanup.h"

/* Starts that hang leave the others a thread, and so do programs that hang in the middle of printing. */
enum { KILL_AFTER_TERM_MS = 2000, STARTER_THREADS = 32, PIPE_THREADS = 64 };

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct jobs *jobs_new(struct loop *loop, struct channel *channel, const struct account_files *accounts)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return NULL;
    *jobs = (struct jobs){.loop = loop, .channel = channel, .accounts = accounts};
    jobs->starter = worker_new(loop, STARTER_THREADS);
    jobs->pipes = jobs->starter ? worker_new(loop, PIPE_THREADS) : NULL;
    if (jobs->pipes)
        return jobs;
    worker_free(jobs->starter);
    free(jobs);
    return NULL;
}

void jobs_set_env(struct jobs *jobs, struct envlist *env)
{
    envlist_clear(&jobs->env);
    jobs->env = *env;
    *env = (struct envlist){0};
}

static struct job **slot_of(struct jobs *jobs, uint32_t id)
{
    struct job **at = &jobs->buckets[id % JOB_BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

/* Calls fn for each job; fn may forget the job it is given. */
static void for_each(struct jobs *jobs, void (*fn)(struct job *job, int argument), int argument)
{
    for (size_t i = 0; i < JOB_BUCKETS; i++) {
        struct job *next;
        for (struct job *job = jobs->buckets[i]; job; job = next) {
            next = job->next;
            fn(job, argument);
        }
    }
}

static pid_t starting_pid(const struct starting *starting)
{
    return __atomic_load_n(&starting->start.pid, __ATOMIC_ACQUIRE);
}

/* Sent later, in the state that programs expect; but what hangs before its execution can be killed. */
static void signal_starting(struct starting *starting, int signal)
{
    pid_t pid = starting_pid(starting);
    starting->early_signals |= 1ULL << (signal - 1);
    if (signal == SIGKILL && pid > 0)
        kill(pid, SIGKILL);
}

/* A job with a terminal also has a foreground group of its shell's making. */
static void signal_job(struct job *job, int signal)
{
    pid_t foreground = -1;
    if (job->starting) {
        signal_starting(job->starting, signal);
        return;
    }
    if (job->in.tty && job->out[0].fd >= 0 && ioctl(job->out[0].fd, TIOCGPGRP, &foreground) == 0 && foreground > 1 &&
        foreground != job->pid)
        kill(-foreground, signal);
    if (!job->group_gone)
        kill(-job->pid, signal);
}

static void forget(struct job *job)
{
    struct jobs *jobs = job->owner;
    if (job->starting)
        job->starting->job = NULL;
    else if (job->timed_out && !job->group_gone)
        kill(-job->pid, SIGKILL);
    struct job **at = &jobs->buckets[job->id % JOB_BUCKETS];
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    jobs->count--;
    if (!job->exited)
        jobs->running--;
    timer_cancel(job->timer);
    job_input_close(&job->in);
    job_output_close(&job->out[0]);
    job_output_close(&job->out[1]);
    free(job);
}

static void kill_and_forget(struct job *job, int signal)
{
    signal_job(job, signal);
    forget(job);
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    for_each(jobs, kill_and_forget, SIGKILL);
    worker_free(jobs->starter);
    worker_free(jobs->pipes);
    envlist_clear(&jobs->env);
    free(jobs);
}

static void send_frame(struct jobs *jobs, enum ctl_type type, uint16_t flags, uint32_t id, const void *payload,
                       size_t len)
{
    struct ctl_header header;
    ctl_header_init(&header, type, flags, id, len);
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    channel_send(jobs->channel, iov, len > 0 ? 2 : 1);
}

void jobs_set_notices(struct jobs *jobs, uint64_t (*flush)(void *data), void *data)
{
    jobs->flush_notices = flush;
    jobs->notices_data = data;
}

void jobs_forget_notices(struct jobs *jobs)
{
    jobs->notices_told = 0;
}

void jobs_tell_notices(struct jobs *jobs)
{
    uint64_t sent = jobs->flush_notices ? jobs->flush_notices(jobs->notices_data) : 0;
    if (sent == jobs->notices_told)
        return;
    jobs->notices_told = sent;
    send_frame(jobs, CTL_NOTICES, 0, 0, &sent, sizeof sent);
}

void job_send(struct job *job, enum ctl_type type, uint16_t flags, const void *payload, size_t len)
{
    send_frame(job->owner, type, flags, job->id, payload, len);
}

static void send_json(struct jobs *jobs, enum ctl_type type, uint32_t id, struct json_object *object)
{
    size_t len;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &len);
    if (text)
        send_frame(jobs, type, 0, id, text, len);
    json_object_put(object);
}

static void add_number(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

static int64_t microseconds(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void send_exit(struct job *job)
{
    jobs_tell_notices(job->owner);
    struct json_object *object = json_object_new_object();
    if (WIFSIGNALED(job->status))
        add_number(object, "signal", WTERMSIG(job->status));
    else
        add_number(object, "code", WEXITSTATUS(job->status));
    if (job->timed_out)
        json_object_object_add(object, "timeout", json_object_new_boolean(true));
    add_number(object, "wall_us", (int64_t)job->wall_us);
    add_number(object, "user_us", microseconds(job->usage.ru_utime));
    add_number(object, "sys_us", microseconds(job->usage.ru_stime));
    send_json(job->owner, CTL_JOB_EXIT, job->id, object);
    job->exit_sent = true;
}

static void send_failure(struct jobs *jobs, uint32_t id, int code, const struct err *err)
{
    struct json_object *object = json_object_new_object();
    add_number(object, "code", code);
    json_object_object_add(object, "failed", json_object_new_string(err->text));
    add_number(object, "errno", err->code);
    add_number(object, "wall_us", 0);
    add_number(object, "user_us", 0);
    add_number(object, "sys_us", 0);
    send_json(jobs, CTL_JOB_EXIT, id, object);
}

void job_settle(struct job *job)
{
    if (job->starting)
        return;
    if (job->exited && !job->exit_sent && !job_output_owes(&job->out[0]) && !job_output_owes(&job->out[1]))
        send_exit(job);
    if (job->exit_sent && job->out[0].fd < 0 && job->out[1].fd < 0)
        forget(job);
}

static void kill_after_term(void *data)
{
    struct job *job = data;
    job->timer = NULL;
    signal_job(job, SIGKILL);
}

static void timed_out(void *data)
{
    struct job *job = data;
    job->timed_out = true;
    job->timer = loop_timer(job->owner->loop, KILL_AFTER_TERM_MS, kill_after_term, job);
    signal_job(job, job->timer ? SIGTERM : SIGKILL);
}

static void add_job(struct jobs *jobs, struct job *job)
{
    struct job **slot = slot_of(jobs, job->id);
    job->next = *slot;
    *slot = job;
    jobs->count++;
    jobs->running++;
}

static void execute(void *data)
{
    struct starting *starting = data;
    job_start_execute(&starting->start);
}

static void free_starting(struct starting *starting)
{
    job_start_clear(&starting->start);
    free(starting);
}

/* While its leader was a zombie the group's number was ours. From now on it is only as long as somebody is in it. */
static void check_group(struct job *job, int unused)
{
    (void)unused;
    if (job->exited && !job->group_gone && kill(-job->pid, 0) < 0 && errno == ESRCH)
        job->group_gone = true;
}

/* What its leader's end means for a job that has started. */
static void after_exit(struct job *job)
{
    check_group(job, 0);
    if (!job->timed_out || job->group_gone) {
        timer_cancel(job->timer);
        job->timer = NULL;
    }
    job_output_drain(&job->out[0]);
    job_output_drain(&job->out[1]);
    job_settle(job);
}

static void job_started(struct job *job, const struct starting *starting)
{
    job->starting = NULL;
    job->pid = starting->start.pid;
    struct json_object *object = json_object_new_object();
    add_number(object, "pid", job->pid);
    send_json(job->owner, CTL_JOB_STARTED, job->id, object);
    if (job->in.tty)
        job_send(job, CTL_JOB_DATA, CTL_STDERR, NULL, 0); /* a terminal has one stream */
    check_group(job, 0);
    for (int number = 1; number < NSIG; number++) {
        if (starting->early_signals & 1ULL << (number - 1))
            signal_job(job, number);
    }
    if (job->exited) {
        after_exit(job);
    } else {
        job_output_update(&job->out[0]);
        job_output_update(&job->out[1]);
    }
}

static void executed(void *data)
{
    struct starting *starting = data;
    struct job *job = starting->job;
    if (job && starting->start.err.code == 0) {
        job_started(job, starting);
    } else if (job) {
        send_failure(job->owner, job->id, starting->start.code, &starting->start.err);
        forget(job);
    } else if (starting->start.err.code == 0 && starting->start.pid > 0) {
        kill(-starting->start.pid, SIGKILL);
    }
    free_starting(starting);
}

static struct job *make_job(struct jobs *jobs, uint32_t id, struct starting *starting)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    struct job_stdio *stdio = &starting->start.stdio;
    *job = (struct job){.owner = jobs, .id = id, .start_us = now_us(), .starting = starting};
    int rc = job_input_init(&job->in, job, steal_fd(&stdio->ours[0]), stdio->is_tty);
    rc |= job_output_init(&job->out[0], job, CTL_STDOUT, steal_fd(&stdio->ours[1]), stdio->is_tty);
    rc |= job_output_init(&job->out[1], job, CTL_STDERR, steal_fd(&stdio->ours[2]), stdio->is_tty);
    if (starting->start.spec.timeout_ms > 0)
        job->timer = loop_timer(jobs->loop, starting->start.spec.timeout_ms, timed_out, job);
    add_job(jobs, job);
    starting->job = job;
    if (rc == 0)
        return job;
    forget(job);
    return NULL;
}

static int refuse(const struct jobs *jobs, struct err *err)
{
    if (jobs->closing)
        return err_set(err, ESHUTDOWN, "start job: the sandbox is shutting down");
    if (jobs->count >= JOBS_MAX)
        return err_set(err, EAGAIN, "start job: %d jobs are running already; wait for one to end", JOBS_MAX);
    return 0;
}

/* A failure is left in starting->start. */
static int try_start(struct jobs *jobs, uint32_t id, const void *payload, size_t len, struct starting *starting)
{
    struct job_start *what = &starting->start;
    int rc = job_start_prepare(what, payload, len, &jobs->env, jobs->accounts);
    if (rc < 0)
        return rc;
    struct job *job = make_job(jobs, id, starting);
    if (!job)
        return err_errno(&what->err, ENOMEM, "start job");
    if (worker_submit(jobs->starter, execute, executed, starting) < 0) {
        forget(job);
        return err_errno(&what->err, ENOMEM, "start job");
    }
    return 0;
}

static void start(struct jobs *jobs, uint32_t id, const void *payload, size_t len)
{
    struct err err = {0};
    struct starting *starting = NULL;
    if (refuse(jobs, &err) == 0) {
        starting = calloc(1, sizeof *starting);
        if (!starting)
            err_errno(&err, ENOMEM, "start job");
    }
    if (!starting) {
        send_failure(jobs, id, EXIT_CANNOT_EXECUTE, &err);
    } else if (try_start(jobs, id, payload, len, starting) < 0) {
        send_failure(jobs, id, starting->start.code, &starting->start.err);
        free_starting(starting);
    }
}

static int wrong_size(struct err *err, size_t len)
{
    return err_set(err, EPROTO, "a payload of %zu bytes", len);
}

static int take_data(struct job *job, uint16_t stream, const uint8_t *payload, size_t len, struct err *err)
{
    if (stream != CTL_STDIN)
        return err_set(err, EPROTO, "data for stream %u, which is not stdin", stream);
    if (job_input_data(&job->in, payload, len) < 0)
        return err_set(err, EPROTO, "%zu bytes of stdin beyond the credit or after its end", len);
    return 0;
}

static int take_credit(struct job *job, uint16_t stream, const uint8_t *payload, size_t len, struct err *err)
{
    uint32_t bytes;
    if (len != sizeof bytes)
        return wrong_size(err, len);
    memcpy(&bytes, payload, sizeof bytes);
    if ((stream != CTL_STDOUT && stream != CTL_STDERR) || job_output_credit(&job->out[stream - CTL_STDOUT], bytes) < 0)
        return err_set(err, EPROTO, "a credit of %u bytes for stream %u that was never used", bytes, stream);
    return 0;
}

static int take_signal(struct job *job, const uint8_t *payload, size_t len, struct err *err)
{
    uint32_t number;
    if (len != sizeof number)
        return wrong_size(err, len);
    memcpy(&number, payload, sizeof number);
    if (number < 1 || number >= (uint32_t)NSIG)
        return err_set(err, EPROTO, "signal %u, which does not exist", number);
    signal_job(job, (int)number);
    return 0;
}

static int take_winsize(struct job *job, const uint8_t *payload, size_t len, struct err *err)
{
    uint16_t size[2];
    if (len != sizeof size)
        return wrong_size(err, len);
    memcpy(size, payload, sizeof size);
    struct winsize winsize = {.ws_row = size[0], .ws_col = size[1]};
    if (job->in.tty && job->out[0].fd >= 0)
        ioctl(job->out[0].fd, TIOCSWINSZ, &winsize);
    return 0;
}

static int job_frame(struct job *job, const struct ctl_header *header, const uint8_t *payload, size_t len,
                     struct err *err)
{
    switch (header->type) {
    case CTL_JOB_START:
        return err_set(err, EPROTO, "a start of a job that is there already");
    case CTL_JOB_DATA:
        return take_data(job, header->flags, payload, len, err);
    case CTL_JOB_CREDIT:
        return take_credit(job, header->flags, payload, len, err);
    case CTL_JOB_SIGNAL:
        return take_signal(job, payload, len, err);
    case CTL_JOB_WINSIZE:
        return take_winsize(job, payload, len, err);
    case CTL_JOB_CLOSE:
        kill_and_forget(job, SIGKILL);
        return 0;
    default:
        return err_set(err, EPROTO, "a type that only the guest sends");
    }
}

int jobs_frame(struct jobs *jobs, const struct ctl_header *header, const uint8_t *payload, size_t len, struct err *err)
{
    struct job *job = *slot_of(jobs, header->id);
    int rc = 0;
    if (job)
        rc = job_frame(job, header, payload, len, err);
    else if (header->type == CTL_JOB_START)
        start(jobs, header->id, payload, len);
    return rc < 0 ? err_wrap(err, "job %u: frame of type %u", header->id, header->type) : 0;
}

static struct job *find_leader(struct jobs *jobs, pid_t pid)
{
    for (size_t i = 0; i < JOB_BUCKETS; i++) {
        for (struct job *job = jobs->buckets[i]; job; job = job->next) {
            if (!job->exited && (job->starting ? starting_pid(job->starting) : job->pid) == pid)
                return job;
        }
    }
    return NULL;
}

static void leader_ended(struct job *job, int status, const struct rusage *usage)
{
    job->exited = true;
    job->owner->running--;
    job->status = status;
    job->usage = *usage;
    job->wall_us = now_us() - job->start_us;
    if (!job->starting)
        after_exit(job);
}

void jobs_reap(struct jobs *jobs)
{
    int status;
    struct rusage usage;
    pid_t pid;
    bool orphans = false;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        struct job *job = find_leader(jobs, pid);
        if (job)
            leader_ended(job, status, &usage);
        else
            orphans = true;
    }
    if (orphans)
        for_each(jobs, check_group, 0);
}

static void resume_output(struct job *job, int unused)
{
    (void)unused;
    job_output_update(&job->out[0]);
    job_output_update(&job->out[1]);
    job_settle(job);
}

void jobs_resume(struct jobs *jobs)
{
    jobs->congested = false;
    for_each(jobs, resume_output, 0);
}

void jobs_shutdown(struct jobs *jobs, int signal)
{
    jobs->closing = true;
    for_each(jobs, signal_job, signal);
}

void jobs_take_rest(struct jobs *jobs)
{
    worker_settle(jobs->pipes);
}

size_t jobs_running(const struct jobs *jobs)
{
    return jobs->running;
}
