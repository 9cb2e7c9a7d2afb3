/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fanevents.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

enum { BUFFER = 16 * 1024 };

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
void fanevents_read(int fd, fanevent_fn *fn, void *data)
{
    _Alignas(struct fanotify_event_metadata) uint8_t buffer[BUFFER];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        struct fanotify_event_metadata head;
        for (size_t at = 0; (size_t)n - at >= sizeof head; at += head.event_len) {
            memcpy(&head, buffer + at, sizeof head);
            if (head.event_len < sizeof head || head.event_len > (size_t)n - at)
                break;
            struct fanevent event = {.mask = head.mask, .pid = head.pid};
            read_records(buffer + at + head.metadata_len, buffer + at + head.event_len, &event);
            fn(data, &event);
        }
    }
}
