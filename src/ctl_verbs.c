/* SPDX-License-Identifier: Apache-2.0 */
#include "src/ctl_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/nearest.h"
#include "src/shquote.h"

enum { MAX_LINES = 64, MAX_VERBS = 32 };

struct line {
    const struct ctl_verb *verb;
    char **words;
    size_t count;
};

void ctl_verbs_usage(const struct ctl_verb *verbs, FILE *out)
{
    for (const struct ctl_verb *v = verbs; v->name; v++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", v->name, *v->arguments ? " " : "", v->arguments);
        fprintf(out, "%-28s %s\n", left, v->summary);
    }
}

static const struct ctl_verb *find(const struct ctl_verb *verbs, const char *name, struct err *err)
{
    const char *names[MAX_VERBS + 1] = {NULL};
    size_t n = 0;
    for (const struct ctl_verb *v = verbs; v->name && n < MAX_VERBS; v++) {
        if (strcmp(v->name, name) == 0)
            return v;
        names[n++] = v->name;
    }
    const char *near = nearest_match(name, names);
    err_set(err, EINVAL, "ctl: unknown verb \"%.60s\"%s%s%s", name, near ? "; did you mean " : "; read ctl for the list",
            near ? near : "", near ? "?" : "");
    return NULL;
}

static int parse_line(const struct ctl_verb *verbs, void *object, const char *text, size_t len, struct line *out,
                      struct err *err)
{
    int rc = shquote_split(text, len, &out->words, &out->count);
    if (rc < 0)
        return -err_set(err, -rc, "ctl: \"%.*s\": unbalanced quote or NUL byte", (int)(len < 60 ? len : 60), text);
    if (!out->count)
        return 0;
    out->verb = find(verbs, out->words[0], err);
    if (!out->verb)
        return err->code;
    size_t arguments = out->count - 1;
    if (arguments < out->verb->min || arguments > out->verb->max)
        return -err_set(err, EINVAL, "ctl: usage: %s %s", out->verb->name, out->verb->arguments);
    return out->verb->check ? out->verb->check(object, out->words, out->count, err) : 0;
}

static int parse_lines(const struct ctl_verb *verbs, void *object, const char *data, size_t len, struct line *lines,
                       size_t *count, struct err *err)
{
    size_t at = 0;
    while (at < len) {
        const char *newline = memchr(data + at, '\n', len - at);
        size_t end = newline ? (size_t)(newline - data) : len;
        if (*count == MAX_LINES)
            return -err_set(err, EMSGSIZE, "ctl: more than %d lines in one write", MAX_LINES);
        int code = parse_line(verbs, object, data + at, end - at, &lines[*count], err);
        if (lines[*count].words)
            (*count)++;
        if (code)
            return code;
        at = end + 1;
    }
    for (size_t i = 0; i + 1 < *count; i++)
        if (lines[i].verb && lines[i].verb->run_later)
            return -err_set(err, EINVAL, "ctl: %s must be the last line of a write", lines[i].verb->name);
    return 0;
}

void ctl_verbs_run(const struct ctl_verb *verbs, void *object, const char *data, size_t len,
                   struct control_request *request)
{
    struct line lines[MAX_LINES] = {{0}};
    size_t count = 0;
    struct err err = {0};
    int code = parse_lines(verbs, object, data, len, lines, &count, &err);
    bool parked = false;
    for (size_t i = 0; i < count && !code; i++) {
        const struct line *line = &lines[i];
        if (line->verb && line->verb->run_later) {
            line->verb->run_later(object, line->words, line->count, request, len);
            parked = true;
        } else if (line->verb) {
            code = line->verb->run(object, line->words, line->count, &err);
        }
    }
    for (size_t i = 0; i < count; i++)
        free(lines[i].words);
    if (parked)
        return;
    if (code)
        control_reply_error(request, code, "%s", err.text[0] ? err.text : strerror(code));
    else
        control_reply_written(request, len);
}
