/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fanevents.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

enum {
    BUFFER = 16 * 1024,
    LONGEST = 1024, /* of an event: its head, two handles of at most 128 bytes and a name */
};

static void take_record(const struct fanotify_event_info_fid *record, struct fanevent *event)
{
    const struct file_handle *handle = (const struct file_handle *)record->handle;
    switch (record->hdr.info_type) {
    case FAN_EVENT_INFO_TYPE_FID:
        event->object = handle;
        break;
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
        event->name = (const char *)handle->f_handle + handle->handle_bytes;
        event->directory = handle;
        break;
    case FAN_EVENT_INFO_TYPE_DFID:
        event->directory = handle;
        break;
    default:
        break;
    }
}

static void read_records(const uint8_t *at, const uint8_t *end, struct fanevent *event)
{
    while (end - at >= (ptrdiff_t)sizeof(struct fanotify_event_info_fid)) {
        const struct fanotify_event_info_fid *record = (const struct fanotify_event_info_fid *)(const void *)at;
        if (record->hdr.len < sizeof *record || record->hdr.len > end - at)
            break;
        take_record(record, event);
        at += record->hdr.len;
    }
}

/* Events are packed with 4-byte alignment only, so their heads are copied out. Records hold nothing wider than that. */
static void take_events(const uint8_t *buffer, size_t len, pid_t self, fanevent_fn *fn, void *data)
{
    struct fanotify_event_metadata head;
    for (size_t at = 0; len - at >= sizeof head; at += head.event_len) {
        memcpy(&head, buffer + at, sizeof head);
        if (head.event_len < sizeof head || head.event_len > len - at)
            break;
        if (head.pid == self)
            continue;
        struct fanevent event = {.mask = head.mask};
        read_records(buffer + at + head.metadata_len, buffer + at + head.event_len, &event);
        fn(data, &event);
    }
}

/* Where there was room for another event, there was none: asking again would cost an emulated guest as much as an event. */
void fanevents_read(int fd, fanevent_fn *fn, void *data)
{
    _Alignas(struct fanotify_event_metadata) uint8_t buffer[BUFFER];
    pid_t self = getpid();
    ssize_t n;
    do {
        n = read(fd, buffer, sizeof buffer);
        if (n > 0)
            take_events(buffer, (size_t)n, self, fn, data);
    } while (n > BUFFER - LONGEST);
}
