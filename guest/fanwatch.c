/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/fanwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

enum { BUFFER = 16 * 1024, HANDLE_INO32_GEN = 1 /* FILEID_INO32_GEN: how ext2/3/4 name an inode */ };

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

/* What one event says, put together from its records. */
struct change {
    uint64_t object, directory; /* inode numbers; 0: not told */
    const char *name;
};

static uint64_t handle_ino(const struct file_handle *handle)
{
    uint32_t ino;
    if (handle->handle_type != HANDLE_INO32_GEN || handle->handle_bytes < sizeof ino)
        return 0;
    memcpy(&ino, handle->f_handle, sizeof ino);
    return ino;
}

static void take_record(const struct fanotify_event_info_fid *record, struct change *change)
{
    const struct file_handle *handle = (const struct file_handle *)record->handle;
    const char *behind = (const char *)handle->f_handle + handle->handle_bytes;
    switch (record->hdr.info_type) {
    case FAN_EVENT_INFO_TYPE_FID:
        change->object = handle_ino(handle);
        break;
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
        change->name = behind;
        change->directory = handle_ino(handle);
        break;
    case FAN_EVENT_INFO_TYPE_DFID:
        change->directory = handle_ino(handle);
        break;
    default:
        break;
    }
}

/* Events are packed with 4-byte alignment only, so their heads are copied out. Records hold nothing wider than that. */
static struct change read_records(const struct fanotify_event_metadata *event, const uint8_t *at, const uint8_t *end)
{
    struct change change = {0};
    at += event->metadata_len;
    while (end - at >= (ptrdiff_t)sizeof(struct fanotify_event_info_fid)) {
        const struct fanotify_event_info_fid *record = (const struct fanotify_event_info_fid *)(const void *)at;
        if (record->hdr.len < sizeof *record || record->hdr.len > end - at)
            break;
        take_record(record, &change);
        at += record->hdr.len;
    }
    return change;
}

static void report(const struct fanotify_event_metadata *event, const uint8_t *bytes, const struct fanwatch_ops *ops,
                   void *data)
{
    if (event->mask & FAN_Q_OVERFLOW) {
        ops->lost(data);
        return;
    }
    if (event->pid == getpid())
        return;
    struct change change = read_records(event, bytes, bytes + event->event_len);
    if (event->mask & NAME_EVENTS) {
        if (change.directory && change.name && strcmp(change.name, ".") != 0)
            ops->entry(data, change.directory, change.name);
        if (change.directory)
            ops->inode(data, change.directory, false);
    }
    if (change.object && (event->mask & (CONTENT_EVENTS | FAN_ATTRIB)))
        ops->inode(data, change.object, (event->mask & CONTENT_EVENTS) != 0);
}

void fanwatch_drain(int fd, const struct fanwatch_ops *ops, void *data)
{
    _Alignas(struct fanotify_event_metadata) uint8_t buffer[BUFFER];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        struct fanotify_event_metadata event;
        for (size_t at = 0; (size_t)n - at >= sizeof event; at += event.event_len) {
            memcpy(&event, buffer + at, sizeof event);
            if (event.event_len < sizeof event || event.event_len > (size_t)n - at)
                break;
            report(&event, buffer + at, ops, data);
        }
    }
}
