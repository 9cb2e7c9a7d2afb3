/* SPDX-License-Identifier: Apache-2.0 */
/* The values in jobs/NAME/ that say what to start: cmd argv env cwd user timeout_ms tty. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/wire.h"
#include "src/job.h"
#include "src/shquote.h"

/* Below WIRE_IO_LIMIT, at which the kernel cuts writes in two. */
enum { VALUE_MAX = 256 * 1024 };
static_assert((int)VALUE_MAX < (int)WIRE_IO_LIMIT, "a value is one write");

static void job_freed(void *object)
{
    job_unref(object);
}

struct value {
    const char *name;
    size_t offset; /* of the char * in struct job */
    int (*check)(const char *text, size_t len);
    const char *form; /* what it has to be: "... is not %s" */
};

#define SEE_PAGE "one; see gondolin-files(5) for its form"

static int check_words(const char *text, size_t len)
{
    char **words;
    size_t count;
    int rc = shquote_split(text, len, &words, &count);
    if (rc < 0)
        return -rc;
    free(words);
    return count ? 0 : EINVAL;
}

static int check_env(const char *text, size_t len)
{
    char **words;
    size_t count;
    int rc = shquote_split(text, len, &words, &count);
    if (rc < 0)
        return -rc;
    for (size_t i = 0; i < count && !rc; i++)
        if (words[i][0] == '=' || !strchr(words[i], '='))
            rc = EINVAL;
    free(words);
    return rc;
}

static int check_line(const char *text, size_t len)
{
    return !len || memchr(text, '\n', len) ? EINVAL : 0;
}

static int check_path(const char *text, size_t len)
{
    return *text == '/' ? check_line(text, len) : EINVAL;
}

static int check_cmd(const char *text, size_t len)
{
    (void)text;
    return len ? 0 : EINVAL;
}

static const struct value values[] = {
    {"cmd", offsetof(struct job, cmd), check_cmd, SEE_PAGE},
    {"argv", offsetof(struct job, argv), check_words, SEE_PAGE},
    {"env", offsetof(struct job, env), check_env, SEE_PAGE},
    {"cwd", offsetof(struct job, cwd), check_path, "the absolute path of a directory"},
    {"user", offsetof(struct job, user), check_line, "one line of text"},
};

static char **value_slot(struct job *job, const struct value *value)
{
    return (char **)((char *)job + value->offset);
}

static const struct value *value_named(const char *name)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(values[i].name, name) == 0)
            return &values[i];
    return NULL;
}

/* The text after this write, malloc'd: a write at offset 0 replaces, one further on adds (bash's printf writes lines one
 * by one, cat what is long in pieces). A writer that is further than the text ended the write before with a newline. */
static char *combined(const char *old, const char *data, size_t len, off_t offset)
{
    size_t keep = offset > 0 && old ? strlen(old) : 0;
    bool newline = keep && (size_t)offset > keep;
    if (keep + newline + len > VALUE_MAX)
        return NULL;
    char *text = malloc(keep + len + 2);
    if (!text)
        return NULL;
    memcpy(text, old ? old : "", keep);
    if (newline)
        text[keep++] = '\n';
    memcpy(text + keep, data, len);
    text[keep + len] = '\0';
    return text;
}

static void value_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                        struct control_request *request)
{
    struct job *job = control_handle_object(handle);
    const char *name = control_node_name(control_handle_node(handle));
    const struct value *value = value_named(name);
    char **slot = value_slot(job, value);
    size_t taken = len && data[len - 1] == '\n' ? len - 1 : len;
    if (job->state != JOB_NEW) {
        control_reply_error(request, EBUSY, "%s: job %s has already been started", name, job->name);
        return;
    }
    if (memchr(data, 0, taken)) {
        control_reply_error(request, EINVAL, "%s: a NUL byte cannot be part of it", name);
        return;
    }
    char *text = combined(*slot, data, taken, offset);
    if (!text) {
        control_reply_error(request, EMSGSIZE, "%s: longer than %d bytes", name, VALUE_MAX);
        return;
    }
    int code = value->check(text, strlen(text));
    if (code) {
        control_reply_error(request, code, "%s: \"%.80s\" is not %s", name, text, value->form);
        free(text);
        return;
    }
    free(*slot);
    *slot = text;
    if (value->check == check_cmd || value->check == check_words) {
        char **other = value->check == check_cmd ? &job->argv : &job->cmd;
        free(*other);
        *other = NULL;
    }
    control_reply_written(request, len);
}

static void render_slot(void *object, FILE *out, const char *name)
{
    char *text = *value_slot(object, value_named(name));
    if (text)
        fprintf(out, "%s\n", text);
}

static void render_cmd(void *object, FILE *out)
{
    render_slot(object, out, "cmd");
}

static void render_argv(void *object, FILE *out)
{
    render_slot(object, out, "argv");
}

static void render_cwd(void *object, FILE *out)
{
    render_slot(object, out, "cwd");
}

static void render_user(void *object, FILE *out)
{
    render_slot(object, out, "user");
}

static void render_env(void *object, FILE *out)
{
    const struct job *job = object;
    char **words;
    size_t count;
    if (!job->env || shquote_split(job->env, strlen(job->env), &words, &count) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char *one[] = {words[i], NULL};
        char *quoted = shquote_join(one);
        if (quoted)
            fprintf(out, "%s\n", quoted);
        free(quoted);
    }
    free(words);
}

static void render_timeout(void *object, FILE *out)
{
    const struct job *job = object;
    if (job->timeout_ms)
        fprintf(out, "%lld\n", (long long)job->timeout_ms);
    else
        fputs("max\n", out);
}

static void render_tty(void *object, FILE *out)
{
    const struct job *job = object;
    fprintf(out, "%d\n", job->tty);
}

/* A short value as a string without its newline; false when it does not fit or holds a NUL. */
static bool short_value(char *out, size_t size, const char *data, size_t len)
{
    if (len && data[len - 1] == '\n')
        len--;
    if (len >= size || memchr(data, 0, len))
        return false;
    memcpy(out, data, len);
    out[len] = '\0';
    return true;
}

static void timeout_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                          struct control_request *request)
{
    (void)offset;
    struct job *job = control_handle_object(handle);
    char text[24] = "", *end = text;
    long long ms = 0;
    bool valid = short_value(text, sizeof text, data, len);
    bool none = strcmp(text, "max") == 0;
    if (valid && !none) {
        errno = 0;
        ms = strtoll(text, &end, 10);
        valid = end != text && !*end && !errno && ms > 0 && ms <= INT64_C(1) << 40;
    }
    if (job->state != JOB_NEW)
        control_reply_error(request, EBUSY, "timeout_ms: job %s has already been started", job->name);
    else if (!valid)
        control_reply_error(request, EINVAL, "timeout_ms: \"%.20s\" is neither a number of milliseconds nor max", text);
    else {
        job->timeout_ms = none ? 0 : ms;
        control_reply_written(request, len);
    }
}

static void tty_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                      struct control_request *request)
{
    (void)offset;
    struct job *job = control_handle_object(handle);
    char text[4] = "";
    bool valid = short_value(text, sizeof text, data, len) && (!strcmp(text, "0") || !strcmp(text, "1"));
    if (job->state != JOB_NEW)
        control_reply_error(request, EBUSY, "tty: job %s has already been started", job->name);
    else if (!valid)
        control_reply_error(request, EINVAL, "tty: must be 0 or 1");
    else {
        job->tty = text[0] == '1';
        control_reply_written(request, len);
    }
}

#define VALUE_OPS(render_fn, write_fn)                                                                                 \
    {                                                                                                                  \
        .render = (render_fn), .write = (write_fn), .freed = job_freed, .max_write = VALUE_MAX, .sized = true    \
    }
const struct control_ops job_cmd_ops = VALUE_OPS(render_cmd, value_write);
const struct control_ops job_argv_ops = VALUE_OPS(render_argv, value_write);
const struct control_ops job_env_ops = VALUE_OPS(render_env, value_write);
const struct control_ops job_cwd_ops = VALUE_OPS(render_cwd, value_write);
const struct control_ops job_user_ops = VALUE_OPS(render_user, value_write);
const struct control_ops job_timeout_ops = VALUE_OPS(render_timeout, timeout_write);
const struct control_ops job_tty_ops = VALUE_OPS(render_tty, tty_write);
