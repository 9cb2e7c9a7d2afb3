/* SPDX-License-Identifier: Apache-2.0 */
#include "src/job_record.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/jobs_internal.h"

enum { STRING_MAX = CTL_MAX_HOST_FRAME };

/* ---- writing ---- */

static void add_string(struct json_object *object, const char *name, const char *value)
{
    if (value)
        json_object_object_add(object, name, json_object_new_string(value));
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static void add_bool(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

static struct json_object *record_stream(const struct outstream *stream, FILE *output)
{
    struct outstream_record record;
    struct json_object *object = json_object_new_object();
    outstream_record(stream, &record, output);
    add_number(object, "total", record.total);
    add_number(object, "held", record.held_len);
    add_number(object, "promised", record.promised);
    add_number(object, "owed", record.owed);
    add_bool(object, "ended", record.ended);
    return object;
}

static struct json_object *record_job(const struct job *job, FILE *output)
{
    struct json_object *object = json_object_new_object();
    add_string(object, "name", job->name);
    add_number(object, "id", job->id);
    add_string(object, "state", job_state_name(job->state));
    if (job->state == JOB_EXITED) {
        add_number(object, "code", job->result.signal ? 0 : (uint64_t)job->result.code);
        add_number(object, "signal", (uint64_t)job->result.signal);
        add_bool(object, "timeout", job->result.timeout);
    }
    add_number(object, "pid", job->pid > 0 ? (uint64_t)job->pid : 0);
    add_string(object, "cmd", job->cmd);
    add_string(object, "argv", job->argv);
    add_string(object, "env", job->env);
    add_string(object, "cwd", job->cwd);
    add_string(object, "user", job->user);
    add_number(object, "timeout_ms", (uint64_t)job->timeout_ms);
    add_bool(object, "tty", job->tty);
    add_number(object, "rows", job->rows);
    add_number(object, "columns", job->columns);
    add_bool(object, "kept_output", job->kept_output);
    add_number(object, "stdin_credit", job->in.credit);
    add_bool(object, "stdin_closed", job->in.closed);
    json_object_object_add(object, "stdout", record_stream(job->out[0], output));
    json_object_object_add(object, "stderr", record_stream(job->out[1], output));
    return object;
}

/* One that has ended may have left processes behind that hold its streams. */
static bool is_in_guest(const struct job *job)
{
    return job->state == JOB_STARTING || job->state == JOB_RUNNING ||
           (job->state == JOB_EXITED && !(outstream_ended(job->out[0]) && outstream_ended(job->out[1])));
}

/* The table has the newest first; the records the oldest. */
static void record_all(const struct job *job, struct json_object *array, FILE *output)
{
    if (!job)
        return;
    record_all(job->next, array, output);
    if (is_in_guest(job))
        json_object_array_add(array, record_job(job, output));
}

int jobs_record(const struct jobs *jobs, struct job_records *out)
{
    *out = (struct job_records){.jobs = json_object_new_array()};
    FILE *output = open_memstream(&out->output, &out->output_len);
    if (!output || !out->jobs) {
        if (output)
            fclose(output);
        job_records_free(out);
        return -ENOMEM;
    }
    record_all(jobs->first, out->jobs, output);
    if (fclose(output) == 0)
        return 0;
    job_records_free(out);
    return -ENOMEM;
}

void job_records_free(struct job_records *records)
{
    json_object_put(records->jobs);
    free(records->output);
    *records = (struct job_records){0};
}

/* ---- reading ---- */

struct parsed {
    const char *name, *cmd, *argv, *env, *cwd, *user;
    uint64_t id, pid, timeout_ms, rows, columns, stdin_credit;
    enum job_state state;
    struct job_result result;
    bool tty, kept_output, stdin_closed;
    struct outstream_record out[2];
};

/* Walks the members of one object; the first that is wrong is remembered. */
struct reader {
    struct json_object *object;
    const char *wrong;
};

static struct json_object *member(struct reader *r, const char *name, enum json_type type, bool optional)
{
    struct json_object *value = NULL;
    bool there = json_object_object_get_ex(r->object, name, &value);
    if (there && json_object_is_type(value, type))
        return value;
    if (there || !optional)
        r->wrong = r->wrong ? r->wrong : name;
    return NULL;
}

static const char *read_string(struct reader *r, const char *name, bool optional)
{
    struct json_object *value = member(r, name, json_type_string, optional);
    if (!value)
        return NULL;
    size_t len = (size_t)json_object_get_string_len(value);
    const char *text = json_object_get_string(value);
    if (len > STRING_MAX || strlen(text) != len)
        r->wrong = r->wrong ? r->wrong : name;
    return text;
}

static uint64_t read_number(struct reader *r, const char *name, uint64_t most)
{
    struct json_object *value = member(r, name, json_type_int, false);
    int64_t number = value ? json_object_get_int64(value) : 0;
    if (number < 0 || (uint64_t)number > most)
        r->wrong = r->wrong ? r->wrong : name;
    return (uint64_t)number;
}

static bool read_bool(struct reader *r, const char *name)
{
    struct json_object *value = member(r, name, json_type_boolean, false);
    return value && json_object_get_boolean(value);
}

/* *output: what is left of the unread output. */
static void read_stream(struct reader *job, const char *name, struct outstream_record *out, const char **output,
                        size_t *output_len)
{
    struct reader r = {.object = member(job, name, json_type_object, false)};
    if (!r.object)
        return;
    out->total = read_number(&r, "total", INT64_MAX);
    out->held_len = read_number(&r, "held", *output_len < CTL_STREAM_WINDOW ? *output_len : CTL_STREAM_WINDOW);
    out->promised = read_number(&r, "promised", CTL_STREAM_WINDOW);
    out->owed = read_number(&r, "owed", CTL_STREAM_WINDOW);
    out->ended = read_bool(&r, "ended");
    out->held = *output;
    if (!r.wrong && out->held_len) {
        *output += out->held_len;
        *output_len -= out->held_len;
    }
    job->wrong = job->wrong ? job->wrong : r.wrong;
}

static void read_state(struct reader *r, struct parsed *out)
{
    const char *state = read_string(r, "state", false);
    for (out->state = JOB_STARTING; state && out->state <= JOB_EXITED; out->state++)
        if (strcmp(state, job_state_name(out->state)) == 0)
            break;
    if (out->state > JOB_EXITED) {
        r->wrong = r->wrong ? r->wrong : "state";
    } else if (out->state == JOB_EXITED) {
        out->result.signal = (int)read_number(r, "signal", 64);
        out->result.code = (int)read_number(r, "code", 255);
        out->result.timeout = read_bool(r, "timeout");
        if (out->result.signal)
            out->result.code = -1;
    }
}

static int parse_job(struct json_object *object, const char **output, size_t *output_len, struct parsed *out,
                     struct err *err)
{
    struct reader r = {.object = object};
    if (!json_object_is_type(object, json_type_object))
        return err_set(err, EINVAL, "jobs: an element is no object");
    *out = (struct parsed){.name = read_string(&r, "name", false), .cmd = read_string(&r, "cmd", true),
                           .argv = read_string(&r, "argv", true), .env = read_string(&r, "env", true),
                           .cwd = read_string(&r, "cwd", true), .user = read_string(&r, "user", true)};
    out->id = read_number(&r, "id", UINT32_MAX / 2);
    read_state(&r, out);
    out->pid = read_number(&r, "pid", INT_MAX);
    out->timeout_ms = read_number(&r, "timeout_ms", INT64_MAX);
    out->tty = read_bool(&r, "tty");
    out->rows = read_number(&r, "rows", UINT16_MAX);
    out->columns = read_number(&r, "columns", UINT16_MAX);
    out->kept_output = read_bool(&r, "kept_output");
    out->stdin_credit = read_number(&r, "stdin_credit", CTL_STREAM_WINDOW);
    out->stdin_closed = read_bool(&r, "stdin_closed");
    read_stream(&r, "stdout", &out->out[0], output, output_len);
    read_stream(&r, "stderr", &out->out[1], output, output_len);
    if (!r.wrong && out->name && !job_name_valid(out->name) && strspn(out->name, "0123456789") != strlen(out->name))
        r.wrong = "name";
    if (!r.wrong && (out->id == 0 || !*out->name || (!out->cmd && !out->argv)))
        r.wrong = out->id == 0 ? "id" : "cmd";
    return r.wrong ? err_set(err, EINVAL, "jobs: %s: missing or impossible", r.wrong) : 0;
}

static bool is_repeated(const struct parsed *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i].id == jobs[count].id || strcmp(jobs[i].name, jobs[count].name) == 0)
            return true;
    return false;
}

/* malloc'd in *out. */
static int parse_all(const struct job_records *records, struct parsed **out, size_t *count, struct err *err)
{
    const char *output = records->output;
    size_t output_len = records->output_len;
    *count = records->jobs ? json_object_array_length(records->jobs) : 0;
    if (*count > JOBS_MAX)
        return err_set(err, EINVAL, "jobs: more than %d", JOBS_MAX);
    struct parsed *jobs = calloc(*count + 1, sizeof *jobs);
    int rc = jobs ? 0 : err_set(err, ENOMEM, "jobs: out of memory");
    for (size_t i = 0; rc == 0 && i < *count; i++) {
        rc = parse_job(json_object_array_get_idx(records->jobs, i), &output, &output_len, &jobs[i], err);
        if (rc == 0 && is_repeated(jobs, i))
            rc = err_set(err, EINVAL, "jobs: %.64s: is there twice", jobs[i].name);
    }
    if (rc == 0)
        *out = jobs;
    else
        free(jobs);
    return rc;
}

/* ---- restoring ---- */

static struct job *find_job(const struct jobs *jobs, const struct parsed *p)
{
    for (struct job *job = jobs->first; job; job = job->next)
        if (job->id == p->id && strcmp(job->name, p->name) == 0)
            return job;
    return NULL;
}

static bool is_recorded(const struct job *job, const struct parsed *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == job->id && strcmp(list[i].name, job->name) == 0)
            return true;
    return false;
}

static int set_string(char **to, const char *value)
{
    *to = value ? strdup(value) : NULL;
    return !value || *to ? 0 : -ENOMEM;
}

/* The name may have been given to another job since; that one goes. */
static void make_way(const struct jobs *jobs, const struct parsed *p)
{
    for (struct job *job = jobs->first; job; job = job->next) {
        if (strcmp(job->name, p->name) == 0 || job->id == p->id) {
            job_remove(job);
            make_way(jobs, p);
            return;
        }
    }
}

static struct job *make_job(struct jobs *jobs, const struct parsed *p)
{
    make_way(jobs, p);
    struct job *job = job_new(jobs, p->name, p->kept_output);
    if (!job)
        return NULL;
    job->id = (uint32_t)p->id;
    job->timeout_ms = (int64_t)p->timeout_ms;
    job->tty = p->tty;
    if (set_string(&job->cmd, p->cmd) < 0 || set_string(&job->argv, p->argv) < 0 || set_string(&job->env, p->env) < 0 ||
        set_string(&job->cwd, p->cwd) < 0 || set_string(&job->user, p->user) < 0) {
        job_remove(job);
        return NULL;
    }
    return job;
}

/* Its programs are as they were, whatever has become of it since. */
static int take_up(struct jobs *jobs, const struct parsed *p)
{
    struct job *job = find_job(jobs, p);
    if (!job)
        job = make_job(jobs, p);
    if (!job)
        return -ENOMEM;
    job->state = p->state;
    job->result = p->result;
    job->discard_output = false;
    job->pid = (int)p->pid;
    job->rows = (uint16_t)p->rows;
    job->columns = (uint16_t)p->columns;
    job->in.closed = p->stdin_closed;
    job->in.credit = (uint32_t)p->stdin_credit;
    job->start_number = ++jobs->last_start;
    jobs->last_id = job->id > jobs->last_id ? job->id : jobs->last_id;
    int rc = outstream_restore(job->out[0], &p->out[0]);
    return rc ? rc : outstream_restore(job->out[1], &p->out[1]);
}

int jobs_restore(struct jobs *jobs, const struct job_records *records, struct agent_link *link, const char *why,
                 struct err *err)
{
    struct parsed *list = NULL;
    size_t count;
    int rc = parse_all(records, &list, &count, err);
    if (rc < 0)
        return rc;
    jobs->link = NULL; /* nothing is to be said to a guest about another's jobs */
    for (struct job *job = jobs->first; job; job = job->next)
        if (!is_recorded(job, list, count))
            job_lose(job, why);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_up(jobs, &list[i]);
    jobs->link = link;
    free(list);
    return rc < 0 ? err_set(err, -rc, "jobs: out of memory") : 0;
}
