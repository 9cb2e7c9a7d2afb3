/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/jobspec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/payload.h"

static const uint64_t MAX_TIMEOUT_MS = 366ull * 24 * 3600 * 1000;

static int out_of_memory(struct err *err)
{
    return err_set(err, ENOMEM, "start job: out of memory");
}

static int copy_string(struct json_object *object, const char *name, char **out, struct err *err)
{
    const char *text = NULL;
    int rc = payload_string(object, name, &text, err);
    if (rc < 0 || !text)
        return rc;
    *out = strdup(text);
    return *out ? 0 : out_of_memory(err);
}

static int read_argv(struct json_object *array, struct jobspec *spec, struct err *err)
{
    size_t count = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    if (count == 0)
        return err_set(err, EINVAL, "argv: not an array of at least one string");
    spec->argv = calloc(count + 1, sizeof *spec->argv);
    if (!spec->argv)
        return out_of_memory(err);
    for (size_t i = 0; i < count; i++) {
        const char *text = payload_text(json_object_array_get_idx(array, i), "argv", err);
        if (!text)
            return -EINVAL;
        spec->argv[i] = strdup(text);
        if (!spec->argv[i])
            return out_of_memory(err);
    }
    if (!*spec->argv[0])
        return err_set(err, EINVAL, "argv: the program's name is empty");
    return 0;
}

static int shell_argv(const char *line, struct jobspec *spec, struct err *err)
{
    const char *words[] = {"/bin/sh", "-c", line};
    spec->argv = calloc(4, sizeof *spec->argv);
    if (!spec->argv)
        return out_of_memory(err);
    for (size_t i = 0; i < 3; i++) {
        spec->argv[i] = strdup(words[i]);
        if (!spec->argv[i])
            return out_of_memory(err);
    }
    return 0;
}

static int read_command(struct json_object *object, struct jobspec *spec, struct err *err)
{
    const char *line = NULL;
    struct json_object *argv = NULL;
    int rc = payload_string(object, "cmd", &line, err);
    if (rc < 0)
        return rc;
    json_object_object_get_ex(object, "argv", &argv);
    if (!line == !argv)
        return err_set(err, EINVAL, "start job: give either cmd or argv");
    return line ? shell_argv(line, spec, err) : read_argv(argv, spec, err);
}

static int read_terminal(struct json_object *object, struct jobspec *spec, struct err *err)
{
    uint64_t rows = 0, cols = 0;
    int rc = payload_bool(object, "tty", &spec->tty, err);
    if (rc == 0)
        rc = payload_number(object, "rows", UINT16_MAX, &rows, err);
    if (rc == 0)
        rc = payload_number(object, "cols", UINT16_MAX, &cols, err);
    spec->rows = (uint16_t)rows;
    spec->cols = (uint16_t)cols;
    return rc;
}

static int read_members(struct json_object *object, struct jobspec *spec, struct err *err)
{
    int rc = read_command(object, spec, err);
    if (rc == 0)
        rc = read_terminal(object, spec, err);
    if (rc == 0)
        rc = payload_env(object, "env", &spec->env, err);
    if (rc == 0)
        rc = copy_string(object, "cwd", &spec->cwd, err);
    if (rc == 0)
        rc = copy_string(object, "user", &spec->user, err);
    if (rc == 0)
        rc = payload_number(object, "timeout_ms", MAX_TIMEOUT_MS, &spec->timeout_ms, err);
    if (rc == 0)
        rc = payload_bool(object, "stdin", &spec->stdin_open, err);
    if (rc == 0 && spec->cwd && spec->cwd[0] != '/')
        rc = err_set(err, EINVAL, "cwd: %s: not an absolute path", spec->cwd);
    return rc;
}

int jobspec_parse(const void *json, size_t len, struct jobspec *spec, struct err *err)
{
    *spec = (struct jobspec){.stdin_open = true};
    struct json_object *object = payload_parse(json, len, err);
    if (!object)
        return -err->code;
    int rc = read_members(object, spec, err);
    json_object_put(object);
    return rc;
}

void jobspec_clear(struct jobspec *spec)
{
    for (char **word = spec->argv; word && *word; word++)
        free(*word);
    free(spec->argv);
    envlist_clear(&spec->env);
    free(spec->cwd);
    free(spec->user);
    *spec = (struct jobspec){0};
}
