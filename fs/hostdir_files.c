/* SPDX-License-Identifier: Apache-2.0 */
/* Open files of a host directory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"

int hostdir_file_new(struct vfs *vfs, int fd, dev_t dev, struct vfs_file **out)
{
    struct vfs_file *file = calloc(1, sizeof *file);
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    file->member.vfs = vfs;
    file->fd = fd;
    file->dev = dev;
    file->direct_fd = HOSTDIR_DIRECT_UNKNOWN;
    pthread_mutex_init(&file->lock, NULL);
    *out = file;
    return 0;
}

/* A fifo or a device would block, or act; and what stands for one holds nothing for the peer. */
static bool is_data(const struct hostdir *hostdir, const struct vfs_node *node)
{
    return S_ISREG(hostdir_shown_type(hostdir, node->fd, node->type));
}

int hostdir_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    if (!is_data((struct hostdir *)vfs, node))
        return -EOPNOTSUPP;
    /* Never O_APPEND: the page cache of the peer writes back through any handle. */
    int fd = open(hostdir_proc_path(node->fd).text, (flags & (O_ACCMODE | O_TRUNC)) | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return hostdir_error();
    int rc = how & VFS_KILL_SUIDGID ? hostdir_kill_suidgid((struct hostdir *)vfs, fd) : 0;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return hostdir_file_new(vfs, fd, node->dev, file);
}

void hostdir_release(struct vfs *vfs, struct vfs_file *file)
{
    close(file->fd);
    hostdir_release_direct((struct hostdir *)vfs, file);
    pthread_mutex_destroy(&file->lock);
    free(file->entries);
    free(file);
}

/* The file system cannot do RWF_NOWAIT. Those without a disk have no need of it. */
static int judge_nowait(int fd)
{
    struct statfs st;
    if (fstatfs(fd, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC))
        return NOWAIT_NEVER_WAITS;
    return NOWAIT_ALWAYS_WAITS;
}

static ssize_t read_piece(struct vfs_file *file, const struct iovec *iov, uint64_t offset, bool nowait)
{
    int state = atomic_load_explicit(&file->nowait, memory_order_relaxed);
    if (nowait && state == NOWAIT_ALWAYS_WAITS)
        return -EAGAIN;
    int flags = nowait && state != NOWAIT_NEVER_WAITS ? RWF_NOWAIT : 0;
    ssize_t got = preadv2(file->fd, iov, 1, (off_t)offset, flags);
    if (got >= 0 || errno != EOPNOTSUPP || !flags)
        return got < 0 ? -errno : got;
    atomic_store_explicit(&file->nowait, judge_nowait(file->fd), memory_order_relaxed);
    return read_piece(file, iov, offset, nowait);
}

ssize_t hostdir_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    (void)vfs;
    size_t done = 0;
    while (done < size) {
        struct iovec iov = {(char *)buf + done, size - done};
        ssize_t got = read_piece(file, &iov, offset + done, how & VFS_NOWAIT);
        if (got == -EINTR)
            continue;
        /* a short reply would say "end of file", so a piece that must be waited for refuses the whole */
        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int write_flags(unsigned how)
{
    return (how & VFS_APPEND ? RWF_APPEND : 0) | (how & VFS_DSYNC ? RWF_DSYNC : 0) | (how & VFS_SYNC ? RWF_SYNC : 0);
}

ssize_t hostdir_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                      unsigned how)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    bool direct = hostdir_writes_direct(hostdir, file, size, offset, how);
    if (direct && how & VFS_NOWAIT)
        return -EAGAIN;
    int rc = how & VFS_KILL_SUIDGID ? hostdir_kill_suidgid(hostdir, file->fd) : 0;
    if (rc < 0)
        return rc;
    size_t done = direct ? hostdir_write_direct(hostdir, file, buf, size, offset) : 0;
    while (done < size) {
        struct iovec iov = {(char *)buf + done, size - done};
        ssize_t put = pwritev2(file->fd, &iov, 1, (off_t)(offset + done), write_flags(how));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) /* what has been written counts; the next write finds the error */
            return done > 0 ? (ssize_t)done : hostdir_error();
        done += (size_t)put;
    }
    return (ssize_t)done;
}

int hostdir_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    (void)vfs;
    return (data_only ? fdatasync(file->fd) : fsync(file->fd)) < 0 ? hostdir_error() : 0;
}

int hostdir_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    (void)vfs;
    return fallocate(file->fd, (int)mode, (off_t)offset, (off_t)length) < 0 ? hostdir_error() : 0;
}

int64_t hostdir_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence)
{
    (void)vfs;
    off_t found = lseek(file->fd, (off_t)offset, (int)whence);
    return found < 0 ? hostdir_error() : found;
}

ssize_t hostdir_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                     uint64_t offset_out, size_t length)
{
    (void)vfs;
    off_t from = (off_t)offset_in, to = (off_t)offset_out;
    ssize_t copied = copy_file_range(in->fd, &from, out->fd, &to, length, 0);
    return copied < 0 ? hostdir_error() : copied;
}

int hostdir_lock_open(struct vfs *vfs, struct vfs_node *node)
{
    struct hostdir_proc_path path = hostdir_proc_path(node->fd);
    if (!is_data((struct hostdir *)vfs, node))
        return -EOPNOTSUPP;
    int fd = open(path.text, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        fd = open(path.text, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? hostdir_error() : fd;
}
