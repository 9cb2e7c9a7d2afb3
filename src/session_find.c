/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/ended.h"
#include "src/nearest.h"
#include "src/session.h"

enum { SHORTEST_PREFIX = 4 };

struct sessions {
    struct session *list;
    size_t count;
};

/* What the reference could mean, told apart by `how`; counts the sessions that fit and remembers the last. */
struct matches {
    struct session *found;
    size_t count;
};

static void add_match(struct matches *matches, struct session *s)
{
    matches->found = s;
    matches->count++;
}

static struct matches match_name(const struct sessions *all, const char *name)
{
    struct matches matches = {0};
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->list[i].name, name) == 0)
            add_match(&matches, &all->list[i]);
    }
    return matches;
}

static struct matches match_id(const struct sessions *all, const char *prefix)
{
    struct matches matches = {0};
    size_t len = strlen(prefix);
    for (size_t i = 0; len >= SHORTEST_PREFIX && i < all->count; i++) {
        if (strncmp(all->list[i].id, prefix, len) == 0)
            add_match(&matches, &all->list[i]);
    }
    return matches;
}

static struct session *mounted_at(const struct sessions *all, const char *path)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->list[i].mountpoint, path) == 0)
            return &all->list[i];
    }
    return NULL;
}

/* The session whose mount point is `path` (resolved) or a directory above it. Cuts `path` short. */
static struct session *mounted_above(const struct sessions *all, char *path)
{
    for (;;) {
        struct session *s = mounted_at(all, path);
        char *slash = strrchr(path, '/');
        if (s || !slash || slash == path)
            return s;
        *slash = '\0';
    }
}

static void to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
}

/* Resolves the path one component at a time and stops at the first mount point: what lies in a sandbox may be anything
 * its guest makes of it, and looking at it may block. `current` is the resolved part, "" standing for "/". */
static struct session *match_path(const struct sessions *all, const char *reference)
{
    char current[PATH_MAX] = "";
    if (reference[0] != '/' && (!getcwd(current, sizeof current) || strcmp(current, "/") == 0))
        current[0] = '\0';
    for (const char *at = reference + strspn(reference, "/"); *at;) {
        size_t len = strcspn(at, "/");
        char next[PATH_MAX], resolved[PATH_MAX];
        if (len == 2 && strncmp(at, "..", 2) == 0) {
            to_parent(current);
        } else if (len != 1 || *at != '.') {
            if ((size_t)snprintf(next, sizeof next, "%s/%.*s", current, (int)len, at) >= sizeof next)
                return NULL;
            struct session *s = mounted_at(all, next);
            if (s)
                return s;
            const char *reached = realpath(next, resolved) ? resolved : next; /* what is missing is taken as written */
            strcpy(current, strcmp(reached, "/") == 0 ? "" : reached);
        }
        at += len;
        at += strspn(at, "/");
    }
    return mounted_above(all, current);
}

/* Adds why the sandbox that is not there any more ended. */
static int recall(const char *reference, struct err *err)
{
    struct ended last;
    char age[32];
    if (!ended_find(reference, &last))
        return -err->code;
    ended_format_age(last.ended_ms, age, sizeof age);
    struct err before = *err;
    err_set(err, before.code, "%s; the last one%s%s ended %s ago: %s", before.text, reference ? "" : " was on ",
            reference ? "" : last.mountpoint, age, last.reason);
    ended_close(&last);
    return -before.code;
}

static int nothing_fits(const struct sessions *all, const char *reference, struct err *err)
{
    const char **names = calloc(all->count + 1, sizeof *names);
    for (size_t i = 0; names && i < all->count; i++)
        names[i] = all->list[i].name;
    const char *near = names ? nearest_match(reference, names) : NULL;
    free(names);
    if (near)
        return err_set(err, ENOENT, "\"%s\": no running sandbox has this mount point, name or id; did you mean "
                       "\"%s\"?", reference, near);
    err_set(err, ENOENT, "\"%s\": no running sandbox has this mount point, name or id; see: gondolin list", reference);
    return recall(reference, err);
}

static int the_only_one(const struct sessions *all, struct session **found, struct err *err)
{
    if (all->count == 0) {
        err_set(err, ENOENT, "no sandbox is running; start one with: gondolin mount DIRECTORY");
        return recall(NULL, err);
    }
    if (all->count > 1)
        return err_set(err, EEXIST, "%zu sandboxes are running; name one of those shown by: gondolin list", all->count);
    *found = &all->list[0];
    return 0;
}

/* A word without a slash is a name first; a directory of that name decides between sandboxes that share it. */
static int pick(const struct sessions *all, const char *reference, struct session **found, struct err *err)
{
    struct matches named = {0};
    if (!strchr(reference, '/'))
        named = match_name(all, reference);
    *found = named.count == 1 ? named.found : match_path(all, reference);
    if (*found)
        return 0;
    struct matches fit = named.count ? named : match_id(all, reference);
    if (fit.count == 0)
        return nothing_fits(all, reference, err);
    if (fit.count > 1)
        return err_set(err, EEXIST, "\"%s\" fits %zu running sandboxes; give the mount point or the whole id (see: "
                       "gondolin list)", reference, fit.count);
    *found = fit.found;
    return 0;
}

int session_find(const char *reference, struct session *out, struct err *err)
{
    *out = (struct session){.lock_fd = -1};
    struct sessions all;
    int rc = session_list(&all.list, &all.count, err);
    if (rc < 0)
        return rc;
    struct session *found = NULL;
    rc = reference && *reference ? pick(&all, reference, &found, err) : the_only_one(&all, &found, err);
    if (rc == 0) {
        *out = *found;
        *found = (struct session){.lock_fd = -1};
    }
    session_list_free(all.list, all.count);
    return rc;
}

int session_open_mount(const char *reference, struct err *err)
{
    struct session session;
    int fd = session_find(reference, &session, err);
    if (fd < 0)
        return fd;
    fd = open(session.mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = err_errno(err, errno, "%s", session.mountpoint);
    session_close(&session);
    return fd;
}
