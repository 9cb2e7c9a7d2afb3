/* SPDX-License-Identifier: Apache-2.0 */
#include "src/jobs_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/printable.h"
#include "src/shquote.h"

static const char *const state_names[] = {"new", "starting", "running", "exited", "failed", "lost"};
static_assert(sizeof state_names / sizeof *state_names == JOB_STATES, "every state has its name");

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

bool job_over(const struct job *job)
{
    return job->state >= JOB_EXITED;
}

static struct job *find(const struct jobs *jobs, uint32_t id)
{
    for (struct job *job = jobs->first; job; job = job->next)
        if (job->id == id)
            return job;
    return NULL;
}

static bool send_frame(struct job *job, enum ctl_type type, uint16_t flags, const void *payload, size_t len)
{
    return job->jobs->link && agent_link_send(job->jobs->link, type, flags, job->id, payload, len);
}

static void give_credit(struct job *job, uint16_t stream, uint32_t n)
{
    if (job->state == JOB_STARTING || job->state == JOB_RUNNING || job->state == JOB_EXITED)
        send_frame(job, CTL_JOB_CREDIT, stream, &n, sizeof n);
}

static void credit_stdout(void *data, uint32_t n)
{
    give_credit(data, CTL_STDOUT, n);
}

static void credit_stderr(void *data, uint32_t n)
{
    give_credit(data, CTL_STDERR, n);
}

void job_unref(struct job *job)
{
    if (--job->references)
        return;
    outstream_free(job->out[0]);
    outstream_free(job->out[1]);
    free(job->in.pending);
    free(job->name);
    free(job->cmd);
    free(job->argv);
    free(job->env);
    free(job->cwd);
    free(job->user);
    free(job);
}

/* Finished `run` jobs are history; the oldest make room. */
static void drop_old_runs(struct jobs *jobs)
{
    unsigned kept = 0;
    for (struct job *job = jobs->first, *next; job; job = next) {
        next = job->next;
        if (job->kept_output && job_over(job) && ++kept > JOBS_KEEP_FINISHED_RUNS)
            job_remove(job);
    }
}

struct job *job_new(struct jobs *jobs, const char *name, bool kept_output)
{
    drop_old_runs(jobs);
    if (jobs->count >= JOBS_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->jobs = jobs;
    job->references = 1;
    job->id = ++jobs->last_id;
    job->kept_output = kept_output;
    job->in.credit = CTL_STREAM_WINDOW;
    job->out[0] = outstream_new(kept_output, jobs->spool_dir, credit_stdout, job);
    job->out[1] = outstream_new(kept_output, jobs->spool_dir, credit_stderr, job);
    if (name ? !(job->name = strdup(name)) : asprintf(&job->name, "%u", job->id) < 0)
        job->name = NULL;
    int rc = job->name && job->out[0] && job->out[1] ? job_files_add(job, jobs->dir) : -ENOMEM;
    if (rc < 0) {
        if (job->dir)
            control_remove(job->dir);
        job_unref(job);
        errno = -rc;
        return NULL;
    }
    job->next = jobs->first;
    jobs->first = job;
    jobs->count++;
    return job;
}

static void unlist(struct job *job)
{
    struct job **at = &job->jobs->first;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->jobs->count--;
}

static void finish(struct job *job, enum job_state state)
{
    if (job_over(job))
        return;
    job->state = state;
    if (state != JOB_EXITED) {
        outstream_end(job->out[0]);
        outstream_end(job->out[1]);
    }
    job_input_fail(job, EPIPE);
    job_wait_tell(job);
    job->jobs->events->event(job->jobs->events_data, "job-exit", job);
    if (job->ended) {
        void (*ended)(struct job *, void *) = job->ended;
        job->ended = NULL;
        ended(job, job->ended_data);
    }
}

void job_remove(struct job *job)
{
    if (job->state != JOB_NEW)
        send_frame(job, CTL_JOB_CLOSE, 0, NULL, 0);
    job->references++;
    finish(job, JOB_LOST);
    outstream_end(job->out[0]);
    outstream_end(job->out[1]);
    unlist(job);
    control_remove(job->dir);
    job->dir = NULL;
    job_unref(job); /* the table's */
    job_unref(job);
}

static void add_env(struct json_object *spec, const char *text)
{
    char **words;
    size_t count;
    if (!text || shquote_split(text, strlen(text), &words, &count) < 0)
        return;
    struct json_object *env = json_object_new_object();
    for (size_t i = 0; i < count; i++) {
        char *equals = strchr(words[i], '=');
        if (!equals)
            continue;
        *equals = '\0';
        json_object_object_add(env, words[i], json_object_new_string(equals + 1));
    }
    json_object_object_add(spec, "env", env);
    free(words);
}

static void add_argv(struct json_object *spec, const char *text)
{
    char **words;
    size_t count;
    if (shquote_split(text, strlen(text), &words, &count) < 0)
        return;
    struct json_object *argv = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(argv, json_object_new_string(words[i]));
    json_object_object_add(spec, "argv", argv);
    free(words);
}

static struct json_object *start_spec(const struct job *job)
{
    struct json_object *spec = json_object_new_object();
    if (job->argv)
        add_argv(spec, job->argv);
    else
        json_object_object_add(spec, "cmd", json_object_new_string(job->cmd));
    add_env(spec, job->env);
    if (job->cwd)
        json_object_object_add(spec, "cwd", json_object_new_string(job->cwd));
    if (job->user)
        json_object_object_add(spec, "user", json_object_new_string(job->user));
    if (job->timeout_ms)
        json_object_object_add(spec, "timeout_ms", json_object_new_int64(job->timeout_ms));
    if (job->tty) {
        json_object_object_add(spec, "tty", json_object_new_boolean(true));
        json_object_object_add(spec, "rows", json_object_new_int(job->rows ? job->rows : 24));
        json_object_object_add(spec, "cols", json_object_new_int(job->columns ? job->columns : 80));
    }
    if (job->in.closed)
        json_object_object_add(spec, "stdin", json_object_new_boolean(false));
    return spec;
}

int job_start(struct job *job, struct err *err)
{
    struct jobs *jobs = job->jobs;
    if (job->state != JOB_NEW)
        return -err_set(err, EBUSY, "start: job %s has already been started", job->name);
    if (!job->cmd && !job->argv)
        return -err_set(err, EINVAL, "start: job %s has no command; write cmd or argv first", job->name);
    if (!agent_link_ready(jobs->link))
        return -err_set(err, jobs->link ? EAGAIN : ENOTCONN, "start: job %s: the guest is not %s", job->name,
                        jobs->link ? "ready yet" : "there any more");
    if (jobs->held)
        return -err_set(err, EAGAIN, "%s", jobs->held);
    if (!agent_link_send_json(jobs->link, CTL_JOB_START, job->id, start_spec(job)))
        return -err_set(err, EMSGSIZE, "start: job %s: command and environment are too long together", job->name);
    job->state = JOB_STARTING;
    if (!job->kept_output && job->in.closed)
        job->in.credit = 0;
    job->start_number = ++jobs->last_start;
    jobs->events->event(jobs->events_data, "job-start", job);
    return 0;
}

int job_kill(struct job *job, int signal)
{
    uint32_t value = (uint32_t)signal;
    if (job->state == JOB_NEW)
        return EBUSY;
    if (job_over(job))
        return ESRCH;
    return send_frame(job, CTL_JOB_SIGNAL, 0, &value, sizeof value) ? 0 : ENOTCONN;
}

int job_winsize(struct job *job, uint16_t rows, uint16_t columns)
{
    uint16_t size[2] = {rows, columns};
    job->rows = rows;
    job->columns = columns;
    if (job->state != JOB_STARTING && job->state != JOB_RUNNING)
        return 0;
    return send_frame(job, CTL_JOB_WINSIZE, 0, size, sizeof size) ? 0 : ENOTCONN;
}

void job_describe_result(const struct job *job, char *out, size_t size)
{
    const struct job_result *r = &job->result;
    if (job->state == JOB_FAILED)
        snprintf(out, size, "failed %d %s", r->code, r->reason);
    else if (job->state == JOB_LOST)
        snprintf(out, size, "lost");
    else if (r->timeout)
        snprintf(out, size, "timeout");
    else if (r->signal)
        snprintf(out, size, "signal %d", r->signal);
    else
        snprintf(out, size, "exit %d", r->code);
}

static int64_t member_int(struct json_object *object, const char *name, int64_t fallback)
{
    struct json_object *member;
    if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_int))
        return fallback;
    return json_object_get_int64(member);
}

static int handle_exit(struct job *job, const uint8_t *payload, size_t len)
{
    struct json_object *object = agent_link_parse(payload, len), *member;
    if (!object || job_over(job)) {
        json_object_put(object);
        return -EPROTO;
    }
    struct job_result *r = &job->result;
    int64_t signal = member_int(object, "signal", 0);
    r->signal = signal > 0 && signal <= 64 ? (int)signal : 0;
    r->code = r->signal ? -1 : (int)(member_int(object, "code", 255) & 0xff);
    r->error = (int)(member_int(object, "errno", 0) & 0xfff);
    r->timeout = json_object_object_get_ex(object, "timeout", &member) && json_object_get_boolean(member);
    r->wall_us = member_int(object, "wall_us", 0);
    r->user_us = member_int(object, "user_us", 0);
    r->sys_us = member_int(object, "sys_us", 0);
    enum job_state state = JOB_EXITED;
    if (json_object_object_get_ex(object, "failed", &member) && json_object_is_type(member, json_type_string)) {
        state = JOB_FAILED;
        printable_copy(r->reason, sizeof r->reason, json_object_get_string(member),
                       (size_t)json_object_get_string_len(member));
    }
    json_object_put(object);
    finish(job, state);
    return 0;
}

static int handle_started(struct job *job, const uint8_t *payload, size_t len)
{
    struct json_object *object = agent_link_parse(payload, len);
    if (!object || job->state != JOB_STARTING) {
        json_object_put(object);
        return -EPROTO;
    }
    job->pid = (int)member_int(object, "pid", 0);
    job->state = JOB_RUNNING;
    json_object_put(object);
    return 0;
}

static int handle_data(struct job *job, uint16_t stream, const uint8_t *payload, size_t len)
{
    if (stream != CTL_STDOUT && stream != CTL_STDERR)
        return -EPROTO;
    struct outstream *out = job->out[stream - CTL_STDOUT];
    if (!len)
        outstream_end(out);
    if (!len || job->discard_output)
        return 0;
    int rc = outstream_append(out, payload, len);
    /* A spool that is full is this job's trouble, not the guest's: its output ends here and it is killed. */
    if (rc < 0 && rc != -EPROTO) {
        job->discard_output = true;
        outstream_end(out);
        job_kill(job, 9);
        rc = 0;
    }
    return rc;
}

static int handle_credit(struct job *job, uint16_t stream, const uint8_t *payload, size_t len)
{
    uint32_t n;
    if (stream != CTL_STDIN || len != sizeof n)
        return -EPROTO;
    memcpy(&n, payload, sizeof n);
    if (n > CTL_STREAM_WINDOW)
        return -EPROTO;
    job_input_credit(job, n);
    return 0;
}

static void rehearsed(struct jobs *jobs)
{
    void (*done)(void *) = jobs->rehearsed;
    jobs->rehearsed = NULL;
    if (done)
        done(jobs->rehearsed_data);
}

void jobs_rehearse(struct jobs *jobs, void (*done)(void *data), void *data)
{
    struct json_object *spec = json_object_new_object();
    json_object_object_add(spec, "cmd", json_object_new_string("ls / >/dev/null; true"));
    json_object_object_add(spec, "stdin", json_object_new_boolean(false));
    jobs->rehearsed = done;
    jobs->rehearsed_data = data;
    if (!agent_link_send_json(jobs->link, CTL_JOB_START, REHEARSAL_ID, spec))
        rehearsed(jobs);
}

int jobs_frame(struct jobs *jobs, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    struct job *job = find(jobs, header->id);
    if (header->id == REHEARSAL_ID) {
        if (header->type == CTL_JOB_EXIT)
            rehearsed(jobs);
        return 0;
    }
    if (!job) /* removed here while the frame was on its way */
        return header->id <= jobs->last_id ? 0 : -EPROTO;
    if (job->state == JOB_NEW)
        return -EPROTO;
    switch (header->type) {
    case CTL_JOB_STARTED:
        return handle_started(job, payload, len);
    case CTL_JOB_EXIT:
        return handle_exit(job, payload, len);
    case CTL_JOB_DATA:
        return handle_data(job, header->flags, payload, len);
    case CTL_JOB_CREDIT:
        return handle_credit(job, header->flags, payload, len);
    default:
        return -EPROTO;
    }
}

void job_lose(struct job *job, const char *why)
{
    if (job->state == JOB_NEW)
        return;
    if (!job_over(job)) {
        snprintf(job->result.reason, sizeof job->result.reason, "%s", why);
        finish(job, JOB_LOST);
    }
    outstream_end(job->out[0]);
    outstream_end(job->out[1]);
}

void jobs_set_link(struct jobs *jobs, struct agent_link *link, const char *why)
{
    jobs->link = link;
    if (!link)
        rehearsed(jobs);
    for (struct job *job = jobs->first; job && !link; job = job->next) {
        job_lose(job, why);
        outstream_end(job->out[0]);
        outstream_end(job->out[1]);
    }
}

void jobs_hold(struct jobs *jobs, const char *why)
{
    jobs->held = why;
}

unsigned jobs_count(const struct jobs *jobs, enum job_state state)
{
    unsigned n = 0;
    for (struct job *job = jobs->first; job; job = job->next)
        n += job->state == state;
    return n;
}
