/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin-vfs: serves host directories to the guest of one sandbox. Started by the supervisor (src/vfs_worker.c) with the
 * descriptors of fs/worker_proto.h. Two threads: this one listens to the supervisor, the other one serves the guest.
 *
 * Stages, each of which takes rights away for good:
 *   start     no new privileges, no core dumps, not traceable, few capabilities, no network
 *   mounts    directories arrive as descriptors; nothing is read from the guest
 *   confined  Landlock: exactly these directories; seccomp: what serving files takes
 *   serving   the guest's requests, every one hostile until fs/wire has passed it
 * It ends by _exit: nothing is buffered, and a sanitizer's leak checker, an exit handler, needs what was taken away. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/hook.h"
#include "fs/hostwatch.h"
#include "fs/inbox.h"
#include "fs/server.h"
#include "fs/window.h"
#include "fs/wire.h"
#include "fs/worker_confine.h"
#include "fs/worker_proto.h"
#include "fs/worker_stack.h"
#include "fs/worker_state.h"

enum {
    MAX_HANDLES = 16384,
    SPARE_FDS = 256,
    MAX_NODES = 1 << 20, /* each costs a descriptor and some memory */
    WORKERS = 8,
    WORKERS_THAT_ASK = 64, /* with a hook: so many operations can wait for its decisions at a time */
    KEEP_SECONDS = 60, /* what is watched; the rest not at all */
};

struct worker {
    struct vfs *table;
    struct hostwatch *watch; /* NULL: this kernel has nothing to watch with */
    struct hook *hook;       /* NULL: none */
    int hook_fd;             /* -1: none, or it is the hook's */
    struct server *server;
    struct mount_counters *counters;
    int mounts_fd; /* opened before Landlock stands in the way; 0: not to be had */
    uint8_t *window; /* the half for mounts; NULL: none */
    struct inbox inbox;
    bool marked; /* the guest's mark has been answered */
    bool adopted;
    pthread_mutex_t tx_lock; /* held while a message is being written to the guest */
    pthread_t serving;

    struct worker_message mounts[MOUNTTABLE_MAX]; /* until START */
    int fds[MOUNTTABLE_MAX];
    unsigned mount_count;
    struct vfs *stacks[MOUNTTABLE_MAX]; /* of mounts; NULL: it could not be made */
    struct worker_state state; /* of the worker before; empty: the session is a new one */
    bool started, has_netns;
};

/* ---- to the supervisor ---- */

/* One that does not listen any more has ended, and so shall we. */
static void tell(const struct worker_message *message)
{
    if (send(WORKER_CONTROL_FD, message, sizeof *message, MSG_NOSIGNAL) != (ssize_t)sizeof *message)
        _exit(1);
}

static void tell_done(uint32_t what, uint32_t id, int rc)
{
    const struct worker_message done = {.type = WORKER_DONE, .what = what, .id = id, .error = -rc};
    tell(&done);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    struct worker_message message = {.type = WORKER_LOG};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message.text, 512, fmt, ap);
    va_end(ap);
    tell(&message);
}

/* ---- the guest ---- */

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* A guest that takes no answers holds up only itself. */
static void send_message(void *data, const void *message, size_t len)
{
    struct worker *w = data;
    pthread_mutex_lock(&w->tx_lock);
    write_all(WORKER_STREAM_FD, message, len); /* that the stream has ended is found by reading */
    pthread_mutex_unlock(&w->tx_lock);
}

/* What a guest that goes on has cached may have changed since. */
static void answer_mark(struct worker *w)
{
    send_message(w, w->inbox.mark, SYNC_MARK);
    w->marked = true;
    if (w->adopted)
        server_invalidate_known(w->server);
}

static int serve_buffered(struct worker *w)
{
    uint8_t *message;
    size_t len;
    int rc;
    while ((rc = inbox_next(&w->inbox, &message, &len)) > 0) {
        if (!w->marked)
            answer_mark(w);
        rc = server_receive(w->server, message, len);
        if (rc < 0)
            break;
    }
    return rc;
}

static void inode_changed(void *data, struct vfs_node *node, bool contents)
{
    struct worker *w = data;
    server_invalidate_inode(w->server, node, contents);
}

static void entry_changed(void *data, struct vfs_node *directory, const char *name)
{
    struct worker *w = data;
    server_invalidate_entry(w->server, directory, name);
}

static void changes_lost(void *data)
{
    struct worker *w = data;
    say("too many changes at once; the guest forgets all it knows");
    server_invalidate_known(w->server);
}

/* Between two requests and by the thread that looks names up: what the guest is told of a change then always comes after
 * the answer that the change makes wrong. */
static void tell_changes(struct worker *w)
{
    static const struct hostwatch_ops ops = {.inode = inode_changed, .entry = entry_changed, .lost = changes_lost};
    hostwatch_drain(w->watch, &ops, w);
}

static void *serve(void *data)
{
    struct worker *w = data;
    struct pollfd fds[] = {{.fd = WORKER_STREAM_FD, .events = POLLIN},
                           {.fd = w->watch ? hostwatch_fd(w->watch) : -1, .events = POLLIN}};
    for (;;) {
        poll(fds, 2, -1);
        if (fds[1].revents)
            tell_changes(w);
        if (!fds[0].revents)
            continue;
        ssize_t n = inbox_fill(&w->inbox, WORKER_STREAM_FD);
        if (n == 0)
            _exit(0); /* the machine is gone */
        int rc = n < 0 ? (int)n : serve_buffered(w);
        if (rc < 0) {
            say("%s", rc == -EPROTO ? "the guest sent a malformed file request" : strerror(-rc));
            _exit(1);
        }
    }
}

static int make_server(struct worker *w, const char *nonce)
{
    const struct server_config config = {
        .max_write = WIRE_IO_LIMIT, .window = w->window, .max_nodes = server_node_budget(MAX_HANDLES, SPARE_FDS, MAX_NODES),
        .max_handles = MAX_HANDLES, .forgets = true, .locks = true,
        .workers = w->hook ? WORKERS_THAT_ASK : WORKERS, .slow = w->hook, .keep_timeout = KEEP_SECONDS};
    w->server = server_new(&config, w->table, send_message, w);
    if (!w->server)
        return -errno;
    return inbox_init(&w->inbox, sizeof(struct fuse_in_header), nonce);
}

/* ---- the session before, and the one after ---- */

/* Without it the guest begins anew; and what comes from somewhere else must not stop that. */
static void adopt(struct worker *w)
{
    size_t len;
    const uint8_t *server = worker_state_find(&w->state, WORKER_SECTION_SERVER, 0, &len);
    int rc = server ? server_adopt(w->server, server, len) : 0;
    w->adopted = server && rc == 0;
    if (rc < 0)
        say("the session cannot go on: %s", strerror(-rc));
}

static int take_state(struct worker *w, int fd)
{
    if (w->started || fd < 0)
        return -EINVAL;
    int rc = worker_state_map(fd, &w->state);
    if (rc < 0)
        w->state = (struct worker_state){0};
    close(fd);
    return 0;
}

static int save_server(void *server, FILE *out)
{
    return server_save(server, out);
}

static int save_memory(void *stack, FILE *out)
{
    return worker_stack_save(stack, out);
}

static int save(const struct worker *w, int fd)
{
    FILE *out = w->server && fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        return -EINVAL;
    int rc = worker_state_put(out, WORKER_SECTION_SERVER, 0, save_server, w->server);
    for (unsigned i = 0; i < w->mount_count && rc == 0; i++)
        if (w->stacks[i])
            rc = worker_state_put(out, WORKER_SECTION_MEMORY, w->mounts[i].id, save_memory, w->stacks[i]);
    return fclose(out) == EOF && rc == 0 ? -EIO : rc;
}

/* ---- the hook program ---- */

static void hook_died(void *data, const char *why)
{
    struct worker_message message = {.type = WORKER_HOOK, .error = EIO};
    (void)data;
    snprintf(message.text, sizeof message.text, "%s", why);
    tell(&message);
}

static int take_hook(struct worker *w, int fd)
{
    if (w->started || w->hook_fd >= 0 || fd < 0)
        return -EINVAL;
    w->hook_fd = fd;
    return 0;
}

/* Waits for its hello: the guest is not answered before, so the supervisor learns of a program that is none first. */
static int start_hook(struct worker *w)
{
    if (w->hook_fd < 0)
        return 0;
    w->hook = hook_new(w->hook_fd, hook_died, w);
    w->hook_fd = -1;
    if (!w->hook)
        return -errno;
    if (hook_is_dead(w->hook))
        return 0;
    const struct worker_message greeted = {.type = WORKER_HOOK,
                                           .flags = hook_hello(w->hook).decides ? WORKER_HOOK_DECIDES : 0};
    tell(&greeted);
    return 0;
}

/* ---- mounts ---- */

/* What cannot be loaded is lost: the mount is empty then, as in a new session. */
static void load_memory(const struct worker *w, uint32_t id, struct vfs *stack)
{
    size_t len = 0;
    const uint8_t *memory = worker_state_find(&w->state, WORKER_SECTION_MEMORY, id, &len);
    int rc = memory && len ? worker_stack_load(stack, memory, len) : 0;
    if (rc < 0)
        say("what mount %u had in memory is lost: %s", id, strerror(-rc));
}

static int mount_one(struct worker *w, unsigned i)
{
    const struct worker_message *mount = &w->mounts[i];
    const struct worker_common common = {.watch = w->watch, .hook = w->hook, .mounts_fd = w->mounts_fd};
    struct vfs *stack = worker_stack_new(mount, w->fds[i], &common);
    w->stacks[i] = stack;
    if (stack)
        load_memory(w, mount->id, stack);
    return stack ? mounttable_add(w->table, mount->id, stack, &w->counters[mount->slot]) : -errno;
}

static int take_mount(struct worker *w, const struct worker_message *mount, int fd)
{
    bool memory = mount->flags & WORKER_MOUNT_MEMORY;
    if (mount->slot >= MOUNTTABLE_MAX || memory != (fd < 0))
        return -EINVAL;
    if (w->started)
        return -EPERM;
    if (w->mount_count == MOUNTTABLE_MAX)
        return -ENOSPC;
    w->fds[w->mount_count] = fd;
    w->mounts[w->mount_count++] = *mount;
    return 0;
}

static struct confine_directory describe(const struct worker_message *mount, int fd)
{
    struct stat st;
    return (struct confine_directory){.fd = fd,
                                      .writable = !(mount->flags & WORKER_MOUNT_READONLY),
                                      .is_file = fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)};
}

/* Before any other thread is started: Landlock holds for those that come after. */
static void confine(struct worker *w)
{
    struct worker_message said = {.type = WORKER_CONFINED, .flags = w->has_netns ? WORKER_HAS_NETNS : 0,
                                  .landlock_abi = (uint32_t)confine_landlock_version()};
    struct confine_directory directories[MOUNTTABLE_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < w->mount_count; i++)
        if (w->fds[i] >= 0)
            directories[count++] = describe(&w->mounts[i], w->fds[i]);
    int rc = confine_files(directories, count);
    if (rc == 0)
        said.flags |= WORKER_HAS_LANDLOCK;
    else if (rc != -ENOSYS)
        say("Landlock: %s", strerror(-rc));
    rc = confine_system_calls();
    if (rc == 0)
        said.flags |= WORKER_HAS_SECCOMP;
    else
        say("seccomp: %s", strerror(-rc));
    tell(&said);
}

static void mount_all(struct worker *w)
{
    for (unsigned i = 0; i < w->mount_count; i++) {
        int rc = mount_one(w, i);
        if (w->fds[i] >= 0)
            close(w->fds[i]);
        if (rc < 0) {
            say("mount %u: %s", w->mounts[i].id, strerror(-rc));
            tell_done(WORKER_MOUNT, w->mounts[i].id, rc);
        }
    }
}

static int start(struct worker *w, const struct worker_message *message)
{
    if (w->started || strlen(message->text) != SYNC_NONCE)
        return -EINVAL;
    w->started = true;
    w->watch = hostwatch_new();
    if (!w->watch)
        say("changes on the host cannot be watched (%s): the guest caches nothing", strerror(errno));
    confine(w);
    int rc = start_hook(w);
    if (rc < 0)
        return rc;
    mount_all(w);
    rc = make_server(w, message->text);
    if (rc < 0)
        return rc;
    adopt(w);
    return -pthread_create(&w->serving, NULL, serve, w);
}

static int take_unmount(struct worker *w, const struct worker_message *message)
{
    char name[16];
    int rc = mounttable_remove(w->table, message->id);
    snprintf(name, sizeof name, "%u", message->id);
    if (rc == 0 && w->server)
        server_invalidate_entry(w->server, mounttable_root(w->table), name);
    return rc;
}

/* ---- from the supervisor ---- */

static int take_message(struct worker *w, const struct worker_message *message, int fd)
{
    switch (message->type) {
    case WORKER_MOUNT:
        return take_mount(w, message, fd);
    case WORKER_UNMOUNT:
        return take_unmount(w, message);
    case WORKER_STATE:
        return take_state(w, fd);
    case WORKER_HOOK:
        return take_hook(w, fd);
    case WORKER_START:
        return start(w, message);
    case WORKER_SAVE:
        return save(w, fd);
    default:
        _exit(2);
    }
}

/* The descriptor that came with a message, or -1. */
static int descriptor_of(struct msghdr *header)
{
    int fd = -1;
    const struct cmsghdr *c = CMSG_FIRSTHDR(header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* False when the supervisor has gone. */
static bool receive(struct worker_message *message, int *fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {message, sizeof *message};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(WORKER_CONTROL_FD, &header, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    if (n != (ssize_t)sizeof *message || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        _exit(2);
    message->text[WORKER_TEXT - 1] = '\0';
    message->target[WORKER_TARGET - 1] = '\0';
    *fd = descriptor_of(&header);
    return true;
}

static void listen_to_supervisor(struct worker *w)
{
    struct worker_message message;
    int fd;
    while (receive(&message, &fd)) {
        int rc = take_message(w, &message, fd);
        if (rc < 0 && fd >= 0)
            close(fd);
        tell_done(message.type, message.id, rc);
    }
}

/* Without it the guest's data comes through the stream. */
static void map_window(struct worker *w)
{
    void *window = mmap(NULL, WINDOW_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_WINDOW_FD, WINDOW_FOR_MOUNTS);
    if (window != MAP_FAILED)
        w->window = window;
    close(WORKER_WINDOW_FD);
}

static int set_up(struct worker *w)
{
    w->has_netns = confine_network();
    int rc = confine_process();
    if (rc < 0)
        return rc;
    w->counters = mmap(NULL, MOUNTTABLE_MAX * sizeof *w->counters, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_COUNTERS_FD,
                       0);
    if (w->counters == MAP_FAILED)
        return -errno;
    close(WORKER_COUNTERS_FD);
    map_window(w);
    int mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    w->mounts_fd = mounts_fd > 0 ? mounts_fd : 0;
    pthread_mutex_init(&w->tx_lock, NULL);
    w->table = mounttable_new();
    return w->table ? 0 : -errno;
}

int main(int argc, char **argv)
{
    static struct worker worker = {.hook_fd = -1};
    (void)argv;
    if (argc != 1 || fcntl(WORKER_CONTROL_FD, F_GETFD) < 0) {
        fprintf(stderr, "gondolin-vfs: is started by gondolin mount only\n");
        return 125;
    }
    int rc = set_up(&worker);
    if (rc < 0) {
        say("set up: %s", strerror(-rc));
        return 1;
    }
    listen_to_supervisor(&worker);
    _exit(0);
}
