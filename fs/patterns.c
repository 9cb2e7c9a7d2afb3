/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/patterns.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, DEEPEST = 64 };

struct pattern {
    char kind;
    bool negated, anchored;
    char *text; /* without '!', and without '/' at both ends */
};

struct patterns {
    struct pattern list[MOST];
    unsigned count;
    bool need_path;
    char *copy; /* what the texts point into */
};

static int parse(struct patterns *p, char *line)
{
    struct pattern *out = &p->list[p->count];
    if (p->count == MOST)
        return -E2BIG;
    *out = (struct pattern){.kind = *line++};
    if (*line == '!') {
        out->negated = true;
        line++;
    }
    size_t len = strlen(line);
    while (len > 1 && line[len - 1] == '/')
        line[--len] = '\0';
    out->anchored = strchr(line, '/') != NULL;
    while (*line == '/')
        line++;
    if (strncmp(line, "**/", 3) == 0 && !strchr(line + 3, '/')) { /* the same as without it */
        line += 3;
        out->anchored = false;
    }
    out->text = line;
    p->need_path = p->need_path || out->anchored;
    p->count++;
    return *line ? 0 : -EINVAL;
}

struct patterns *patterns_new(const char *lines)
{
    struct patterns *p = calloc(1, sizeof *p);
    char *rest = strdup(lines);
    int rc = p && rest ? 0 : -ENOMEM;
    if (p)
        p->copy = rest;
    for (char *line; rc == 0 && (line = strsep(&rest, "\n"));)
        rc = *line ? parse(p, line) : 0;
    if (rc == 0)
        return p;
    if (p)
        free(p->copy);
    free(p);
    errno = -rc;
    return NULL;
}

static size_t component(const char *text)
{
    return strcspn(text, "/");
}

static bool component_matches(const char *pattern, size_t len, const char *name, size_t name_len)
{
    char a[NAME_MAX + 1], b[NAME_MAX + 1];
    if (len >= sizeof a || name_len >= sizeof b)
        return false;
    memcpy(a, pattern, len);
    a[len] = '\0';
    memcpy(b, name, name_len);
    b[name_len] = '\0';
    return fnmatch(a, b, FNM_CASEFOLD) == 0;
}

static const char *after(const char *text, size_t len)
{
    return text[len] ? text + len + 1 : text + len;
}

/* `partly`: the path may end where the pattern goes on. `too_deep`: the answer where comparing ends. */
static bool path_matches(const char *pattern, const char *path, bool partly, bool too_deep, unsigned depth)
{
    size_t len = component(pattern), name_len = component(path);
    if (depth > DEEPEST)
        return too_deep;
    if (!*path)
        return partly ? *pattern != '\0' : !*pattern;
    if (!*pattern)
        return false;
    if (len == 2 && strncmp(pattern, "**", 2) == 0)
        return path_matches(after(pattern, len), path, partly, too_deep, depth + 1) ||
               path_matches(pattern, after(path, name_len), partly, too_deep, depth + 1) ||
               (!*after(path, name_len) && !*after(pattern, len));
    return component_matches(pattern, len, path, name_len) &&
           path_matches(after(pattern, len), after(path, name_len), partly, too_deep, depth + 1);
}

static void join(char *out, size_t size, const char *dir, const char *name)
{
    snprintf(out, size, "%s%s%s", dir, *dir ? "/" : "", name);
}

char patterns_match(const struct patterns *p, const char *dir, const char *name)
{
    char path[PATH_MAX + NAME_MAX + 2];
    join(path, sizeof path, dir, name);
    for (unsigned i = p->count; i-- > 0;) {
        const struct pattern *one = &p->list[i];
        bool hide = !one->negated; /* rather than show */
        bool matches = one->anchored ? path_matches(one->text, path, false, hide, 0)
                                     : component_matches(one->text, strlen(one->text), name, strlen(name));
        if (matches)
            return one->negated ? 0 : one->kind;
    }
    return 0;
}

bool patterns_need_path(const struct patterns *p)
{
    return p->need_path;
}

bool patterns_pass_through(const struct patterns *p, const char *dir, const char *name)
{
    char path[PATH_MAX + NAME_MAX + 2];
    join(path, sizeof path, dir, name);
    for (unsigned i = 0; i < p->count; i++)
        if (p->list[i].anchored && path_matches(p->list[i].text, path, true, true, 0))
            return true;
    return false;
}

bool patterns_have(const struct patterns *p, char kind)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->list[i].kind == kind)
            return true;
    return false;
}
