/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vfstell.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/loop.h"
#include "src/thread.h"

/* What FUSE's file handles look like (fuse_encode_fh of fs/fuse/inode.c): the upper and the lower half of the node id, and the
 * generation, which is always 0 here. */
enum { HANDLE_TYPE = 0x81, HANDLE_BYTES = 12, NAME_LIMIT = 255, LOOK_AGAIN_MS = 200 };

/* No node of the host's has such an id. */
static const uint64_t MADE_UP = UINT64_C(1) << 62;

struct change {
    uint64_t node; /* or of the directory */
    bool contents; /* of a node: not only its attributes */
    char name[NAME_LIMIT + 1]; /* "": the node itself */
};

enum acting { ACTING_NOT, ACTING_ATTRIBUTES, ACTING_MAKE, ACTING_REMOVE };

struct vfstell {
    const char *place;
    int fuse_fd;
    int mount_fd; /* for open_by_handle_at; -1: not opened yet */
    pthread_t thread;
    _Atomic pid_t tid; /* 0: not running yet */
    _Atomic enum acting acting; /* what the thread is in the middle of, and with which change */
    struct change current;
    uint64_t made_up;
    uint64_t looked_ms; /* when it was last looked who waits */
    bool awaited;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t more;
    struct change queue[VFSTELL_QUEUE];
    size_t first, count;
    uint64_t last_directory; /* that the last notice was about a name in; else 0 */
    bool stop;
};

/* ---- requests of the thread's own, in the pump ---- */

static void answer(const struct vfstell *t, const struct fuse_in_header *request, int error, const void *body, size_t size)
{
    struct {
        struct fuse_out_header header;
        struct fuse_entry_out body;
    } reply = {.header = {.len = (uint32_t)(sizeof reply.header + size), .error = -error, .unique = request->unique}};
    if (size)
        memcpy(&reply.body, body, size);
    while (write(t->fuse_fd, &reply, reply.header.len) < 0 && errno == EINTR)
        ;
}

/* The answers to SETATTR and GETATTR look the same. */
static size_t ask_attributes(uint8_t *message, struct fuse_in_header header)
{
    const struct fuse_getattr_in in = {0};
    header.opcode = FUSE_GETATTR;
    header.len = sizeof header + sizeof in;
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, &in, sizeof in);
    return header.len;
}

/* And so do those to LOOKUP and to all that makes a name. */
static size_t ask_name(const struct vfstell *t, uint8_t *message, struct fuse_in_header header)
{
    size_t size = strlen(t->current.name) + 1;
    header.opcode = FUSE_LOOKUP;
    header.len = (uint32_t)(sizeof header + size);
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, t->current.name, size);
    return header.len;
}

static void answer_made_up(struct vfstell *t, const struct fuse_in_header *header)
{
    const struct fuse_entry_out entry = {
        .nodeid = MADE_UP | ++t->made_up, .attr = {.ino = t->made_up, .mode = S_IFREG | 0600, .nlink = 1}};
    answer(t, header, 0, &entry, sizeof entry);
}

static bool makes_name(uint32_t opcode)
{
    return opcode == FUSE_MKNOD || opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK;
}

size_t vfstell_take(struct vfstell *t, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    enum acting acting = atomic_load(&t->acting);
    if (acting == ACTING_NOT || header.pid != (uint32_t)atomic_load(&t->tid))
        return len;
    if (acting == ACTING_ATTRIBUTES && header.opcode == FUSE_SETATTR)
        return ask_attributes(message, header);
    if (header.nodeid != t->current.node)
        return len;
    if (acting == ACTING_MAKE && makes_name(header.opcode))
        return ask_name(t, message, header);
    if (acting == ACTING_MAKE && header.opcode == FUSE_LOOKUP)
        answer(t, &header, ENOENT, NULL, 0);
    else if (acting == ACTING_REMOVE && header.opcode == FUSE_LOOKUP)
        answer_made_up(t, &header);
    else if (acting == ACTING_REMOVE && header.opcode == FUSE_UNLINK)
        answer(t, &header, 0, NULL, 0);
    else
        return len;
    return 0;
}

/* ---- notices ---- */

static bool read_notice(const uint8_t *message, size_t len, struct change *out)
{
    struct fuse_out_header header;
    struct fuse_notify_inval_inode_out inode;
    struct fuse_notify_inval_entry_out entry;
    memcpy(&header, message, sizeof header);
    message += sizeof header;
    len -= sizeof header;
    if (header.error == FUSE_NOTIFY_INVAL_INODE && len == sizeof inode) {
        memcpy(&inode, message, sizeof inode);
        *out = (struct change){.node = inode.ino, .contents = inode.off >= 0};
        return true;
    }
    if (header.error != FUSE_NOTIFY_INVAL_ENTRY || len < sizeof entry)
        return false;
    memcpy(&entry, message, sizeof entry);
    if (!entry.namelen || entry.namelen > NAME_LIMIT || len < sizeof entry + entry.namelen)
        return false;
    *out = (struct change){.node = entry.parent};
    memcpy(out->name, message + sizeof entry, entry.namelen);
    return true;
}

static bool is_same(const struct change *a, const struct change *b)
{
    return a->node == b->node && a->contents == b->contents && strcmp(a->name, b->name) == 0;
}

/* That a directory has other times after a name in it has come or gone is no event. */
void vfstell_notice(struct vfstell *t, const uint8_t *message, size_t len)
{
    struct change change;
    if (!read_notice(message, len, &change))
        return;
    pthread_mutex_lock(&t->lock);
    bool follows = !change.name[0] && !change.contents && change.node == t->last_directory;
    t->last_directory = change.name[0] ? change.node : 0;
    const struct change *last = &t->queue[(t->first + t->count + VFSTELL_QUEUE - 1) % VFSTELL_QUEUE];
    if (!follows && t->count < VFSTELL_QUEUE && !(t->count && is_same(last, &change))) {
        t->queue[(t->first + t->count) % VFSTELL_QUEUE] = change;
        t->count++;
        pthread_cond_signal(&t->more);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- acting, in the thread ---- */

/* Only what the kernel has in memory is found. */
static int open_node(struct vfstell *t, uint64_t node)
{
    struct {
        struct file_handle handle;
        uint32_t bytes[HANDLE_BYTES / sizeof(uint32_t)];
    } h = {.handle = {.handle_bytes = HANDLE_BYTES, .handle_type = HANDLE_TYPE}};
    const uint32_t bytes[] = {(uint32_t)(node >> 32), (uint32_t)node, 0};
    memcpy(h.handle.f_handle, bytes, sizeof bytes);
    if (t->mount_fd < 0)
        t->mount_fd = open(t->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return t->mount_fd < 0 ? -1 : open_by_handle_at(t->mount_fd, &h.handle, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static void tell_attributes(struct vfstell *t, int fd)
{
    char path[32];
    const struct timespec times[2] = {{.tv_nsec = t->current.contents ? UTIME_OMIT : UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    atomic_store(&t->acting, ACTING_ATTRIBUTES);
    utimensat(AT_FDCWD, path, times, 0);
}

/* Has the kernel ask for the name again. */
static void forget_name(const struct vfstell *t)
{
    struct {
        struct fuse_out_header header;
        struct fuse_notify_inval_entry_out entry;
        char name[NAME_LIMIT + 1];
    } notice = {.header.error = FUSE_NOTIFY_INVAL_ENTRY, .entry.parent = t->current.node};
    size_t size = strlen(t->current.name);
    notice.entry.namelen = (uint32_t)size;
    notice.header.len = (uint32_t)(sizeof notice.header + sizeof notice.entry + size + 1);
    memcpy(notice.name, t->current.name, size + 1);
    (void)!write(t->fuse_fd, &notice, notice.header.len);
}

static void tell_name(struct vfstell *t, int dir)
{
    const char *name = t->current.name;
    struct stat st;
    bool there = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return;
    forget_name(t);
    atomic_store(&t->acting, there ? ACTING_MAKE : ACTING_REMOVE);
    if (!there)
        unlinkat(dir, name, 0);
    else if (S_ISDIR(st.st_mode))
        mkdirat(dir, name, 0700);
    else if (S_ISLNK(st.st_mode))
        (void)!symlinkat("-", dir, name);
    else
        mknodat(dir, name, st.st_mode, st.st_rdev);
}

static void tell_change(struct vfstell *t)
{
    cleanup_close int fd = open_node(t, t->current.node);
    if (fd < 0)
        return;
    if (t->current.name[0])
        tell_name(t, fd);
    else
        tell_attributes(t, fd);
    atomic_store(&t->acting, ACTING_NOT);
}

/* ---- who waits ---- */

static bool has_inotify(int proc, const char *pid)
{
    char path[32], target[32];
    snprintf(path, sizeof path, "%.16s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target);
        if (n == (ssize_t)strlen("anon_inode:inotify") && memcmp(target, "anon_inode:inotify", (size_t)n) == 0)
            return true;
    }
    return false;
}

static bool look_who_waits(void)
{
    cleanup_closedir DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (proc && (entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_inotify(dirfd(proc), entry->d_name))
            return true;
    return false;
}

/* The host may change files all the time: what nobody waits for costs a look now and then. */
static bool is_awaited(struct vfstell *t)
{
    uint64_t now = loop_now_ms();
    if (now - t->looked_ms >= LOOK_AGAIN_MS) {
        t->awaited = look_who_waits();
        t->looked_ms = loop_now_ms();
    }
    return t->awaited;
}

static bool next_change(struct vfstell *t)
{
    pthread_mutex_lock(&t->lock);
    while (!t->count && !t->stop)
        pthread_cond_wait(&t->more, &t->lock);
    bool stop = t->stop;
    if (!stop) {
        t->current = t->queue[t->first];
        t->first = (t->first + 1) % VFSTELL_QUEUE;
        t->count--;
    }
    pthread_mutex_unlock(&t->lock);
    return !stop;
}

static void *act(void *data)
{
    struct vfstell *t = data;
    atomic_store(&t->tid, gettid());
    while (next_change(t))
        if (is_awaited(t))
            tell_change(t);
    return NULL;
}

struct vfstell *vfstell_new(const char *place, int fuse_fd)
{
    struct vfstell *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->place = place;
    t->fuse_fd = fuse_fd;
    t->mount_fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    int rc = thread_start(&t->thread, 0, act, t);
    if (rc == 0)
        return t;
    free(t);
    errno = rc;
    return NULL;
}

void vfstell_free(struct vfstell *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->more);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    if (t->mount_fd >= 0)
        close(t->mount_fd);
    pthread_cond_destroy(&t->more);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
