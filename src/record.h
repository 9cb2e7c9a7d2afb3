/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows and is read like a file: console, log. A place in it is counted from its very beginning, the size is all
 * that was ever added, and reading ends at the end; so `cat` ends and `tail -f` goes on. Only the last `capacity` bytes are
 * kept: who reads on from a place that is not gets a line that says how much is missing, and then the next whole line. */
#ifndef GONDOLIN_SRC_RECORD_H
#define GONDOLIN_SRC_RECORD_H

#include "fs/control.h"

struct record;

/* `lost` is a printf format with one %llu (bytes missed) for the line that stands for what is not kept; the string must
 * live as long. NULL on ENOMEM. */
struct record *record_new(size_t capacity, const char *lost);
/* All handles must have been closed. */
void record_free(struct record *record);
void record_add(struct record *record, const void *bytes, size_t len);
/* Nothing will be added any more: poll says POLLHUP. */
void record_end(struct record *record);
/* Copies the last `size` bytes or fewer (no NUL); returns how many. */
size_t record_tail(const struct record *record, char *out, size_t size);

/* For control_ops: the handle's state is used. open: 0 or ENOMEM. On a descriptor that is open for reading and writing the
 * place is not shared with the writes: it reads front to back. */
off_t record_size(const struct record *record);
int record_open(struct record *record, struct control_handle *handle);
void record_release(struct record *record, struct control_handle *handle);
void record_read(struct record *record, struct control_handle *handle, size_t size, off_t offset,
                 struct control_request *request);
/* As for any file a read never waits; POLLPRI tells that there is more than this descriptor has read. */
unsigned record_poll(const struct record *record, struct control_handle *handle);

#endif
