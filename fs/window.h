/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that the host and the guest share (a memory file here, a PCI device there: vmm_config.window_*), for the data of
 * reads and writes: a port takes and gives bytes by pages, each with an interrupt of its own. One half is for the guest's requests
 * (host directories), the other for the host's (root/). Who asks chooses the piece (fs/wire.h), and has it until the answer
 * comes; without a free one the data goes the other way. Nothing but data is ever in there. */
#ifndef GONDOLIN_FS_WINDOW_H
#define GONDOLIN_FS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "fs/wire.h"

enum { WINDOW_HALF = WIRE_WINDOW_PIECES * WIRE_IO_LIMIT, WINDOW_SIZE = 2 * WINDOW_HALF };

/* Where each half begins. */
enum window_half { WINDOW_FOR_MOUNTS = 0, WINDOW_FOR_ROOT = WINDOW_HALF };

/* Less than this is not worth a piece. */
enum { WINDOW_LEAST = 2048 };

/* The half of the side that asks. */
struct window {
    uint8_t *memory; /* borrowed; NULL: none */
    uint32_t taken;  /* one bit for each piece, the first one's the lowest */
};

/* Puts the data of a request into a free piece, or chooses the one where it will come; the lowest, as what has never been used
 * takes no memory. Returns it, counted from 1, and the message and its length are what is left to send. 0: all is to be
 * sent, because the request is of another kind, its data is little, or no piece is free. */
uint32_t window_use(struct window *window, const struct wire_op *op, uint8_t *message, size_t *len);

/* 0 is ignored. */
static inline void window_give(struct window *window, uint32_t piece)
{
    if (piece)
        window->taken &= ~(UINT32_C(1) << (piece - 1));
}

static inline uint8_t *window_at(const struct window *window, uint32_t piece)
{
    return window->memory + (size_t)(piece - 1) * WIRE_IO_LIMIT;
}

#endif
