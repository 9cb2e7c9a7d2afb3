/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a byte stream into messages that begin with their own length (u32), after finding where it begins (fs/sync.h). */
#ifndef GONDOLIN_FS_INBOX_H
#define GONDOLIN_FS_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/sync.h"

struct inbox {
    uint8_t *bytes;
    size_t start, end;
    uint32_t min; /* of a message's length; the longest is WIRE_FRAME_LIMIT */
    bool synced;
    uint8_t mark[SYNC_MARK];
};

/* `nonce`: where the stream begins; NULL: here. 0 or -ENOMEM. */
int inbox_init(struct inbox *inbox, uint32_t min, const char *nonce);
void inbox_fini(struct inbox *inbox);

/* Reads once from fd. Returns what read(2) returns, or -errno. */
ssize_t inbox_fill(struct inbox *inbox, int fd);

/* The next whole message, in place: 1 with *message and *len set, 0 when there is none yet, -EPROTO for an impossible
 * length. */
int inbox_next(struct inbox *inbox, uint8_t **message, size_t *len);

#endif
