/* SPDX-License-Identifier: Apache-2.0 */
/* Our end of a pipe of a job's. What a program does with the other end can stop whoever touches this one: a splice from a file,
 * or a write of bytes that a page fault has to fetch first, keeps the pipe's lock until the file has answered, and who waits
 * for that lock cannot be interrupted (Linux, fs/pipe.c and fs/splice.c). So the loop touches it only when nobody else has
 * the pipe any more; else a thread does. */
#ifndef GONDOLIN_GUEST_JOB_PIPE_H
#define GONDOLIN_GUEST_JOB_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/worker.h"

/* A virtio port takes at most 32 KiB in one write. */
enum { JOB_PIPE_ROOM = 32 * 1024 };

struct job_pipe;

/* The thread is done, called in the loop: bytes read, written or counted, or -errno (-EAGAIN: nothing to read, or no room). */
typedef void job_pipe_fn(void *data, ssize_t n);

/* Takes over fd, which does not block. NULL on ENOMEM: then fd is still the caller's. */
struct job_pipe *job_pipe_new(struct worker *worker, int fd, job_pipe_fn *done, void *data);

/* Whether the other end is closed everywhere. */
bool job_pipe_is_alone(const struct job_pipe *p);

/* Whether a thread has it: nothing may be begun then. */
bool job_pipe_is_busy(const struct job_pipe *p);

/* The memory that is read to and written from; not to be touched while it is busy. */
uint8_t *job_pipe_bytes(struct job_pipe *p);

/* Begin to read `len` bytes to bytes + at, to write `len` of those, to count what can be read. 0, or -ENOMEM: then `done` is
 * not called. */
int job_pipe_read(struct job_pipe *p, size_t at, size_t len);
int job_pipe_write(struct job_pipe *p, size_t len);
int job_pipe_count(struct job_pipe *p);

/* Closes the fd as soon as nobody can be stopped by that. `done` is not called any more. NULL is ignored. */
void job_pipe_drop(struct job_pipe *p);

#endif
