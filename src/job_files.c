/* SPDX-License-Identifier: Apache-2.0 */
/* The files of jobs/NAME/. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "src/ctl_verbs.h"
#include "src/jobs_internal.h"

static void job_freed(void *object)
{
    job_unref(object);
}

/* ---- ctl ---- */

static int verb_start(void *object, char **words, size_t count, struct err *err)
{
    (void)words, (void)count;
    return job_start(object, err);
}

static int parse_signal(const char *word)
{
    char *end;
    long number = strtol(word, &end, 10);
    if (end != word && !*end)
        return number > 0 && number < NSIG ? (int)number : -1;
    if (strncasecmp(word, "SIG", 3) == 0)
        word += 3;
    for (int s = 1; s < NSIG; s++) {
        const char *name = sigabbrev_np(s);
        if (name && strcasecmp(name, word) == 0)
            return s;
    }
    return -1;
}

static int check_kill(void *object, char **words, size_t count, struct err *err)
{
    const struct job *job = object;
    if (count > 1 && parse_signal(words[1]) < 0)
        return -err_set(err, EINVAL, "kill: job %s: no such signal: \"%.60s\"", job->name, words[1]);
    return 0;
}

static int verb_kill(void *object, char **words, size_t count, struct err *err)
{
    struct job *job = object;
    int code = job_kill(job, count > 1 ? parse_signal(words[1]) : SIGTERM);
    return code ? -err_errno(err, code, "kill: job %s", job->name) : 0;
}

static int check_close(void *object, char **words, size_t count, struct err *err)
{
    (void)count;
    const struct job *job = object;
    if (strcmp(words[1], "stdin") != 0)
        return -err_set(err, EINVAL, "close: job %s: only stdin can be closed, not \"%.60s\"", job->name, words[1]);
    return 0;
}

static int verb_close(void *object, char **words, size_t count, struct err *err)
{
    (void)words, (void)count, (void)err;
    job_input_close(object);
    return 0;
}

/* 0 for what is no number of rows or columns. */
static uint16_t parse_cells(const char *word)
{
    size_t digits = strspn(word, "0123456789");
    return digits && digits <= 4 && !word[digits] ? (uint16_t)atoi(word) : 0;
}

static int check_winsize(void *object, char **words, size_t count, struct err *err)
{
    (void)count;
    const struct job *job = object;
    if (!parse_cells(words[1]) || !parse_cells(words[2]))
        return -err_set(err, EINVAL, "winsize: job %s: \"%.20s %.20s\" is no ROWS COLUMNS (1 to 9999)", job->name,
                        words[1], words[2]);
    return 0;
}

static int verb_winsize(void *object, char **words, size_t count, struct err *err)
{
    (void)count;
    struct job *job = object;
    int code = job_winsize(job, parse_cells(words[1]), parse_cells(words[2]));
    return code ? -err_errno(err, code, "winsize: job %s", job->name) : 0;
}

static const struct ctl_verb job_verbs[] = {
    {.name = "start", .arguments = "", .summary = "start the job", .run = verb_start},
    {.name = "kill",
     .max = 1,
     .arguments = "[SIGNAL]",
     .summary = "signal its process group (default TERM)",
     .check = check_kill,
     .run = verb_kill},
    {.name = "close",
     .min = 1,
     .max = 1,
     .arguments = "stdin",
     .summary = "end of input for the job",
     .check = check_close,
     .run = verb_close},
    {.name = "winsize",
     .min = 2,
     .max = 2,
     .arguments = "ROWS COLUMNS",
     .summary = "size of its terminal",
     .check = check_winsize,
     .run = verb_winsize},
    {.name = NULL},
};

void job_ctl_usage(void *object, FILE *out)
{
    (void)object;
    ctl_verbs_usage(job_verbs, out);
}

void job_ctl_run(struct job *job, const char *data, size_t len, struct control_request *request)
{
    ctl_verbs_run(job_verbs, job, data, len, request);
}

static void ctl_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                      struct control_request *request)
{
    (void)offset;
    job_ctl_run(control_handle_object(handle), data, len, request);
}

static const struct control_ops ctl_ops = {.render = job_ctl_usage, .write = ctl_write, .freed = job_freed};

/* ---- status ---- */

static void render_status(void *object, FILE *out)
{
    const struct job *job = object;
    const struct job_result *r = &job->result;
    fprintf(out, "state %s\n", job_state_name(job->state));
    if (job->pid)
        fprintf(out, "pid %d\n", job->pid);
    if (job->state == JOB_EXITED && r->signal)
        fprintf(out, "signal %d\n", r->signal);
    else if (job->state == JOB_EXITED || job->state == JOB_FAILED)
        fprintf(out, "exit %d\n", r->code);
    if (r->timeout)
        fputs("timeout 1\n", out);
    if (r->reason[0])
        fprintf(out, "reason %s\n", r->reason);
    fprintf(out, "wall_us %lld\nuser_us %lld\nsys_us %lld\n", (long long)r->wall_us, (long long)r->user_us,
            (long long)r->sys_us);
    fprintf(out, "stdout_bytes %llu\nstderr_bytes %llu\n", (unsigned long long)outstream_total(job->out[0]),
            (unsigned long long)outstream_total(job->out[1]));
}

static const struct control_ops status_ops = {.render = render_status, .freed = job_freed, .sized = true};

/* ---- stdout and stderr ---- */

static struct outstream *stream_of(struct control_handle *handle)
{
    struct job *job = control_handle_object(handle);
    return job->out[strcmp(control_node_name(control_handle_node(handle)), "stderr") == 0];
}

static int output_open(struct control_handle *handle)
{
    const struct job *job = control_handle_object(handle);
    int code = outstream_open(stream_of(handle), handle);
    if (code == EBUSY)
        control_set_error(job->jobs->control, "%s: job %s: is being read already, and each byte goes to one reader",
                          control_node_name(control_handle_node(handle)), job->name);
    return code;
}

static void output_release(struct control_handle *handle)
{
    outstream_release(stream_of(handle), handle);
}

static void output_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    outstream_read(stream_of(handle), handle, size, request);
}

static unsigned output_poll(struct control_handle *handle)
{
    return outstream_poll(stream_of(handle), handle);
}

static const struct control_ops output_ops = {.open = output_open,
                                              .release = output_release,
                                              .read = output_read,
                                              .poll = output_poll,
                                              .freed = job_freed,
                                              .stream = true};

/* ---- the directory ---- */

static int job_rmdir(void *object)
{
    job_remove(object);
    return 0;
}

static const struct control_ops dir_ops = {.rmdir = job_rmdir, .freed = job_freed};

static const struct {
    const char *name;
    mode_t mode;
    const struct control_ops *ops;
} files[] = {
    {"ctl", 0600, &ctl_ops},          {"cmd", 0600, &job_cmd_ops},       {"argv", 0600, &job_argv_ops},
    {"env", 0600, &job_env_ops},          {"cwd", 0600, &job_cwd_ops},       {"user", 0600, &job_user_ops},
    {"timeout_ms", 0600, &job_timeout_ops}, {"tty", 0600, &job_tty_ops},     {"stdin", 0200, &job_stdin_ops},
    {"stdout", 0400, &output_ops},    {"stderr", 0400, &output_ops}, {"status", 0444, &status_ops},
    {"wait", 0400, &job_wait_ops},
};

static struct control_node *add_referenced(struct control_node *dir, const char *name, mode_t mode,
                                           const struct control_ops *ops, struct job *job)
{
    struct control_node *node = control_add(dir, name, mode, ops, job);
    if (node)
        job->references++;
    return node;
}

int job_files_add(struct job *job, struct control_node *jobs_dir)
{
    job->dir = add_referenced(jobs_dir, job->name, S_IFDIR | 0700, &dir_ops, job);
    if (!job->dir)
        return -errno;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!add_referenced(job->dir, files[i].name, S_IFREG | files[i].mode, files[i].ops, job))
            return -errno;
    return 0;
}
