/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows and is followed by any number of readers, each from the moment of its open: events. Only the last
 * `capacity` bytes are kept; a reader that falls behind further is told how much it has missed and goes on at the next
 * whole line. */
#ifndef GONDOLIN_SRC_FOLLOW_H
#define GONDOLIN_SRC_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/control.h"

struct follow;

/* `lost` is a printf format with one %llu (bytes missed) for the line a late reader gets; the string must live as long.
 * NULL on ENOMEM. */
struct follow *follow_new(size_t capacity, const char *lost);
/* All handles must have been closed. */
void follow_free(struct follow *follow);
/* Nothing will be added any more: after what there is comes end of file, also for reads that wait now. */
void follow_end(struct follow *follow);
void follow_add(struct follow *follow, const void *bytes, size_t len);

/* For control_ops: the handle's state is used. open: 0 or ENOMEM. release: a read that waits gets end of file. */
int follow_open(struct follow *follow, struct control_handle *handle);
void follow_release(struct follow *follow, struct control_handle *handle);
void follow_read(struct follow *follow, struct control_handle *handle, size_t size, struct control_request *request);
unsigned follow_poll(struct follow *follow, struct control_handle *handle);

#endif
