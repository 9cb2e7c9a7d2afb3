/* SPDX-License-Identifier: Apache-2.0 */
/* Flow control. Output: a pipe is read only while the host has given credit and the channel is not full, so a program
 * that prints for ever is stopped by its own full pipe. Input: the host may have at most one window of bytes under way;
 * it gets credit back when the program has taken them.
 *
 * A pipe whose other end is closed reports EPOLLHUP or EPOLLERR for as long as it is watched, whatever the event mask,
 * so that not being interested means not watching. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "guest/job_internal.h"

enum {
    /* One frame in one write to the port is the cheapest. */
    OUTPUT_FRAME = JOB_PIPE_ROOM,
    OUTPUT_CHUNK = OUTPUT_FRAME - sizeof(struct ctl_header),
    CREDIT_BATCH = CTL_STREAM_WINDOW / 4,
    /* More than a pseudo-terminal can hold, whose FIONREAD does not count what its work queue still carries. */
    TERMINAL_CAPACITY = 256 * 1024,
    ENDS_TOLD_MAX = 16,
};

static void was_read(void *data, ssize_t n);
static void was_written(void *data, ssize_t n);
static void tell_end_again(struct job_input *in);

int job_output_init(struct job_output *out, struct job *job, enum ctl_stream stream, int fd, bool tty)
{
    *out = (struct job_output){.job = job, .stream = (uint16_t)stream, .fd = fd, .credit = CTL_STREAM_WINDOW};
    if (!tty)
        out->pipe = job_pipe_new(job->owner->pipes, fd, was_read, out);
    return tty || out->pipe ? 0 : -ENOMEM;
}

static void close_end(int *fd, struct job_pipe **pipe, struct watch **watch)
{
    watch_del(*watch);
    *watch = NULL;
    if (*pipe)
        job_pipe_drop(*pipe);
    else if (*fd >= 0)
        close(*fd);
    *pipe = NULL;
    *fd = -1;
}

void job_output_close(struct job_output *out)
{
    close_end(&out->fd, &out->pipe, &out->watch);
    out->owed = 0;
    out->uncounted = false;
}

bool job_output_owes(const struct job_output *out)
{
    return out->uncounted || out->owed > 0;
}

static void end_output(struct job_output *out)
{
    job_output_close(out);
    job_send(out->job, CTL_JOB_DATA, out->stream, NULL, 0);
}

static bool may_read(const struct job_output *out)
{
    return out->fd >= 0 && out->credit > 0 && !out->job->owner->congested && !out->job->starting &&
           !(out->pipe && job_pipe_is_busy(out->pipe));
}

static void send_output(struct job_output *out, uint8_t *frame, size_t len)
{
    struct jobs *jobs = out->job->owner;
    struct ctl_header header;
    jobs_tell_notices(jobs);
    ctl_header_init(&header, CTL_JOB_DATA, out->stream, out->job->id, len);
    memcpy(frame, &header, sizeof header);
    struct iovec iov = {frame, sizeof header + len};
    channel_send(jobs->channel, &iov, 1);
    out->credit -= (uint32_t)len;
    out->owed -= len < out->owed ? (uint32_t)len : out->owed;
    if (channel_queued(jobs->channel) > CHANNEL_LOW_WATER)
        jobs->congested = true;
}

static size_t room_for_output(const struct job_output *out)
{
    return out->credit < OUTPUT_CHUNK ? out->credit : OUTPUT_CHUNK;
}

/* Sends what a read has given, in a frame with room for its header. Returns false when there is nothing (more) just now. */
static bool take_read(struct job_output *out, uint8_t *frame, ssize_t n)
{
    if (n > 0) {
        send_output(out, frame, (size_t)n);
        tell_end_again(&out->job->in);
        return true;
    }
    out->owed = 0;
    /* The master of a terminal nobody holds any more fails with EIO. */
    if (n != -EAGAIN)
        end_output(out);
    return false;
}

/* At most one frame, from what stops nobody. */
static bool read_here(struct job_output *out)
{
    uint8_t frame[OUTPUT_FRAME];
    ssize_t n;
    do
        n = read(out->fd, frame + sizeof(struct ctl_header), room_for_output(out));
    while (n < 0 && errno == EINTR);
    return take_read(out, frame, n < 0 ? -errno : n);
}

static void was_read(void *data, ssize_t n)
{
    struct job_output *out = data;
    if (out->counting) {
        out->owed = n > 0 ? (uint32_t)n : 0;
        out->uncounted = out->counting = false;
    } else {
        take_read(out, job_pipe_bytes(out->pipe), n);
    }
    if (out->uncounted)
        job_output_drain(out);
    else
        job_output_update(out);
    job_settle(out->job);
}

static void output_ready(void *data, uint32_t events)
{
    struct job_output *out = data;
    if (may_read(out)) {
        if (!out->pipe || events & EPOLLHUP)
            read_here(out);
        else if (job_pipe_read(out->pipe, sizeof(struct ctl_header), room_for_output(out)) < 0)
            end_output(out); /* better a short stream than one that never ends */
    }
    job_output_update(out);
    job_settle(out->job);
}

void job_output_update(struct job_output *out)
{
    if (may_read(out) == (out->watch != NULL))
        return;
    if (out->watch) {
        watch_del(out->watch);
        out->watch = NULL;
    } else {
        out->watch = loop_watch(out->job->owner->loop, out->fd, EPOLLIN, output_ready, out);
        if (!out->watch)
            end_output(out); /* better a short stream than one that never ends */
    }
}

/* Nobody else has it: what is in it now is all that will ever come, unless it is a terminal. */
static void drain_here(struct job_output *out)
{
    int bytes = 0;
    if (!out->pipe)
        out->owed = TERMINAL_CAPACITY;
    else if (ioctl(out->fd, FIONREAD, &bytes) == 0 && bytes > 0)
        out->owed = (uint32_t)bytes;
    /* Once more than owed finds the end of the file. */
    bool more = may_read(out);
    while (more) {
        bool last = out->owed == 0;
        more = read_here(out) && !last && may_read(out);
    }
}

void job_output_drain(struct job_output *out)
{
    if (out->fd < 0)
        return;
    bool busy = out->pipe && job_pipe_is_busy(out->pipe);
    out->uncounted = out->pipe && (busy || !job_pipe_is_alone(out->pipe));
    if (!out->uncounted)
        drain_here(out);
    else if (!busy && job_pipe_count(out->pipe) == 0)
        out->counting = true;
    else if (!busy)
        end_output(out);
    job_output_update(out);
}

int job_output_credit(struct job_output *out, uint32_t bytes)
{
    if (bytes > CTL_STREAM_WINDOW - out->credit)
        return -EPROTO;
    out->credit += bytes;
    job_output_update(out);
    return 0;
}

int job_input_init(struct job_input *in, struct job *job, int fd, bool tty)
{
    *in = (struct job_input){.job = job, .fd = fd, .tty = tty, .last = '\n', .window = CTL_STREAM_WINDOW};
    if (!tty && fd >= 0)
        in->pipe = job_pipe_new(job->owner->pipes, fd, was_written, in);
    return tty || fd < 0 || in->pipe ? 0 : -ENOMEM;
}

static void drop_waiting(struct job_input *in)
{
    free(in->waiting);
    in->waiting = NULL;
    in->start = in->end = in->capacity = 0;
}

void job_input_close(struct job_input *in)
{
    close_end(&in->fd, &in->pipe, &in->watch);
    drop_waiting(in);
}

/* The host may send `bytes` again; told in batches, as no program waits for a part of a window. */
static void grant(struct job_input *in, size_t bytes)
{
    in->consumed += (uint32_t)bytes;
    if (in->consumed < CREDIT_BATCH)
        return;
    uint32_t credit = in->consumed;
    in->window += credit;
    in->consumed = 0;
    job_send(in->job, CTL_JOB_CREDIT, CTL_STDIN, &credit, sizeof credit);
}

/* Nobody reads it any more: what waits and what comes is taken and dropped, as the host cannot be told otherwise. */
static void reader_gone(struct job_input *in)
{
    size_t dropped = in->end - in->start;
    job_input_close(in);
    grant(in, dropped);
}

/* A terminal has no end of file; its end-of-file character makes one. After a part of a line the first only flushes; line
 * editors, which are told of each character, want one. */
static void end_terminal_input(struct job_input *in)
{
    struct termios termios;
    if (tcgetattr(in->fd, &termios) < 0)
        return;
    bool in_line = in->last != '\n' && termios.c_lflag & ICANON && !in->ends_told;
    char eof[2] = {(char)termios.c_cc[VEOF], (char)termios.c_cc[VEOF]};
    in->ends_told++;
    if (write(in->fd, eof, in_line ? 2 : 1) < 0) {
        /* Its buffer is full of unread input, or it is gone: nothing better can be done. */
    }
}

static void finish_if_ended(struct job_input *in)
{
    if (!in->ended || in->fd < 0 || in->end > in->start)
        return;
    if (in->tty)
        end_terminal_input(in);
    else
        job_input_close(in);
}

/* The end of a file stays, and a character is read once, or lost when a shell sets up its line editor: who goes on and says
 * something is told again. Not for ever, as others say something each time. */
static void tell_end_again(struct job_input *in)
{
    if (in->tty && in->fd >= 0 && in->ends_told && in->ends_told < ENDS_TOLD_MAX)
        end_terminal_input(in);
}

/* Has what waits written. */
static void push(struct job_input *in)
{
    size_t len = in->end - in->start;
    ssize_t n;
    if (in->fd < 0 || len == 0 || in->watch || (in->pipe && job_pipe_is_busy(in->pipe)))
        return;
    if (in->pipe) {
        len = len < JOB_PIPE_ROOM ? len : JOB_PIPE_ROOM;
        memcpy(job_pipe_bytes(in->pipe), in->waiting + in->start, len);
        if (job_pipe_write(in->pipe, len) < 0)
            reader_gone(in);
        return;
    }
    do
        n = write(in->fd, in->waiting + in->start, len);
    while (n < 0 && errno == EINTR);
    was_written(in, n < 0 ? -errno : n);
}

static void input_ready(void *data, uint32_t events)
{
    struct job_input *in = data;
    (void)events;
    watch_del(in->watch);
    in->watch = NULL;
    push(in);
}

static void taken(struct job_input *in, size_t bytes)
{
    in->start += bytes;
    in->last = (char)in->waiting[in->start - 1];
    if (in->start == in->end)
        drop_waiting(in);
    grant(in, bytes);
}

static void was_written(void *data, ssize_t n)
{
    struct job_input *in = data;
    if (n > 0)
        taken(in, (size_t)n);
    else if (n == 0 || n == -EAGAIN)
        in->watch = loop_watch(in->job->owner->loop, in->fd, EPOLLOUT, input_ready, in);
    if (n <= 0 && !in->watch)
        reader_gone(in);
    push(in);
    finish_if_ended(in);
}

/* The window bounds what waits. */
static int keep_waiting(struct job_input *in, const uint8_t *bytes, size_t len)
{
    if (in->start > 0) {
        memmove(in->waiting, in->waiting + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    if (in->capacity - in->end < len) {
        size_t capacity = in->end + len > CTL_MAX_FRAME ? CTL_STREAM_WINDOW : CTL_MAX_FRAME;
        uint8_t *grown = realloc(in->waiting, capacity);
        if (!grown)
            return -ENOMEM;
        in->waiting = grown;
        in->capacity = capacity;
    }
    memcpy(in->waiting + in->end, bytes, len);
    in->end += len;
    return 0;
}

int job_input_data(struct job_input *in, const uint8_t *bytes, size_t len)
{
    if (in->ended || len > in->window)
        return -EPROTO;
    in->window -= (uint32_t)len;
    in->ended = len == 0;
    if (in->fd >= 0 && len > 0 && keep_waiting(in, bytes, len) < 0)
        reader_gone(in);
    if (in->fd < 0)
        grant(in, len);
    push(in);
    finish_if_ended(in);
    return 0;
}
