/* SPDX-License-Identifier: Apache-2.0 */
#include "src/host_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "src/cleanup.h"

enum { MAX_LINKS = 40 }; /* as the kernel's */

struct walk {
    dev_t avoid;
    int fd;              /* where it is */
    char place[PATH_MAX]; /* its path; "" for the root */
    char rest[PATH_MAX]; /* what is still to be followed */
    unsigned links;
};

static int go_to_root(struct walk *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->place[0] = '\0';
    w->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return w->fd < 0 ? -errno : 0;
}

/* Puts what a link says before the rest. */
static int follow(struct walk *w, const char *name)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t n = readlinkat(w->fd, name, target, sizeof target - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    if (++w->links > MAX_LINKS)
        return -ELOOP;
    memcpy(rest, w->rest, sizeof rest);
    if (snprintf(w->rest, sizeof w->rest, "%s/%s", target, rest) >= (int)sizeof w->rest)
        return -ENAMETOOLONG;
    return target[0] == '/' ? go_to_root(w) : 0;
}

static int enter(struct walk *w, const char *name)
{
    int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(w->fd);
    w->fd = fd;
    size_t len = strlen(w->place);
    if (strcmp(name, "..") == 0)
        *(strrchr(w->place, '/') ? strrchr(w->place, '/') : w->place) = '\0';
    else if (snprintf(w->place + len, sizeof w->place - len, "/%s", name) >= (int)(sizeof w->place - len))
        return -ENAMETOOLONG;
    return 0;
}

/* AT_STATX_DONT_SYNC: a FUSE file system answers from what the kernel knows of the directory it is mounted on. */
static int step(struct walk *w, const char *name)
{
    struct statx st;
    if (statx(w->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return -errno;
    if (w->avoid && makedev(st.stx_dev_major, st.stx_dev_minor) == w->avoid)
        return -EDEADLK;
    return S_ISLNK(st.stx_mode) ? follow(w, name) : enter(w, name);
}

static int walk(struct walk *w)
{
    int rc = 0;
    while (rc == 0 && w->rest[0]) {
        char name[NAME_MAX + 1];
        size_t len = strcspn(w->rest, "/"), slashes = strspn(w->rest + len, "/");
        if (len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, w->rest, len);
        name[len] = '\0';
        memmove(w->rest, w->rest + len + slashes, strlen(w->rest + len + slashes) + 1);
        if (len && strcmp(name, ".") != 0)
            rc = step(w, name);
    }
    return rc;
}

/* Where a relative path begins. */
static int begin(struct walk *w, const char *path)
{
    cleanup_free char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
    if (!here)
        return -errno;
    if (snprintf(w->rest, sizeof w->rest, "%s/%s", here, path) >= (int)sizeof w->rest)
        return -ENAMETOOLONG;
    return go_to_root(w);
}

int host_path_open(const char *path, dev_t avoid, char **resolved)
{
    struct walk w = {.avoid = avoid, .fd = -1};
    *resolved = NULL;
    int rc = *path ? begin(&w, path) : -ENOENT;
    rc = rc ? rc : walk(&w);
    if (rc == 0 && !(*resolved = strdup(w.place[0] ? w.place : "/")))
        rc = -ENOMEM;
    if (rc == 0)
        return w.fd;
    if (w.fd >= 0)
        close(w.fd);
    return rc;
}
