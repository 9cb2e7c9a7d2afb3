/* SPDX-License-Identifier: Apache-2.0 */
/* How a byte stream begins anew. A port outlives those who use it: a worker that died or a machine that was restored may
 * have left half a message in it, in either direction. So each session has a nonce that both sides know from elsewhere. The
 * guest first sends a mark that contains it; the host answers with the same one; each drops what it receives until it
 * finds the other's. (The host must not begin: the guest's last session may still be reading.) */
#ifndef GONDOLIN_FS_SYNC_H
#define GONDOLIN_FS_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SYNC_NONCE = 32, SYNC_MARK = 48 };

/* `nonce` has SYNC_NONCE characters. */
static inline void sync_mark(uint8_t mark[SYNC_MARK], const char *nonce)
{
    const uint32_t length = SYNC_MARK;
    memset(mark, 0, SYNC_MARK);
    memcpy(mark, &length, sizeof length);
    memcpy(mark + 4, "gondolin-ses", 12);
    memcpy(mark + SYNC_MARK - SYNC_NONCE, nonce, SYNC_NONCE);
}

/* Looks for the mark in what has been received. Returns how many bytes to drop; *found says that they end with it. */
static inline size_t sync_find(const uint8_t *bytes, size_t len, const uint8_t mark[SYNC_MARK], bool *found)
{
    const uint8_t *at = memmem(bytes, len, mark, SYNC_MARK);
    *found = at != NULL;
    if (at)
        return (size_t)(at - bytes) + SYNC_MARK;
    return len < SYNC_MARK ? 0 : len - (SYNC_MARK - 1);
}

#endif
