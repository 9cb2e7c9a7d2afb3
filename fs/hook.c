/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hook.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "src/cleanup.h"

enum { UNREAD_LIMIT = 256 * 1024 }; /* bytes of lines that the program has not taken yet */

struct question {
    struct question *next;
    uint64_t id;
    bool answered;
    int error;
};

struct hook {
    int fd;
    int wake_fd; /* something is left to be sent */
    hook_dead_fn *on_dead;
    void *data;
    pthread_t thread; /* receives, and sends what could not be sent at once */
    pthread_mutex_t making;

    pthread_mutex_t lock;   /* for all below */
    pthread_cond_t changed; /* greeted, dead, a question answered, lines taken */
    bool greeted, dead;
    struct hook_hello hello; /* constant once greeted */
    uint64_t last_id;
    struct question *questions;
    char *unread;
    size_t unread_len;

    char in[HOOK_LINE_LIMIT]; /* the thread's own */
    size_t in_len;
};

/* ---- the end; the lock is held ---- */

/* The thread finds the end of the stream. */
static void fail(struct hook *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct hook *h, const char *fmt, ...)
{
    char why[HOOK_WHY + 64];
    va_list ap;
    if (h->dead)
        return;
    h->dead = true;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    shutdown(h->fd, SHUT_RDWR);
    pthread_cond_broadcast(&h->changed);
    if (h->on_dead)
        h->on_dead(h->data, why);
}

static struct timespec deadline_in(unsigned ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Waits for a change. False when the deadline has passed. */
static bool wait_until(struct hook *h, const struct timespec *deadline)
{
    return pthread_cond_clockwait(&h->changed, &h->lock, CLOCK_MONOTONIC, deadline) == 0;
}

/* ---- sending; the lock is held ---- */

static void send_unread(struct hook *h)
{
    if (h->dead || h->unread_len == 0)
        return;
    ssize_t n = send(h->fd, h->unread, h->unread_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail(h, "it has ended");
    if (n <= 0)
        return;
    h->unread_len -= (size_t)n;
    memmove(h->unread, h->unread + n, h->unread_len);
    pthread_cond_broadcast(&h->changed);
}

/* Queues a line (NULL: there was no memory for it) and sends what can be sent. */
static void put(struct hook *h, const char *line, const struct timespec *deadline)
{
    size_t len = line ? strlen(line) : 0;
    if (!line || len > UNREAD_LIMIT)
        fail(h, "a line could not be made: out of memory");
    while (!h->dead && h->unread_len + len > UNREAD_LIMIT)
        if (!wait_until(h, deadline))
            fail(h, "it has not read its input for %u ms", h->hello.timeout_ms);
    if (h->dead)
        return;
    bool idle = h->unread_len == 0;
    memcpy(h->unread + h->unread_len, line, len);
    h->unread_len += len;
    send_unread(h);
    if (idle && h->unread_len > 0)
        eventfd_write(h->wake_fd, 1);
}

/* ---- receiving; the lock is held ---- */

static void take_answer(struct hook *h, const char *line, size_t len)
{
    struct hook_answer answer;
    char why[HOOK_WHY];
    if (hook_read_answer(line, len, &answer, why) < 0) {
        fail(h, "it gave a malformed answer: %s", why);
        return;
    }
    struct question **at = &h->questions;
    while (*at && (*at)->id != answer.id)
        at = &(*at)->next;
    if (!*at) {
        fail(h, "it answered %llu, which it was not asked", (unsigned long long)answer.id);
        return;
    }
    (*at)->answered = true;
    (*at)->error = answer.error;
    *at = (*at)->next;
    pthread_cond_broadcast(&h->changed);
}

static void take_line(struct hook *h, const char *line, size_t len)
{
    char why[HOOK_WHY];
    if (h->greeted && h->hello.decides) {
        take_answer(h, line, len);
    } else if (h->greeted) {
        fail(h, "it spoke, but has nothing to decide");
    } else if (hook_read_hello(line, len, &h->hello, why) < 0) {
        fail(h, "its first line is no hello: %s", why);
    } else {
        h->greeted = true;
        pthread_cond_broadcast(&h->changed);
    }
}

static void take_lines(struct hook *h)
{
    char *at = h->in, *end = h->in + h->in_len, *newline;
    while (!h->dead && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        take_line(h, at, (size_t)(newline - at));
        at = newline + 1;
    }
    h->in_len = (size_t)(end - at);
    memmove(h->in, at, h->in_len);
    if (h->in_len == sizeof h->in)
        fail(h, "it wrote a line of more than %d bytes", HOOK_LINE_LIMIT);
}

static void receive(struct hook *h)
{
    ssize_t n = recv(h->fd, h->in + h->in_len, sizeof h->in - h->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail(h, "it has ended");
        return;
    }
    h->in_len += (size_t)n;
    take_lines(h);
}

static void *converse(void *data)
{
    struct hook *h = data;
    struct pollfd fds[] = {{.fd = h->fd, .events = POLLIN}, {.fd = h->wake_fd, .events = POLLIN}};
    bool dead = false;
    while (!dead) {
        poll(fds, 2, -1);
        eventfd_t woken;
        if (fds[1].revents)
            eventfd_read(h->wake_fd, &woken);
        pthread_mutex_lock(&h->lock);
        if (fds[0].revents & POLLOUT)
            send_unread(h);
        if (fds[0].revents & ~POLLOUT)
            receive(h);
        fds[0].events = (short)(POLLIN | (h->unread_len > 0 ? POLLOUT : 0));
        dead = h->dead;
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

/* ---- asking and telling ---- */

static bool is_wanted(struct hook *h, enum hook_op op)
{
    return h->hello.ops & UINT32_C(1) << op;
}

static void forget_question(struct hook *h, const struct question *q)
{
    struct question **at = &h->questions;
    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
}

/* The lock is held. */
static int ask(struct hook *h, uint64_t id, const char *line)
{
    const struct timespec deadline = deadline_in(h->hello.timeout_ms);
    struct question q = {.next = h->questions, .id = id};
    // cppcheck-suppress autoVariables // taken out again before this returns
    h->questions = &q;
    put(h, line, &deadline);
    while (!h->dead && !q.answered)
        if (!wait_until(h, &deadline) && !q.answered)
            fail(h, "it has not answered for %u ms", h->hello.timeout_ms);
    forget_question(h, &q);
    return q.answered ? -q.error : -EIO;
}

static void tell(struct hook *h, const char *line)
{
    pthread_mutex_lock(&h->lock);
    const struct timespec deadline = deadline_in(h->hello.timeout_ms);
    put(h, line, &deadline);
    pthread_mutex_unlock(&h->lock);
}

int hook_begin(struct hook *h, const struct hook_event *event, uint64_t *id)
{
    pthread_mutex_lock(&h->lock);
    bool dead = h->dead;
    *id = !dead && is_wanted(h, event->op) ? ++h->last_id : 0;
    pthread_mutex_unlock(&h->lock);
    if (dead)
        return -EIO;
    if (*id == 0 || !h->hello.decides)
        return 0;
    cleanup_free char *line = hook_event_line(*id, event, NULL);
    pthread_mutex_lock(&h->lock);
    int rc = ask(h, *id, line);
    pthread_mutex_unlock(&h->lock);
    if (rc < 0)
        hook_end(h, event, *id, rc);
    return rc;
}

void hook_end(struct hook *h, const struct hook_event *event, uint64_t id, int64_t result)
{
    if (id == 0)
        return;
    cleanup_free char *line =
        h->hello.decides ? hook_result_line(id, result) : hook_event_line(id, event, &result);
    tell(h, line);
}

void hook_lock_making(struct hook *h)
{
    pthread_mutex_lock(&h->making);
}

void hook_unlock_making(struct hook *h)
{
    pthread_mutex_unlock(&h->making);
}

bool hook_is_dead(struct hook *h)
{
    pthread_mutex_lock(&h->lock);
    bool dead = h->dead;
    pthread_mutex_unlock(&h->lock);
    return dead;
}

struct hook_hello hook_hello(const struct hook *h)
{
    return h->hello;
}

/* ---- beginning and end ---- */

static void await_hello(struct hook *h)
{
    const struct timespec deadline = deadline_in(HOOK_TIMEOUT_MS);
    pthread_mutex_lock(&h->lock);
    while (!h->dead && !h->greeted)
        if (!wait_until(h, &deadline) && !h->greeted)
            fail(h, "it has not said hello within %d ms", HOOK_TIMEOUT_MS);
    pthread_mutex_unlock(&h->lock);
}

static void release(struct hook *h)
{
    if (h->wake_fd >= 0)
        close(h->wake_fd);
    close(h->fd);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->making);
    free(h->unread);
    free(h);
}

struct hook *hook_new(int fd, hook_dead_fn *dead, void *data)
{
    struct hook *h = calloc(1, sizeof *h);
    if (!h) {
        close(fd);
        return NULL;
    }
    *h = (struct hook){.fd = fd, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .on_dead = dead, .data = data,
                       .unread = malloc(UNREAD_LIMIT), .hello.timeout_ms = HOOK_TIMEOUT_MS};
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->making, NULL);
    pthread_cond_init(&h->changed, NULL);
    int rc = h->wake_fd < 0 ? errno : !h->unread ? ENOMEM : pthread_create(&h->thread, NULL, converse, h);
    if (rc != 0) {
        release(h);
        errno = rc;
        return NULL;
    }
    await_hello(h);
    return h;
}

void hook_free(struct hook *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->on_dead = NULL;
    fail(h, "it is not needed any more");
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    release(h);
}
