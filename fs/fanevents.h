/* SPDX-License-Identifier: Apache-2.0 */
/* Reads fanotify events that name what they are about by file handles (FAN_REPORT_FID and its like). */
#ifndef GONDOLIN_FS_FANEVENTS_H
#define GONDOLIN_FS_FANEVENTS_H

#include <stdint.h>

struct file_handle;

struct fanevent {
    uint64_t mask; /* FAN_*; FAN_Q_OVERFLOW: events were lost */
    const struct file_handle *object, *directory; /* NULL: not told */
    const char *name; /* in the directory; NULL: not told */
};

typedef void fanevent_fn(void *data, const struct fanevent *event);

/* Calls fn for every event that there is now but those that this process itself has caused. */
void fanevents_read(int fd, fanevent_fn *fn, void *data);

#endif
