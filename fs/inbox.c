/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/wire.h"

enum { SIZE = WIRE_FRAME_LIMIT + 64 * 1024 };

int inbox_init(struct inbox *inbox, uint32_t min, const char *nonce)
{
    *inbox = (struct inbox){.bytes = malloc(SIZE), .min = min, .synced = !nonce};
    if (nonce)
        sync_mark(inbox->mark, nonce);
    return inbox->bytes ? 0 : -ENOMEM;
}

void inbox_fini(struct inbox *inbox)
{
    free(inbox->bytes);
    inbox->bytes = NULL;
}

/* What has come of a message is moved only when a long one would not fit behind it: a port gives one page at a time. All
 * whole messages have been taken out before, so there is always room. */
ssize_t inbox_fill(struct inbox *inbox, int fd)
{
    if (inbox->start == inbox->end)
        inbox->start = inbox->end = 0;
    if (inbox->start > SIZE - WIRE_FRAME_LIMIT) {
        memmove(inbox->bytes, inbox->bytes + inbox->start, inbox->end - inbox->start);
        inbox->end -= inbox->start;
        inbox->start = 0;
    }
    ssize_t n;
    do
        n = read(fd, inbox->bytes + inbox->end, SIZE - inbox->end);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        inbox->end += (size_t)n;
    return n < 0 ? -errno : n;
}

int inbox_next(struct inbox *inbox, uint8_t **message, size_t *len)
{
    if (!inbox->synced)
        inbox->start += sync_find(inbox->bytes + inbox->start, inbox->end - inbox->start, inbox->mark, &inbox->synced);
    uint32_t length;
    if (!inbox->synced || inbox->end - inbox->start < sizeof length)
        return 0;
    memcpy(&length, inbox->bytes + inbox->start, sizeof length);
    if (length < inbox->min || length > WIRE_FRAME_LIMIT)
        return -EPROTO;
    if (inbox->end - inbox->start < length)
        return 0;
    *message = inbox->bytes + inbox->start;
    *len = length;
    inbox->start += length;
    return 1;
}
