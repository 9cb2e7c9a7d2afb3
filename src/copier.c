/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copier.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PIECE = 2 * 65524 }; /* two whole frames of the control protocol */

/* Whoever started us may have set O_NONBLOCK on a descriptor that it shares with us. */
static bool wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

static ssize_t read_some(int fd, char *buffer, size_t size)
{
    for (;;) {
        ssize_t n = read(fd, buffer, size);
        if (n >= 0)
            return n;
        if (errno == EAGAIN ? !wait_for(fd, POLLIN) : errno != EINTR)
            return -errno;
    }
}

/* 0 or an errno value. */
static int write_all(int fd, const char *buffer, size_t len)
{
    while (len) {
        ssize_t n = write(fd, buffer, len);
        if (n >= 0) {
            buffer += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN ? !wait_for(fd, POLLOUT) : errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static void notify(const struct copier *c)
{
    eventfd_write(c->notify_fd, 1);
}

static void forward(struct copier *c, const char *buffer, size_t len)
{
    if (!c->write_error) {
        int code = write_all(c->to, buffer, len);
        c->write_error = code;
        if (code)
            notify(c);
    }
    uint64_t before = atomic_fetch_add(&c->copied, len);
    if (before < c->wake_at && before + len >= c->wake_at)
        notify(c);
}

static void *copy(void *data)
{
    struct copier *c = data;
    char buffer[PIECE];
    enum copier_state end = COPIER_RUNNING;
    while (end == COPIER_RUNNING) {
        ssize_t n = read_some(c->from, buffer, sizeof buffer);
        size_t len = n > 0 ? (size_t)n : 0;
        const char *escape = c->escape >= 0 ? memchr(buffer, c->escape, len) : NULL;
        if (escape)
            len = (size_t)(escape - buffer);
        if (len)
            forward(c, buffer, len);
        if (n < 0)
            c->error = (int)-n;
        end = n < 0 ? COPIER_FAILED : n == 0 ? COPIER_ENDED : escape ? COPIER_ESCAPED : COPIER_RUNNING;
    }
    if (c->close_to)
        close(c->to);
    c->state = end;
    notify(c);
    return NULL;
}

int copier_start(struct copier *c)
{
    pthread_attr_t attributes;
    pthread_t thread;
    c->state = COPIER_RUNNING;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int code = pthread_create(&thread, &attributes, copy, c);
    pthread_attr_destroy(&attributes);
    if (code)
        c->state = COPIER_IDLE;
    return -code;
}
