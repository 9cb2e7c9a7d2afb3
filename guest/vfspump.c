/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vfspump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fs/inbox.h"
#include "fs/notifier.h"
#include "fs/wire.h"
#include "guest/vfsforget.h"
#include "guest/vfstell.h"
#include "guest/window.h"
#include "src/thread.h"

enum { REQUEST_SIZE = WIRE_FRAME_LIMIT + 4096, LOCK_REQUEST = sizeof(struct fuse_in_header) + sizeof(struct fuse_lk_in) };

/* A request that the kernel waits for the answer to. */
struct asked {
    uint64_t unique;
    uint32_t piece; /* of the window; 0: none */
    bool reads;     /* ... and the answer is there */
    bool greets;    /* INIT */
    bool waits;                    /* for a lock: as long as others like */
    uint8_t request[LOCK_REQUEST]; /* of one that waits */
};

struct vfspump {
    int port, fuse, wake, epoll; /* wake: an eventfd */
    pthread_t thread;
    bool running;
    atomic_bool stopping;
    vfspump_ended_fn *ended;
    void *data;
    struct notifier *notifier;
    struct vfstell *tell;
    struct vfsforget *forget;
    atomic_bool quiet; /* what is announced is no news, but what another server cannot vouch for */
    struct inbox inbox;
    uint8_t *tx; /* one message on its way to the port */
    size_t tx_start, tx_end;
    uint8_t *joined; /* an answer whose data came through the window */
    bool fuse_watched;
    uint32_t port_watched; /* the events */
    bool locked; /* there may be locks */
    uint8_t *shared; /* the half of the window that is for mounts; NULL: none */
    struct window window; /* empty until the host has said that it has it, too */

    struct asked *asked; /* what is under way; of the thread while it runs */
    size_t asked_count, asked_room;

    pthread_mutex_t lock; /* for the two below */
    pthread_cond_t drained;
    bool held, idle;
};

/* ---- what is under way ---- */

static bool is_answered(uint32_t opcode)
{
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

/* Returns how much of it is to be sent, or -errno. */
static ssize_t note_request(struct vfspump *p, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    if (!is_answered(header.opcode))
        return (ssize_t)len;
    if (p->asked_count == p->asked_room) {
        size_t room = p->asked_room ? 2 * p->asked_room : 64;
        struct asked *bigger = reallocarray(p->asked, room, sizeof *bigger);
        if (!bigger)
            return -ENOMEM;
        p->asked = bigger;
        p->asked_room = room;
    }
    struct asked *asked = &p->asked[p->asked_count++];
    *asked = (struct asked){.unique = header.unique,
                            .greets = header.opcode == FUSE_INIT,
                            .waits = header.opcode == FUSE_SETLKW && len == LOCK_REQUEST};
    if (asked->waits)
        memcpy(asked->request, message, len);
    const struct wire_op *op = wire_op_find(header.opcode);
    asked->piece = op ? window_use(&p->window, op, message, &len) : 0;
    asked->reads = asked->piece && header.opcode == FUSE_READ;
    return (ssize_t)len;
}

/* What is answered; its unique is 0 where nothing is. */
static struct asked take_asked(struct vfspump *p, uint64_t unique)
{
    for (size_t i = 0; i < p->asked_count; i++) {
        if (p->asked[i].unique != unique)
            continue;
        struct asked asked = p->asked[i];
        p->asked[i] = p->asked[--p->asked_count];
        return asked;
    }
    return (struct asked){.unique = 0};
}

static bool is_drained(const struct vfspump *p)
{
    for (size_t i = 0; i < p->asked_count; i++)
        if (!p->asked[i].waits)
            return false;
    return p->tx_end == 0;
}

/* Whether requests may be taken. */
static bool check_held(struct vfspump *p)
{
    pthread_mutex_lock(&p->lock);
    bool held = p->held;
    p->idle = held && is_drained(p);
    if (p->idle)
        pthread_cond_signal(&p->drained);
    pthread_mutex_unlock(&p->lock);
    return held;
}

/* ---- to the host ---- */

/* 0 when all has been written or the port takes no more now (it will tell), else -errno. */
static int flush_tx(struct vfspump *p)
{
    while (p->tx_start < p->tx_end) {
        ssize_t n = write(p->port, p->tx + p->tx_start, p->tx_end - p->tx_start);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0)
            return 0;
        p->tx_start += (size_t)n;
    }
    p->tx_start = p->tx_end = 0;
    return 0;
}

static int watch_again(const struct vfspump *p, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

static int watch_fuse(struct vfspump *p, bool on)
{
    if (p->fuse_watched == on)
        return 0;
    p->fuse_watched = on;
    return watch_again(p, p->fuse, on ? EPOLLIN : 0);
}

/* While the host is away it reports that all the time, and is watched by edges. */
static int watch_port(struct vfspump *p, bool away)
{
    uint32_t events = away ? EPOLLIN | EPOLLOUT | EPOLLET : p->tx_end ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (p->port_watched == events)
        return 0;
    p->port_watched = events;
    return watch_again(p, p->port, events);
}

static bool answer(const struct vfspump *p, const struct fuse_in_header *request, int error)
{
    const struct fuse_out_header out = {.len = sizeof out, .error = -error, .unique = request->unique};
    return write(p->fuse, &out, sizeof out) == (ssize_t)sizeof out || errno == ENOENT;
}

/* What no mount has: ACLs, capabilities, security labels. They are asked for with each listing. */
static bool asks_for_absent(const uint8_t *message, size_t len)
{
    static const char *const prefixes[] = {"security.", "system."};
    const size_t name_at = sizeof(struct fuse_in_header) + sizeof(struct fuse_getxattr_in);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && len > name_at; i++)
        if (strncmp((const char *)message + name_at, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* What needs no trip to the host. Closing a file only ends its POSIX locks there, if anybody has ever taken one. */
static bool answer_here(struct vfspump *p, const uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    switch (header.opcode) {
    case FUSE_GETXATTR:
        return asks_for_absent(message, len) && answer(p, &header, EOPNOTSUPP);
    case FUSE_SETLK:
    case FUSE_SETLKW:
        p->locked = true;
        return false;
    case FUSE_FLUSH:
        return !p->locked && answer(p, &header, 0);
    default:
        return false;
    }
}

/* 1: one was taken; 0: there is none now. -ENODEV: unmounted, or aborted. */
static int take_request(struct vfspump *p)
{
    ssize_t n = read(p->fuse, p->tx, REQUEST_SIZE);
    if (n < 0 && (errno == EINTR || errno == ENOENT)) /* ENOENT: its caller was killed in this moment */
        return 1;
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    size_t len = answer_here(p, p->tx, (size_t)n) ? 0 : vfstell_take(p->tell, p->tx, (size_t)n);
    if (!len)
        return 1;
    n = note_request(p, p->tx, len);
    if (n < 0)
        return (int)n;
    p->tx_end = (size_t)n;
    int rc = flush_tx(p);
    return rc < 0 ? rc : 1;
}

/* Takes requests from the kernel for as long as the port takes them. Who asks for one thing after the other has asked for
 * nothing more yet: looking for it would be in the way of the answer. */
static int pump_requests(struct vfspump *p)
{
    int rc = flush_tx(p);
    bool held = check_held(p), more = true;
    while (rc == 0 && more && !held && p->tx_end == 0) {
        int taken = take_request(p);
        rc = taken < 0 ? taken : 0;
        more = taken > 0 && p->asked_count > 1;
    }
    rc = rc ? rc : watch_fuse(p, !held && p->tx_end == 0);
    return rc ? rc : watch_port(p, p->port_watched & EPOLLET);
}

/* ---- from the host ---- */

/* The host has about as many files open as it may (fs/server.h). */
static bool asks_to_forget(const uint8_t *message, size_t len)
{
    struct fuse_out_header header;
    struct fuse_notify_inval_inode_out inode;
    memcpy(&header, message, sizeof header);
    if (header.error != FUSE_NOTIFY_INVAL_INODE || len != sizeof header + sizeof inode)
        return false;
    memcpy(&inode, message + sizeof header, sizeof inode);
    return inode.ino == 0;
}

static void take_notice(struct vfspump *p, const uint8_t *message, size_t len)
{
    if (asks_to_forget(message, len)) {
        vfsforget_ask(p->forget);
        return;
    }
    notifier_send(p->notifier, message, len, false);
    notifier_end(p->notifier);
    if (!atomic_load(&p->quiet))
        vfstell_notice(p->tell, message, len);
}

/* The kernel is not to see what is between us. */
static void take_greeting(struct vfspump *p, uint8_t *message, size_t len)
{
    uint32_t pieces;
    if (len < WIRE_INIT_WINDOW_OFFSET + sizeof pieces)
        return;
    memcpy(&pieces, message + WIRE_INIT_WINDOW_OFFSET, sizeof pieces);
    memset(message + WIRE_INIT_WINDOW_OFFSET, 0, sizeof pieces);
    p->window.memory = pieces >= WIRE_WINDOW_PIECES ? p->shared : NULL;
}

/* FUSE takes pages of memory from its caller, which a device's has not got: the data is copied behind the header first. Returns
 * the length of the whole. */
static size_t join_window(struct vfspump *p, const struct asked *asked, const uint8_t *message)
{
    struct fuse_out_header header;
    struct fuse_write_out count;
    memcpy(&header, message, sizeof header);
    memcpy(&count, message + sizeof header, sizeof count);
    if (count.size > WIRE_IO_LIMIT)
        count.size = WIRE_IO_LIMIT;
    header.len = (uint32_t)(sizeof header + count.size);
    memcpy(p->joined, &header, sizeof header);
    memcpy(p->joined + sizeof header, window_at(&p->window, asked->piece), count.size);
    return header.len;
}

static void give_to_kernel(struct vfspump *p, uint8_t *message, size_t len)
{
    struct fuse_out_header header;
    memcpy(&header, message, sizeof header);
    if (header.unique == 0) {
        take_notice(p, message, len);
        return;
    }
    const struct asked asked = take_asked(p, header.unique);
    if (asked.greets)
        take_greeting(p, message, len);
    if (asked.reads && len == sizeof header + sizeof(struct fuse_write_out)) {
        len = join_window(p, &asked, message);
        message = p->joined;
    }
    window_give(&p->window, asked.piece);
    while (write(p->fuse, message, len) < 0 && errno == EINTR)
        ; /* other errors: nobody waits for it any more */
}

/* A port that is watched by edges has to be emptied; else what has come of a message is worth looking for the rest. */
static int pump_replies(struct vfspump *p)
{
    do {
        ssize_t n = inbox_fill(&p->inbox, p->port);
        if (n <= 0)
            return n == 0 || n == -EAGAIN ? 0 : (int)n; /* 0: the host is not connected now */
        uint8_t *message;
        size_t len;
        int rc;
        while ((rc = inbox_next(&p->inbox, &message, &len)) > 0)
            give_to_kernel(p, message, len);
        if (rc < 0)
            return rc;
    } while (p->inbox.start != p->inbox.end || p->port_watched & EPOLLET);
    return 0;
}

/* ---- the thread ---- */

/* Whether to stop. */
static bool take_wake(struct vfspump *p)
{
    eventfd_t count;
    eventfd_read(p->wake, &count);
    return atomic_load(&p->stopping);
}

static int port_ready(struct vfspump *p, uint32_t events)
{
    int rc = watch_port(p, events & EPOLLHUP);
    rc = rc ? rc : pump_replies(p);
    if (rc == 0 && p->tx_end)
        return pump_requests(p);
    check_held(p);
    return rc;
}

static int run(struct vfspump *p)
{
    int rc = pump_requests(p);
    while (rc == 0) {
        struct epoll_event event;
        int n = epoll_wait(p->epoll, &event, 1, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 1)
            continue;
        if (event.data.fd == p->wake && take_wake(p))
            return 0;
        rc = event.data.fd == p->port ? port_ready(p, event.events) : pump_requests(p);
    }
    return rc;
}

static void *pump_thread(void *data)
{
    struct vfspump *p = data;
    int rc = run(p);
    if (rc == -EPROTO)
        p->ended(p->data, "the host sent a malformed message");
    else if (rc < 0 && rc != -ENODEV)
        p->ended(p->data, strerror(-rc));
    return NULL;
}

static int watch(const struct vfspump *p, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void make_lock(struct vfspump *p)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->drained, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&p->lock, NULL);
}

static int set_up(struct vfspump *p, const char *place, const char *nonce)
{
    make_lock(p);
    int rc = inbox_init(&p->inbox, sizeof(struct fuse_out_header), nonce);
    p->tx = malloc(REQUEST_SIZE);
    p->joined = malloc(WIRE_FRAME_LIMIT);
    p->shared = window_map(WINDOW_FOR_MOUNTS);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->notifier = notifier_new(p->fuse);
    p->tell = vfstell_new(place, p->fuse);
    p->forget = vfsforget_new(place);
    if (rc < 0 || !p->tell || !p->forget || !p->tx || !p->joined || p->wake < 0 || p->epoll < 0 || !p->notifier ||
        fcntl(p->fuse, F_SETFL, O_NONBLOCK) < 0)
        return rc < 0 ? rc : -errno;
    sync_mark(p->tx, nonce);
    p->tx_end = SYNC_MARK;
    rc = watch(p, p->wake, EPOLLIN);
    if (rc == 0)
        rc = watch(p, p->fuse, 0);
    p->port_watched = EPOLLIN;
    return rc < 0 ? rc : watch(p, p->port, p->port_watched);
}

static int start_thread(struct vfspump *p)
{
    int rc = thread_start(&p->thread, 0, pump_thread, p);
    p->running = rc == 0;
    return -rc;
}

static void stop_thread(struct vfspump *p)
{
    if (!p->running)
        return;
    atomic_store(&p->stopping, true);
    eventfd_write(p->wake, 1);
    pthread_join(p->thread, NULL);
    atomic_store(&p->stopping, false);
    p->running = false;
}

static void release(struct vfspump *p)
{
    vfsforget_free(p->forget);
    vfstell_free(p->tell);
    notifier_stop(p->notifier);
    while (!notifier_join(p->notifier))
        ; /* waits a little each time; what it may wait for has been aborted */
    inbox_fini(&p->inbox);
    free(p->tx);
    free(p->joined);
    if (p->shared)
        munmap(p->shared, WINDOW_HALF);
    if (p->wake >= 0)
        close(p->wake);
    if (p->epoll >= 0)
        close(p->epoll);
    close(p->fuse);
    free(p->asked);
    pthread_cond_destroy(&p->drained);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

struct vfspump *vfspump_start(int port_fd, int fuse_fd, const char *place, const char *nonce, vfspump_ended_fn *ended,
                              void *data)
{
    struct vfspump *p = malloc(sizeof *p);
    if (!p) {
        close(fuse_fd);
        return NULL;
    }
    *p = (struct vfspump){.port = port_fd, .fuse = fuse_fd, .wake = -1, .epoll = -1, .ended = ended, .data = data};
    int rc = set_up(p, place, nonce);
    if (rc == 0)
        rc = start_thread(p);
    if (rc < 0) {
        release(p);
        errno = -rc;
        return NULL;
    }
    return p;
}

bool vfspump_hold(struct vfspump *p, unsigned limit_ms)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    until.tv_nsec += (long)(limit_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    p->held = true;
    p->idle = false;
    eventfd_write(p->wake, 1);
    while (!p->idle && rc == 0)
        rc = pthread_cond_timedwait(&p->drained, &p->lock, &until);
    bool idle = p->idle;
    pthread_mutex_unlock(&p->lock);
    return idle;
}

void vfspump_release(struct vfspump *p)
{
    pthread_mutex_lock(&p->lock);
    p->held = false;
    pthread_mutex_unlock(&p->lock);
    eventfd_write(p->wake, 1);
}

/* What waits is asked again, for as long as there is room; what else was asked may have been done or not. */
static void ask_again(struct vfspump *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->asked_count; i++) {
        struct asked *asked = &p->asked[i];
        if (asked->waits && p->tx_end + sizeof asked->request <= REQUEST_SIZE) {
            memcpy(p->tx + p->tx_end, asked->request, sizeof asked->request);
            p->tx_end += sizeof asked->request;
            p->asked[kept++] = *asked;
        } else {
            window_give(&p->window, asked->piece);
            answer(p, &(struct fuse_in_header){.unique = asked->unique}, EIO);
        }
    }
    p->asked_count = kept;
}

int vfspump_reconnect(struct vfspump *p, const char *nonce)
{
    stop_thread(p);
    inbox_fini(&p->inbox);
    int rc = inbox_init(&p->inbox, sizeof(struct fuse_out_header), nonce);
    if (rc < 0)
        return rc;
    sync_mark(p->tx, nonce);
    p->tx_start = 0;
    p->tx_end = SYNC_MARK;
    ask_again(p);
    p->held = false;
    atomic_store(&p->quiet, true);
    return start_thread(p);
}

void vfspump_settle(struct vfspump *p)
{
    struct pollfd written = {.fd = notifier_event_fd(p->notifier), .events = POLLIN};
    eventfd_t count;
    while (!notifier_idle(p->notifier)) {
        poll(&written, 1, -1);
        eventfd_read(written.fd, &count);
    }
    atomic_store(&p->quiet, false);
}

void vfspump_stop(struct vfspump *p)
{
    if (!p)
        return;
    stop_thread(p);
    release(p);
}
