/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/window.h"

#include <string.h>
#include <strings.h>

static uint32_t take(struct window *window)
{
    uint32_t piece = window->memory ? (uint32_t)ffs((int)~window->taken) : 0;
    if (!piece || piece > WIRE_WINDOW_PIECES)
        return 0;
    window->taken |= UINT32_C(1) << (piece - 1);
    return piece;
}

uint32_t window_use(struct window *window, const struct wire_op *op, uint8_t *message, size_t *len)
{
    const uint32_t head = (uint32_t)sizeof(struct fuse_in_header) + op->args;
    if (!op->windowed || *len < head || *len - head > WIRE_IO_LIMIT)
        return 0;
    uint32_t bytes = wire_reply_limit(op, message, *len);
    uint32_t piece = bytes >= WINDOW_LEAST && bytes <= WIRE_IO_LIMIT ? take(window) : 0;
    if (!piece)
        return 0;
    memcpy(window_at(window, piece), message + head, *len - head);
    memcpy(message + WIRE_PIECE_OFFSET, &piece, sizeof piece);
    memcpy(message, &head, sizeof head); /* fuse_in_header.len */
    *len = head;
    return piece;
}
