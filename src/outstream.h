/* SPDX-License-Identifier: Apache-2.0 */
/* The output of a job on its way from the guest to readers of a control file.
 *
 * A passing stream holds at most one credit window; what a reader takes is given back to the guest as credit, so a job
 * whose output nobody reads stops. A kept stream (jobs started by `run`) remembers everything, in memory first and then
 * in an unlinked file, and every reader sees it from the start. */
#ifndef GONDOLIN_SRC_OUTSTREAM_H
#define GONDOLIN_SRC_OUTSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/control.h"

struct outstream;

/* `credit(data, n)` is called when the guest may send n bytes more. `spool_dir`: where a kept stream makes its unlinked
 * file (borrowed). NULL on ENOMEM. */
struct outstream *outstream_new(bool keep, const char *spool_dir, void (*credit)(void *data, uint32_t n), void *data);
/* Answers parked reads with ESTALE. */
void outstream_free(struct outstream *stream);

/* Bytes from the guest. 0, -EPROTO (more than the credit), -ENOSPC or another errno of the spool. */
int outstream_append(struct outstream *stream, const uint8_t *bytes, size_t len);
/* No more bytes will come (idempotent). */
void outstream_end(struct outstream *stream);

bool outstream_ended(const struct outstream *stream);
uint64_t outstream_total(const struct outstream *stream);

/* Control-file operations; the handle's state is used for the reader. open: 0, EBUSY or ENOMEM. */
int outstream_open(struct outstream *stream, struct control_handle *handle);
void outstream_release(struct outstream *stream, struct control_handle *handle);
void outstream_read(struct outstream *stream, struct control_handle *handle, size_t size,
                    struct control_request *request);
unsigned outstream_poll(struct outstream *stream, struct control_handle *handle);

/* A stream as it stands between two frames of a quiet guest. */
struct outstream_record {
    uint64_t total;    /* bytes received so far */
    uint64_t promised; /* credit that the guest has and has not used */
    uint64_t owed;     /* credit it will get with the next piece */
    bool ended;
    const char *held; /* bytes that are kept or not read yet; those of a long kept stream are not among them */
    size_t held_len;
};

/* Fills *record but for `held`, which is written to `output`. */
void outstream_record(const struct outstream *stream, struct outstream_record *record, FILE *output);
/* Goes back, or on, to what was recorded, of this stream or another's. Readers stay. 0 or -ENOMEM. */
int outstream_restore(struct outstream *stream, const struct outstream_record *record);

/* Copies kept output from `offset`; returns bytes (0 at the end) or -errno. For reading back a `run`. */
int64_t outstream_copy(struct outstream *stream, uint64_t offset, void *out, size_t size);

#endif
