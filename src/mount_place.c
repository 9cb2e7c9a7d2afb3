/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/mountpoint.h"
#include "src/offline.h"
#include "src/session.h"

static int check_empty(int fd, const char *path, struct err *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_closedir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_errno(err, errno, "mount: %s", path);
    const struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return err_set(err, ENOTEMPTY, "mount: %s is not empty; use an empty directory", path);
    return 0;
}

static bool is_mounted(const char *path)
{
    return mountpoint_is_gondolin(path) || mountpoint_is_offline(path);
}

/* Is a sandbox or a checkpoint's disk mounted there? What one has left that was killed with all its processes is taken
 * away. */
static bool is_taken(const char *path)
{
    struct session *sessions;
    size_t count;
    if (!is_mounted(path))
        return false;
    if (session_list(&sessions, &count, NULL) == 0)
        session_list_free(sessions, count);
    return is_mounted(path);
}

static int claim(struct mount_place *place, struct err *err)
{
    if (is_taken(place->path))
        return err_set(err, EBUSY, "mount: %s is mounted already; gondolin umount %s ends it", place->path, place->path);
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->fd < 0)
        return err_errno(err, errno, "mount: %s", place->path);
    if (flock(place->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, EBUSY, "mount: %s: another gondolin is mounting here", place->path);
    return check_empty(place->fd, place->path, err);
}

int mount_place_take(const char *argument, struct mount_place *place, struct err *err)
{
    if (mkdir(argument, 0700) == 0)
        place->made = true;
    else if (errno != EEXIST && errno != ENOTCONN)
        return err_errno(err, errno, "mount: %s: cannot be made", argument);
    place->path = realpath(argument, NULL);
    if (!place->path)
        return err_errno(err, errno, "mount: %s%s", argument,
                         errno == ENOTCONN ? ": a dead mount is there; fusermount3 -u -z takes it away" : "");
    return claim(place, err);
}

void mount_place_give_up(struct mount_place *place)
{
    if (place->fd >= 0)
        close(place->fd);
    if (place->made && place->path)
        rmdir(place->path);
    free(place->path);
}
