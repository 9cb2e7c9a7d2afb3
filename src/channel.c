/* SPDX-License-Identifier: Apache-2.0 */
#include "src/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HANGUP_RETRY_MS = 20, READ_MIN = 64 * 1024 };

struct channel {
    struct loop *loop;
    struct watch *watch;
    struct timer *retry; /* running while a hung-up port is waited out */
    int fd;
    size_t min, max;
    bool hangup_pauses, paused, ended, was_high, holding, alone;
    bool in_callback, free_wanted;
    const struct channel_ops *ops;
    void *data;

    uint8_t *rx; /* capacity max + READ_MIN */
    size_t rx_start, rx_end;

    uint8_t *tx; /* queued bytes are tx[tx_start..tx_end), the last of which are held */
    size_t tx_start, tx_end, tx_capacity, held;
};

static void channel_events(void *data, uint32_t events);

static size_t to_send(const struct channel *c)
{
    return c->tx_end - c->tx_start - c->held;
}

static void update_watch(struct channel *c)
{
    if (c->ended || !c->watch)
        return;
    uint32_t events = c->paused ? 0 : EPOLLIN;
    if (to_send(c) > 0)
        events |= EPOLLOUT;
    watch_events(c->watch, events);
}

struct channel *channel_new(struct loop *loop, int fd, size_t min, size_t max, int hangup_pauses,
                            const struct channel_ops *ops, void *data)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return NULL;
    struct channel *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct channel){.loop = loop, .fd = fd, .min = min, .max = max, .hangup_pauses = hangup_pauses, .ops = ops,
                          .data = data};
    c->rx = malloc(max + READ_MIN);
    c->watch = c->rx ? loop_watch(loop, fd, EPOLLIN, channel_events, c) : NULL;
    if (!c->watch) {
        int saved = errno;
        free(c->rx);
        free(c);
        errno = saved;
        return NULL;
    }
    return c;
}

static void release(struct channel *c)
{
    watch_del(c->watch);
    timer_cancel(c->retry);
    close(c->fd);
    free(c->rx);
    free(c->tx);
    free(c);
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    if (c->in_callback) {
        c->ended = true;
        c->free_wanted = true;
        return;
    }
    release(c);
}

static void end(struct channel *c, int code)
{
    if (c->ended)
        return;
    c->ended = true;
    watch_del(c->watch);
    c->watch = NULL;
    c->ops->closed(c->data, code);
}

static void hangup_over(void *data)
{
    struct channel *c = data;
    c->retry = NULL;
    c->watch = loop_watch(c->loop, c->fd, EPOLLIN, channel_events, c);
    update_watch(c);
}

/* A port whose host end is not connected reports EPOLLHUP for as long as that lasts, and offers no event for its end
 * that a level-triggered watch could sleep on. */
static void wait_out_hangup(struct channel *c)
{
    watch_del(c->watch);
    c->watch = NULL;
    if (!c->retry)
        c->retry = loop_timer(c->loop, HANGUP_RETRY_MS, hangup_over, c);
}

static bool deliver(struct channel *c)
{
    while (!c->ended && !c->paused && c->rx_end - c->rx_start >= 4) {
        uint32_t length;
        memcpy(&length, c->rx + c->rx_start, sizeof length);
        if (length < c->min || length > c->max || length < 4) {
            end(c, EPROTO);
            return false;
        }
        if (c->rx_end - c->rx_start < length)
            break;
        uint8_t *msg = c->rx + c->rx_start;
        c->rx_start += length;
        c->ops->message(c->data, msg, length);
    }
    if (c->rx_start == c->rx_end)
        c->rx_start = c->rx_end = 0;
    return !c->ended;
}

static void receive(struct channel *c)
{
    if (c->rx_start && c->max + READ_MIN - c->rx_end < READ_MIN) {
        memmove(c->rx, c->rx + c->rx_start, c->rx_end - c->rx_start);
        c->rx_end -= c->rx_start;
        c->rx_start = 0;
    }
    ssize_t n = read(c->fd, c->rx + c->rx_end, c->max + READ_MIN - c->rx_end);
    if (n > 0) {
        c->rx_end += (size_t)n;
        deliver(c);
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    } else if (n == 0 && c->hangup_pauses) {
        wait_out_hangup(c);
    } else {
        end(c, n == 0 ? 0 : errno);
    }
}

/* Returns bytes taken (0 when the kernel takes none now) or -errno. */
static ssize_t write_some(struct channel *c, const struct iovec *iov, int count)
{
    ssize_t n;
    do
        n = writev(c->fd, iov, count);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? 0 : -errno;
}

static void flush_queue(struct channel *c)
{
    while (to_send(c) > 0) {
        struct iovec iov = {c->tx + c->tx_start, to_send(c)};
        ssize_t n = write_some(c, &iov, 1);
        if (n < 0) {
            if (!c->hangup_pauses)
                end(c, (int)-n);
            return;
        }
        if (n == 0)
            break;
        c->tx_start += (size_t)n;
    }
    if (c->tx_start == c->tx_end)
        c->tx_start = c->tx_end = 0;
    update_watch(c);
    if (c->was_high && c->tx_end - c->tx_start <= CHANNEL_LOW_WATER / 4) {
        c->was_high = false;
        if (c->ops->writable)
            c->ops->writable(c->data);
    }
}

static void serve_alone(struct channel *c)
{
    while (c->alone && !c->ended) {
        struct pollfd p = {.fd = c->fd, .events = (short)(to_send(c) > 0 ? POLLIN | POLLOUT : POLLIN)};
        if (poll(&p, 1, 0) <= 0)
            continue;
        if (p.revents & POLLOUT)
            flush_queue(c);
        if (c->hangup_pauses && (p.revents & POLLHUP))
            poll(NULL, 0, HANGUP_RETRY_MS); /* as in wait_out_hangup */
        else if (p.revents & ~POLLOUT)
            receive(c);
    }
}

void channel_alone(struct channel *c, bool alone)
{
    c->alone = alone;
}

static void channel_events(void *data, uint32_t events)
{
    struct channel *c = data;
    c->in_callback = true;
    if (events & EPOLLOUT)
        flush_queue(c);
    if (!c->ended && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(c);
    serve_alone(c);
    c->in_callback = false;
    if (c->free_wanted)
        release(c);
}

static int queue(struct channel *c, const uint8_t *bytes, size_t len)
{
    if (c->tx_capacity - c->tx_end < len && c->tx_start) {
        memmove(c->tx, c->tx + c->tx_start, c->tx_end - c->tx_start);
        c->tx_end -= c->tx_start;
        c->tx_start = 0;
    }
    if (c->tx_capacity - c->tx_end < len) {
        size_t capacity = c->tx_capacity ? c->tx_capacity : 64 * 1024;
        while (capacity - c->tx_end < len)
            capacity *= 2;
        uint8_t *grown = realloc(c->tx, capacity);
        if (!grown)
            return -ENOMEM;
        c->tx = grown;
        c->tx_capacity = capacity;
    }
    memcpy(c->tx + c->tx_end, bytes, len);
    c->tx_end += len;
    return 0;
}

int channel_send(struct channel *c, const struct iovec *iov, int count)
{
    if (c->ended)
        return -EPIPE;
    size_t taken = 0, queued = channel_queued(c);
    if (queued == 0 && !c->holding) {
        /* A failed write is not reported here: the loop sees the same failure as EPOLLERR and calls `closed`. */
        ssize_t n = write_some(c, iov, count);
        taken = n > 0 ? (size_t)n : 0;
    }
    for (int i = 0; i < count; i++) {
        size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;
        taken -= skip;
        if (skip < iov[i].iov_len) {
            int rc = queue(c, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
            if (rc < 0)
                return rc;
        }
    }
    if (c->holding)
        c->held += channel_queued(c) - queued;
    if (channel_queued(c) > CHANNEL_LOW_WATER)
        c->was_high = true;
    if (to_send(c) > 0)
        update_watch(c);
    return 0;
}

void channel_hold(struct channel *c)
{
    c->holding = true;
}

int channel_release(struct channel *c, const void *first, size_t len)
{
    uint8_t *held = c->held ? malloc(c->held) : NULL;
    struct iovec iov[] = {{(void *)(uintptr_t)first, len}, {held, c->held}};
    if (c->held && !held)
        return -ENOMEM;
    c->tx_end -= c->held;
    if (held)
        memcpy(held, c->tx + c->tx_end, c->held);
    c->held = 0;
    c->holding = false;
    int rc = channel_send(c, iov, 2);
    free(held);
    return rc;
}

size_t channel_queued(const struct channel *c)
{
    return c->tx_end - c->tx_start;
}

static void deliver_later(void *data)
{
    struct channel *c = data;
    c->retry = NULL;
    c->in_callback = true;
    deliver(c);
    c->in_callback = false;
    if (c->free_wanted)
        release(c);
}

void channel_pause(struct channel *c, int paused)
{
    if (c->ended || c->paused == (bool)paused)
        return;
    c->paused = paused;
    update_watch(c);
    if (!paused && c->rx_end > c->rx_start && !c->retry)
        c->retry = loop_timer(c->loop, 0, deliver_later, c);
}
