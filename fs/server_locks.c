/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: real ones of this machine's kernel, so that they hold against its other processes, too.
 *
 * An owner of POSIX locks (a process of the peer) has for each file one open file description here, whose locks (F_OFD_SETLK)
 * are his; FLUSH, which comes when he closes any descriptor of the file, ends them all, as POSIX has it. flock(2) belongs to
 * the open file, so each handle has a description of its own for it.
 *
 * Who waits for a lock does so in a thread of his own (bounded), and is woken by a signal when the peer gives up. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "fs/server_internal.h"
#include "src/thread.h"

enum { MAX_OWNERS = 4096, MAX_WAITERS = 64, WAKE_AGAIN_NS = 1000000 };

struct lock_range {
    uint64_t start, end; /* both of it */
    uint32_t type;
};

struct lock_owner {
    struct hash_link link; /* by node and owner; first */
    uint64_t node_id, owner;
    int fd;
    struct lock_range *ranges; /* that he holds, for a later server: the kernel cannot be asked */
    size_t count;
    bool lost; /* memory was out: nobody knows all of them */
};

struct lock_waiter {
    struct lock_waiter *next;
    struct call call; /* with its pins until it is answered */
    struct {
        struct fuse_out_header header; /* reply_of finds it before the body */
        uint64_t body;
    } reply;
    int fd; /* a duplicate: the lock is its open file description's */
    pthread_t thread;
    atomic_bool given_up, over;
};

struct server_locks {
    struct hash owners;
    struct lock_waiter *waiters; /* only touched by the caller of server_receive */
    unsigned waiter_count;
};

static void wake(int number)
{
    (void)number; /* ends fcntl and flock with EINTR */
}

int server_locks_init(struct server *server)
{
    const struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART */
    if (!server->config.locks)
        return 0;
    server->locks = calloc(1, sizeof *server->locks);
    if (!server->locks || hash_init(&server->locks->owners) < 0)
        return -ENOMEM;
    return sigaction(SIGUSR1, &action, NULL) < 0 ? -errno : 0;
}

/* ---- owners ---- */

static struct lock_owner *find_owner(const struct server_locks *locks, uint64_t node_id, uint64_t owner)
{
    struct hash_link *link = hash_first(&locks->owners, hash_mix(node_id, owner));
    for (; link; link = hash_next(link)) {
        struct lock_owner *found = (struct lock_owner *)link; /* link is the first member */
        if (found->node_id == node_id && found->owner == owner)
            return found;
    }
    return NULL;
}

static int open_for_locks(struct server *server, const struct node *node)
{
    return server->vfs->ops->lock_open(server->vfs, node->vnode);
}

/* The descriptor of whoever asks. -ENOLCK: there are too many. Only the caller of server_receive changes the table; those
 * who have waited look into it. */
static int owner_fd(struct server *server, const struct node *node, uint64_t owner)
{
    struct server_locks *locks = server->locks;
    struct lock_owner *found = find_owner(locks, node->id, owner);
    if (found)
        return found->fd;
    if (locks->owners.count >= MAX_OWNERS)
        return -ENOLCK;
    int fd = open_for_locks(server, node);
    found = fd < 0 ? NULL : malloc(sizeof *found);
    if (!found) {
        if (fd >= 0)
            close(fd);
        return fd < 0 ? fd : -ENOLCK;
    }
    *found = (struct lock_owner){.node_id = node->id, .owner = owner, .fd = fd};
    pthread_mutex_lock(&server->lock);
    hash_add(&locks->owners, &found->link, hash_mix(node->id, owner));
    pthread_mutex_unlock(&server->lock);
    return fd;
}

static void drop_owner(struct server *server, struct lock_owner *owner)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(owner->fd, F_OFD_SETLK, &all); /* one who waits has a duplicate */
    pthread_mutex_lock(&server->lock);
    hash_remove(&server->locks->owners, &owner->link);
    pthread_mutex_unlock(&server->lock);
    close(owner->fd);
    free(owner->ranges);
    free(owner);
}

void server_locks_flush(struct server *server, uint64_t node_id, uint64_t owner)
{
    struct lock_owner *found = server->locks ? find_owner(server->locks, node_id, owner) : NULL;
    if (found)
        drop_owner(server, found);
}

/* ---- who holds what ---- */

static void add_range(struct lock_owner *owner, uint64_t start, uint64_t end, uint32_t type)
{
    struct lock_range *longer = reallocarray(owner->ranges, owner->count + 1, sizeof *longer);
    if (!longer) {
        owner->lost = true;
        return;
    }
    owner->ranges = longer;
    longer[owner->count++] = (struct lock_range){start, end, type};
}

/* As fcntl(2) has it: what is set replaces what was held there before. */
static void note_range(struct lock_owner *owner, const struct fuse_file_lock *lk)
{
    for (size_t i = owner->count; i-- > 0;) {
        struct lock_range old = owner->ranges[i];
        if (old.end < lk->start || old.start > lk->end)
            continue;
        owner->ranges[i] = owner->ranges[--owner->count];
        if (old.start < lk->start)
            add_range(owner, old.start, lk->start - 1, old.type);
        if (old.end > lk->end)
            add_range(owner, lk->end + 1, old.end, old.type);
    }
    if (lk->type != F_UNLCK)
        add_range(owner, lk->start, lk->end, lk->type);
}

static bool is_flock(const struct call *call)
{
    return call->request.args.lk.lk_flags & FUSE_LK_FLOCK;
}

static void note(const struct call *call)
{
    const struct fuse_lk_in *in = &call->request.args.lk;
    struct server *server = call->server;
    pthread_mutex_lock(&server->lock);
    struct lock_owner *owner = is_flock(call) ? NULL : find_owner(server->locks, call->node->id, in->owner);
    if (is_flock(call))
        call->handle->flock = in->lk.type;
    else if (owner)
        note_range(owner, &in->lk);
    pthread_mutex_unlock(&server->lock);
}

/* ---- locking ---- */

static int range_of(const struct fuse_file_lock *lk, struct flock *out)
{
    if (lk->start > lk->end || lk->end > INT64_MAX || (lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK))
        return -EINVAL;
    *out = (struct flock){.l_type = (short)lk->type, .l_whence = SEEK_SET, .l_start = (off_t)lk->start,
                          .l_len = lk->end == INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1)};
    return 0;
}

static int lock_file(int fd, uint32_t type, bool wait)
{
    int operation = type == F_UNLCK ? LOCK_UN : type == F_RDLCK ? LOCK_SH : LOCK_EX;
    return flock(fd, operation | (wait ? 0 : LOCK_NB)) < 0 ? -errno : 0;
}

static int lock_range(int fd, const struct fuse_file_lock *lk, bool wait)
{
    struct flock range;
    int rc = range_of(lk, &range);
    if (rc == 0 && fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range) < 0)
        rc = errno == EACCES ? -EAGAIN : -errno;
    return rc;
}

static int lock(const struct call *call, int fd, bool wait)
{
    const struct fuse_file_lock *lk = &call->request.args.lk.lk;
    int rc = is_flock(call) ? lock_file(fd, lk->type, wait) : lock_range(fd, lk, wait);
    if (rc == 0)
        note(call);
    return rc;
}

static int fd_for(struct call *call)
{
    struct handle *handle = call->handle;
    if (!call->server->locks)
        return -ENOSYS;
    if (!is_flock(call))
        return owner_fd(call->server, call->node, call->request.args.lk.owner);
    if (handle->lock_fd < 0)
        handle->lock_fd = open_for_locks(call->server, call->node);
    return handle->lock_fd;
}

int server_setlk(struct call *call)
{
    int fd = fd_for(call);
    return fd < 0 ? fd : lock(call, fd, false);
}

/* Locks of this machine's processes have numbers that mean nothing to the peer. */
int server_getlk(struct call *call)
{
    struct fuse_lk_out *out = call->body;
    struct flock range;
    int fd = is_flock(call) ? -EINVAL : fd_for(call);
    int rc = fd < 0 ? fd : range_of(&call->request.args.lk.lk, &range);
    if (rc < 0)
        return rc;
    if (fcntl(fd, F_OFD_GETLK, &range) < 0)
        return -errno;
    *out = (struct fuse_lk_out){.lk = {.type = (uint32_t)range.l_type}};
    if (range.l_type != F_UNLCK) {
        out->lk.start = (uint64_t)range.l_start;
        out->lk.end = range.l_len ? (uint64_t)(range.l_start + range.l_len - 1) : INT64_MAX;
    }
    return sizeof *out;
}

/* ---- waiting ---- */

static void *wait_for_lock(void *data)
{
    struct lock_waiter *w = data;
    sigset_t wakes;
    int rc = -EINTR;
    sigemptyset(&wakes);
    sigaddset(&wakes, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &wakes, NULL);
    while (rc == -EINTR && !atomic_load(&w->given_up))
        rc = lock(&w->call, w->fd, true);
    close(w->fd);
    server_call_unpin(&w->call);
    server_reply(&w->call, rc);
    atomic_store(&w->over, true);
    return NULL;
}

static void reap(struct server *server)
{
    for (struct lock_waiter **at = &server->locks->waiters; *at;) {
        struct lock_waiter *w = *at;
        if (!atomic_load(&w->over)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        pthread_join(w->thread, NULL);
        free(w);
        server->locks->waiter_count--;
    }
}

int server_setlkw(struct call *call)
{
    struct server *server = call->server;
    int fd = fd_for(call);
    int rc = fd < 0 ? fd : lock(call, fd, false);
    if (rc != -EAGAIN)
        return rc;
    reap(server);
    struct lock_waiter *w = server->locks->waiter_count < MAX_WAITERS ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return -ENOLCK;
    w->call = *call;
    w->call.body = &w->reply.body;
    w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    rc = w->fd < 0 ? -ENOLCK : -thread_start(&w->thread, 0, wait_for_lock, w);
    if (rc < 0) {
        if (w->fd >= 0)
            close(w->fd);
        free(w);
        return -ENOLCK;
    }
    w->next = server->locks->waiters;
    server->locks->waiters = w;
    server->locks->waiter_count++;
    return CALL_TAKEN;
}

/* The signal may come before the thread waits; so it is sent until it has had its effect. */
static void give_up(struct lock_waiter *w)
{
    const struct timespec moment = {.tv_nsec = WAKE_AGAIN_NS};
    atomic_store(&w->given_up, true);
    while (!atomic_load(&w->over)) {
        pthread_kill(w->thread, SIGUSR1);
        nanosleep(&moment, NULL);
    }
}

bool server_locks_interrupt(struct server *server, uint64_t unique)
{
    if (!server->locks)
        return false;
    struct lock_waiter *w = server->locks->waiters;
    while (w && w->call.request.header.unique != unique)
        w = w->next;
    if (w)
        give_up(w);
    reap(server);
    return w != NULL;
}

void server_locks_end(struct server *server)
{
    if (!server->locks)
        return;
    for (struct lock_waiter *w = server->locks->waiters; w; w = w->next)
        give_up(w);
    reap(server);
    struct hash *owners = &server->locks->owners;
    for (size_t i = 0; i <= owners->mask && owners->count > 0; i++)
        while (owners->buckets[i])
            drop_owner(server, (struct lock_owner *)owners->buckets[i]);
}

/* ---- for a later server ---- */

static void tell_owner(const struct lock_owner *owner, server_lock_fn *fn, void *data)
{
    struct server_lock lock = {.node_id = owner->node_id, .owner = owner->owner};
    if (owner->lost)
        fn(data, &lock);
    for (size_t i = 0; i < owner->count && !owner->lost; i++) {
        lock.start = owner->ranges[i].start;
        lock.end = owner->ranges[i].end;
        lock.type = owner->ranges[i].type;
        fn(data, &lock);
    }
}

void server_locks_each(const struct server *server, server_lock_fn *fn, void *data)
{
    const struct hash *owners = server->locks ? &server->locks->owners : NULL;
    for (size_t i = 0; owners && i <= owners->mask; i++)
        for (const struct hash_link *link = owners->buckets[i]; link; link = link->next)
            tell_owner((const struct lock_owner *)link, fn, data);
}

int server_locks_take(struct server *server, const struct node *node, const struct server_lock *lock)
{
    const struct fuse_file_lock lk = {.start = lock->start, .end = lock->end, .type = lock->type};
    int fd = server->locks && lock->type != F_UNLCK ? owner_fd(server, node, lock->owner) : -ENOLCK;
    int rc = fd < 0 ? fd : lock_range(fd, &lk, false);
    if (rc == 0)
        note_range(find_owner(server->locks, node->id, lock->owner), &lk);
    return rc;
}

int server_locks_take_file(struct server *server, const struct node *node, struct handle *handle, uint32_t type)
{
    if (!server->locks)
        return -ENOLCK;
    handle->lock_fd = open_for_locks(server, node);
    int rc = handle->lock_fd < 0 ? handle->lock_fd : lock_file(handle->lock_fd, type, false);
    if (rc == 0)
        handle->flock = type;
    return rc;
}

void server_locks_fini(struct server *server)
{
    if (server->locks)
        hash_fini(&server->locks->owners);
    free(server->locks);
}
