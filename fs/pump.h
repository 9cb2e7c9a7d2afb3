/* SPDX-License-Identifier: Apache-2.0 */
/* Moves FUSE messages between the host's kernel and the guest's file server, and never lets one wait for the other:
 *
 *   waiting   taken from /dev/fuse, not yet sent (the channel is full, or the guest is still booting)
 *   sent      in the guest's hands
 *   given up  answered here (interrupted, guest gone); a late reply is dropped and its references are returned
 *
 * A caller that is interrupted is released at once while its request waits, and PUMP_GRACE_MS later when it was sent.
 * When the channel dies everything is answered with ENOTCONN. */
#ifndef GONDOLIN_FS_PUMP_H
#define GONDOLIN_FS_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fs/hostview.h"
#include "src/loop.h"

enum { PUMP_GRACE_MS = 1000 };

struct pump;

enum pump_notify {
    PUMP_NOTIFY_PART,  /* of a notice of the guest */
    PUMP_NOTIFY_SWEEP, /* of an invalidation of everything: never to be dropped */
    PUMP_NOTIFY_END,   /* no message; one notice of the guest ends here */
};

struct pump_ops {
    /* Writes one message to /dev/fuse: 0 or -errno (-ENOENT: the kernel no longer waits for it). */
    int (*to_kernel)(void *data, const struct iovec *iov, int count);
    /* A checked notification that may block in the kernel: to be written by another thread. `message` is copied. */
    void (*notify_kernel)(void *data, const void *message, size_t len, enum pump_notify what);
    /* The guest broke the protocol or its end closed; everything has been answered. */
    void (*closed)(void *data, const char *why);
};

/* Requests are taken from the beginning and wait for pump_connect. NULL with errno. */
struct pump *pump_new(struct loop *loop, const struct hostview_config *config, const struct pump_ops *ops, void *data);
void pump_free(struct pump *pump);

/* A session on a connected byte stream (owned from now on, unless this fails with channel_new's error). `window_fd` is the
 * memory file that is shared with the guest (fs/window.h; borrowed), or -1. Node ids of a session before become stale. 0
 * or -errno. The guest is greeted with the first request: it takes time to set up what
 * nobody may need, just when a machine starts. */
int pump_connect(struct pump *pump, int fd, int window_fd);
/* Greets it now, unless that has happened. */
void pump_greet(struct pump *pump);
/* Ends the session and refuses everything from now on with ENOTCONN. */
void pump_disconnect(struct pump *pump);

/* Lets nothing more out to the guest, and calls `done` once all that went out has been taken and answered there: later,
 * from the loop, unless pump_go_on or the end of the session comes first. Requests that come meanwhile wait. */
void pump_quiesce(struct pump *pump, void (*done)(void *data), void *data);
/* Nothing where it has not been told to be quiet. */
void pump_go_on(struct pump *pump);

/* The host's id of the guest's root directory; 0: not connected yet. */
uint64_t pump_root_id(const struct pump *pump);
bool pump_serves(uint64_t nodeid);

/* One request of the kernel (whole, checked by nobody yet); it is copied when it has to be kept. */
void pump_request(struct pump *pump, uint8_t *message, size_t len);
/* The thread that made a request the pump has; -1: not one of the pump's. */
pid_t pump_caller(const struct pump *pump, uint64_t unique);
/* True when the request to interrupt is one of the pump's. */
bool pump_interrupt(struct pump *pump, uint64_t unique);
void pump_forget(struct pump *pump, uint64_t nodeid, uint64_t count);

/* Makes the kernel forget what it has cached of every file, by notifications. */
void pump_invalidate_all(struct pump *pump);
/* All notifications given to notify_kernel so far have reached the kernel. */
void pump_notices_written(struct pump *pump);
void pump_set_timeouts(struct pump *pump, uint32_t entry_ms, uint32_t attr_ms);

struct pump_counters {
    uint64_t requests, replies, interrupted, errors;
    size_t waiting, sent;
};
void pump_counters(const struct pump *pump, struct pump_counters *out);

#endif
