/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/rootserve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/hostdir.h"
#include "fs/server.h"
#include "fs/vfs.h"
#include "fs/wire.h"
#include "guest/fanwatch.h"
#include "guest/window.h"
#include "src/cleanup.h"
#include "src/thread.h"

enum {
    MAX_HANDLES = 16384,
    SPARE_FDS = 512,   /* for the rest of the agent */
    WORKERS = 4,
    RX_SIZE = WIRE_FRAME_LIMIT + 64 * 1024,
};

static const double CACHE_SECONDS = 1.0; /* the host puts its own in place of it */

struct rootserve {
    int port, stop, epoll; /* stop: an eventfd */
    int changes;           /* guest/fanwatch.h; -1: not to be had */
    pthread_t thread;
    rootserve_ended_fn *ended;
    void *ended_data;
    struct vfs *vfs;
    struct server *server;
    uint8_t *window;
    bool fresh; /* the server has not received anything yet */

    uint8_t *rx;
    size_t rx_start, rx_end;

    pthread_mutex_t notice_lock; /* for draining `changes`, `notices`, and against a change of `server` */
    uint64_t notices;

    pthread_mutex_t tx_lock; /* held while a message is being written */
};

/* The root without what is mounted in it. */
static int open_root(void)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd >= 0 ? fd : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A port takes at most 32 KiB at a time, and nothing while the host is away; a reply to a host that has gone is lost,
 * and the session with it. */
static void write_all(const struct rootserve *r, const uint8_t *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(r->port, data + done, len - done);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
        struct pollfd wait[] = {{.fd = r->port, .events = POLLOUT}, {.fd = r->stop, .events = POLLIN}};
        if (poll(wait, 2, -1) > 0 && ((wait[0].revents & (POLLHUP | POLLERR | POLLNVAL)) || wait[1].revents))
            return;
    }
}

/* One writer at a time: the port takes 32 KiB at a time, so pieces of two messages could be mixed. */
static void send_message(void *data, const void *message, size_t len)
{
    struct rootserve *r = data;
    pthread_mutex_lock(&r->tx_lock);
    write_all(r, message, len);
    pthread_mutex_unlock(&r->tx_lock);
}

/* Forgets all that an earlier session may have left. */
static int begin_session(struct rootserve *r)
{
    if (r->server && r->fresh)
        return 0;
    const struct server_config config = {
        .max_write = WIRE_IO_LIMIT,
        .window = r->window,
        .max_nodes = server_node_budget(MAX_HANDLES, SPARE_FDS, UINT32_MAX),
        .max_handles = MAX_HANDLES,
        .workers = WORKERS,
        .attr_timeout = CACHE_SECONDS,
        .entry_timeout = CACHE_SECONDS,
    };
    pthread_mutex_lock(&r->notice_lock);
    server_free(r->server);
    r->server = server_new(&config, r->vfs, send_message, r);
    pthread_mutex_unlock(&r->notice_lock);
    r->fresh = true;
    return r->server ? 0 : -errno;
}

static void changed_inode(void *data, uint64_t ino, int contents)
{
    struct rootserve *r = data;
    struct vfs_node *node = hostdir_find(r->vfs, ino);
    if (!node)
        return;
    r->notices += server_invalidate_inode(r->server, node, contents);
    r->vfs->ops->forget(r->vfs, node);
}

static void changed_entry(void *data, uint64_t directory, const char *name)
{
    struct rootserve *r = data;
    struct vfs_node *node = hostdir_find(r->vfs, directory);
    if (!node)
        return;
    r->notices += server_invalidate_entry(r->server, node, name);
    r->vfs->ops->forget(r->vfs, node);
}

static void changes_lost(void *data)
{
    struct rootserve *r = data;
    r->notices += server_invalidate_all(r->server);
}

uint64_t rootserve_flush_notices(struct rootserve *r)
{
    static const struct fanwatch_ops ops = {.inode = changed_inode, .entry = changed_entry, .lost = changes_lost};
    pthread_mutex_lock(&r->notice_lock);
    if (r->changes >= 0 && r->server)
        fanwatch_drain(r->changes, &ops, r);
    uint64_t notices = r->notices;
    pthread_mutex_unlock(&r->notice_lock);
    return notices;
}

uint64_t rootserve_hold(struct rootserve *r)
{
    rootserve_flush_notices(r);
    pthread_mutex_lock(&r->notice_lock);
    pthread_mutex_lock(&r->tx_lock);
    return r->notices;
}

void rootserve_release(struct rootserve *r)
{
    pthread_mutex_unlock(&r->tx_lock);
    pthread_mutex_unlock(&r->notice_lock);
}

bool rootserve_watches(const struct rootserve *r)
{
    return r->changes >= 0;
}

/* A host that was replaced (a restored checkpoint) begins with INIT and knows nothing of the session before. */
static int receive(struct rootserve *r, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    int rc = header.opcode == FUSE_INIT ? begin_session(r) : 0;
    r->fresh = false;
    return rc < 0 ? rc : server_receive(r->server, message, len);
}

static int receive_buffered(struct rootserve *r)
{
    while (r->rx_end - r->rx_start >= sizeof(struct fuse_in_header)) {
        uint32_t len;
        memcpy(&len, r->rx + r->rx_start, sizeof len);
        if (len < sizeof(struct fuse_in_header) || len > WIRE_FRAME_LIMIT)
            return -EPROTO;
        if (r->rx_end - r->rx_start < len)
            break;
        uint8_t *message = r->rx + r->rx_start;
        r->rx_start += len;
        int rc = receive(r, message, len);
        if (rc < 0)
            return rc;
    }
    /* The port gives one page at a time: what has come of a long message is not to be moved for each of them. */
    if (r->rx_start > 0) {
        memmove(r->rx, r->rx + r->rx_start, r->rx_end - r->rx_start);
        r->rx_end -= r->rx_start;
        r->rx_start = 0;
    }
    return 0;
}

/* Reads until there is no more for now. */
static int read_port(struct rootserve *r)
{
    for (;;) {
        ssize_t n = read(r->port, r->rx + r->rx_end, RX_SIZE - r->rx_end);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0) { /* the host is not connected */
            r->rx_start = r->rx_end = 0;
            return begin_session(r);
        }
        r->rx_end += (size_t)n;
        int rc = receive_buffered(r);
        if (rc < 0)
            return rc;
    }
}

/* Edge-triggered, because a port reports EPOLLHUP for as long as the host is not connected; each change of that, and all
 * data, is an edge. Returns 0 when told to stop. */
static int serve(struct rootserve *r)
{
    int rc = read_port(r);
    while (rc == 0) {
        struct epoll_event event;
        int n = epoll_wait(r->epoll, &event, 1, -1);
        if (n == 1 && event.data.fd == r->stop)
            return 0;
        if (n == 1 && event.data.fd == r->changes)
            rootserve_flush_notices(r);
        else if (n == 1)
            rc = read_port(r);
        else if (errno != EINTR)
            rc = -errno;
    }
    return rc;
}

static void *serving_thread(void *data)
{
    struct rootserve *r = data;
    char why[160] = "";
    int rc = unshare(CLONE_FS) < 0 ? -errno : serve(r); /* its own umask */
    pthread_mutex_lock(&r->notice_lock);
    server_free(r->server);
    r->server = NULL;
    pthread_mutex_unlock(&r->notice_lock);
    close(r->port);
    if (rc < 0) {
        snprintf(why, sizeof why, "serve the root file system: %s",
                 rc == -EPROTO ? "the host sent a malformed message" : strerror(-rc));
        r->ended(r->ended_data, why);
    }
    return NULL;
}

static int watch(const struct rootserve *r, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int set_up(struct rootserve *r)
{
    cleanup_close int root = open_root();
    const struct hostdir_config config = {
        .root_fd = root, .cred = HOSTDIR_AS_CALLER, .allow_devices = true, .all_xattrs = true, .direct = true};
    if (root < 0 || !(r->vfs = hostdir_new(&config)))
        return -errno;
    r->rx = malloc(RX_SIZE);
    r->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!r->rx || r->stop < 0 || r->epoll < 0)
        return -errno;
    int flags = fcntl(r->port, F_GETFL);
    if (flags < 0 || fcntl(r->port, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    if (watch(r, r->port, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0 || watch(r, r->stop, EPOLLIN) < 0)
        return -errno;
    r->window = window_map(WINDOW_FOR_ROOT);
    r->changes = fanwatch_open();
    if (r->changes >= 0 && watch(r, r->changes, EPOLLIN) < 0)
        return -errno;
    return begin_session(r);
}

static int start_thread(struct rootserve *r)
{
    return -thread_start(&r->thread, 0, serving_thread, r);
}

static void release(struct rootserve *r)
{
    server_free(r->server);
    hostdir_free(r->vfs);
    free(r->rx);
    if (r->window)
        munmap(r->window, WINDOW_HALF);
    if (r->stop >= 0)
        close(r->stop);
    if (r->epoll >= 0)
        close(r->epoll);
    if (r->changes >= 0)
        close(r->changes);
    pthread_mutex_destroy(&r->notice_lock);
    pthread_mutex_destroy(&r->tx_lock);
    free(r);
}

struct rootserve *rootserve_start(int port_fd, rootserve_ended_fn *ended, void *data)
{
    struct rootserve *r = malloc(sizeof *r);
    if (!r)
        return NULL;
    *r = (struct rootserve){.port = port_fd, .stop = -1, .epoll = -1, .changes = -1, .ended = ended, .ended_data = data};
    pthread_mutex_init(&r->tx_lock, NULL);
    pthread_mutex_init(&r->notice_lock, NULL);
    int rc = set_up(r);
    if (rc == 0)
        rc = start_thread(r);
    if (rc < 0) {
        release(r);
        errno = -rc;
        return NULL;
    }
    return r;
}

void rootserve_stop(struct rootserve *r)
{
    if (!r)
        return;
    eventfd_write(r->stop, 1);
    pthread_join(r->thread, NULL);
    release(r);
}
