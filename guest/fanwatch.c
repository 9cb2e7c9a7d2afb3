/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/fanwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "fs/fanevents.h"

enum { HANDLE_INO32_GEN = 1 /* FILEID_INO32_GEN: how ext2/3/4 name an inode */ };

#define NAME_EVENTS (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define CONTENT_EVENTS (FAN_MODIFY | FAN_CLOSE_WRITE)

int fanwatch_open(void)
{
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID | FAN_REPORT_DIR_FID |
                               FAN_REPORT_NAME,
                           O_RDONLY);
    if (fd < 0)
        return -errno;
    if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, NAME_EVENTS | CONTENT_EVENTS | FAN_ATTRIB | FAN_ONDIR,
                      AT_FDCWD, "/") < 0) {
        int saved = errno;
        close(fd);
        return -saved;
    }
    return fd;
}

struct drain {
    const struct fanwatch_ops *ops;
    void *data;
};

static uint64_t handle_ino(const struct file_handle *handle)
{
    uint32_t ino;
    if (!handle || handle->handle_type != HANDLE_INO32_GEN || handle->handle_bytes < sizeof ino)
        return 0;
    memcpy(&ino, handle->f_handle, sizeof ino);
    return ino;
}

static void report(void *data, const struct fanevent *event)
{
    const struct drain *drain = data;
    const struct fanwatch_ops *ops = drain->ops;
    if (event->mask & FAN_Q_OVERFLOW) {
        ops->lost(drain->data);
        return;
    }
    uint64_t object = handle_ino(event->object), directory = handle_ino(event->directory);
    if (event->mask & NAME_EVENTS) {
        if (directory && event->name && strcmp(event->name, ".") != 0)
            ops->entry(drain->data, directory, event->name);
        if (directory)
            ops->inode(drain->data, directory, false);
    }
    if (object && (event->mask & (CONTENT_EVENTS | FAN_ATTRIB)))
        ops->inode(drain->data, object, (event->mask & CONTENT_EVENTS) != 0);
}

void fanwatch_drain(int fd, const struct fanwatch_ops *ops, void *data)
{
    struct drain drain = {ops, data};
    fanevents_read(fd, report, &drain);
}
