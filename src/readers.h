/* SPDX-License-Identifier: Apache-2.0 */
/* The open descriptors of a control file that grows: each is somewhere in it, and one read of each may wait for what comes. */
#ifndef GONDOLIN_SRC_READERS_H
#define GONDOLIN_SRC_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/control.h"

/* May be the beginning of a larger struct. */
struct reader {
    struct reader *next;
    struct control_handle *handle;
    struct control_request *parked; /* the read that waits, or NULL */
    size_t parked_size;
    uint64_t position;
};

/* Makes one of `size` bytes, all but the reader's zero, which is the handle's state from now on. NULL on ENOMEM. */
struct reader *readers_add(struct reader **readers, size_t size, struct control_handle *handle);

/* Takes the handle's one out of the list: the caller answers what is parked, and frees it. NULL if there is none. */
struct reader *readers_remove(struct reader **readers, struct control_handle *handle);

/* There is nothing to read yet. EAGAIN with that sentence where the descriptor does not block, EBUSY for a second read. */
void reader_park(struct reader *r, size_t size, struct control_request *request, const char *nothing);

/* Answers the request, or returns false: there is nothing to answer yet. */
typedef bool reader_serve_fn(void *data, struct reader *r, size_t size, struct control_request *request);

/* Something has come: tries all that is parked, and notifies all that poll. */
void readers_wake(struct reader *readers, reader_serve_fn *serve, void *data);

#endif
