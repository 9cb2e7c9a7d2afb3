/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/job_pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum operation { READING, WRITING, COUNTING };

struct job_pipe {
    struct worker *worker;
    int fd;
    job_pipe_fn *done; /* NULL: dropped while it was busy */
    void *data;
    bool busy;

    /* The thread's while busy. */
    enum operation operation;
    size_t at, len;
    ssize_t n;
    uint8_t bytes[JOB_PIPE_ROOM];
};

struct job_pipe *job_pipe_new(struct worker *worker, int fd, job_pipe_fn *done, void *data)
{
    struct job_pipe *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    /* Its bytes are not touched before there are some: most jobs print little. */
    p->worker = worker;
    p->fd = fd;
    p->done = done;
    p->data = data;
    p->busy = false;
    return p;
}

bool job_pipe_is_alone(const struct job_pipe *p)
{
    struct pollfd other = {.fd = p->fd};
    return !p->busy && poll(&other, 1, 0) == 1 && other.revents & (POLLHUP | POLLERR);
}

bool job_pipe_is_busy(const struct job_pipe *p)
{
    return p->busy;
}

uint8_t *job_pipe_bytes(struct job_pipe *p)
{
    return p->bytes;
}

static void close_now(void *data)
{
    struct job_pipe *p = data;
    close(p->fd);
    p->fd = -1;
}

static void closed(void *data)
{
    struct job_pipe *p = data;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

static void drop(struct job_pipe *p)
{
    if (job_pipe_is_alone(p) || worker_submit(p->worker, close_now, closed, p) < 0)
        closed(p);
}

static ssize_t operate(struct job_pipe *p)
{
    int bytes = 0;
    switch (p->operation) {
    case READING:
        return read(p->fd, p->bytes + p->at, p->len);
    case WRITING:
        return write(p->fd, p->bytes, p->len);
    case COUNTING:
        return ioctl(p->fd, FIONREAD, &bytes) < 0 ? -1 : bytes;
    }
    return 0;
}

static void work(void *data)
{
    struct job_pipe *p = data;
    do
        p->n = operate(p);
    while (p->n < 0 && errno == EINTR);
    p->n = p->n < 0 ? -errno : p->n;
}

static void worked(void *data)
{
    struct job_pipe *p = data;
    p->busy = false;
    if (p->done)
        p->done(p->data, p->n);
    else
        drop(p);
}

static int begin(struct job_pipe *p, enum operation operation, size_t at, size_t len)
{
    p->operation = operation;
    p->at = at;
    p->len = len;
    int rc = worker_submit(p->worker, work, worked, p);
    p->busy = rc == 0;
    return rc;
}

int job_pipe_read(struct job_pipe *p, size_t at, size_t len)
{
    return begin(p, READING, at, len);
}

int job_pipe_write(struct job_pipe *p, size_t len)
{
    return begin(p, WRITING, 0, len);
}

int job_pipe_count(struct job_pipe *p)
{
    return begin(p, COUNTING, 0, 0);
}

void job_pipe_drop(struct job_pipe *p)
{
    if (!p)
        return;
    if (p->busy)
        p->done = NULL;
    else
        drop(p);
}
