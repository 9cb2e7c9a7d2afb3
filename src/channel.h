/* SPDX-License-Identifier: Apache-2.0 */
/* Messages over a byte stream, on both ends of a virtio-serial port. Every message begins with its own total length
 * (u32, little-endian, the 4 bytes included): true of the FUSE wire protocol and of the control frames (src/proto.h). */
#ifndef GONDOLIN_SRC_CHANNEL_H
#define GONDOLIN_SRC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "src/loop.h"

struct channel;

struct channel_ops {
    /* One whole message; `msg` is not aligned, valid during the call, and may be modified in place. */
    void (*message)(void *data, uint8_t *msg, size_t len);
    /* The send queue has drained to a quarter of CHANNEL_LOW_WATER or less after having been above it. May be NULL. */
    void (*writable)(void *data);
    /* The stream ended (code 0), failed (errno) or the peer sent an impossible length (EPROTO). Called once, from the
     * loop; no other callback follows. The callee may free the channel. */
    void (*closed)(void *data, int code);
};

enum { CHANNEL_LOW_WATER = 256 * 1024 };

/* Takes ownership of fd (made non-blocking). Messages shorter than `min` or longer than `max` bytes end the channel.
 * With `hangup_pauses` (the guest's end of a port) end of file means that the host is not connected just now, and is
 * waited out instead of ending the channel. NULL with errno on failure (fd then stays open). */
struct channel *channel_new(struct loop *loop, int fd, size_t min, size_t max, int hangup_pauses,
                            const struct channel_ops *ops, void *data);

/* Sends one message made of `count` pieces (their sum must be the length the message names). What the kernel does not
 * take at once is copied and queued without limit: callers bound it by looking at channel_queued first.
 * Returns 0, -ENOMEM or -EPIPE (channel ended). */
int channel_send(struct channel *channel, const struct iovec *iov, int count);

/* Bytes accepted by channel_send and not yet taken by the kernel. */
size_t channel_queued(const struct channel *channel);

/* Stops or resumes reading (back-pressure on the peer). */
void channel_pause(struct channel *channel, int paused);

/* From now on messages are only queued, until channel_release: they are not for a peer that is being saved. */
void channel_hold(struct channel *channel);
/* Sends `first` (NULL: nothing), then what was held, and goes on as ever. 0, -ENOMEM or -EPIPE. */
int channel_release(struct channel *channel, const void *first, size_t len);

/* Called in `message`: until it is undone there, this channel alone is served, without ever sleeping; no other event of the
 * loop is seen. */
void channel_alone(struct channel *channel, bool alone);

/* Closes the fd. Safe inside callbacks. NULL is ignored. */
void channel_free(struct channel *channel);

#endif
