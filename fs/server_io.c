/* SPDX-License-Identifier: Apache-2.0 */
/* Open files. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "fs/server_internal.h"

/* The page cache of the peer stays good: with AUTO_INVAL_DATA it looks at size and mtime by itself. */
static int put_open(struct call *call, struct fuse_open_out *out, struct vfs_file *file, uint64_t node_id,
                    bool directory, uint32_t flags)
{
    *out = (struct fuse_open_out){.open_flags = directory ? 0 : FOPEN_KEEP_CACHE};
    return server_handle_enter(call->server, file, node_id, directory, flags & O_ACCMODE, &out->fh);
}

static unsigned how_to_open(uint32_t open_flags)
{
    return open_flags & FUSE_OPEN_KILL_SUIDGID ? VFS_KILL_SUIDGID : 0;
}

int server_open(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_open_in *in = &call->request.args.open;
    struct vfs_file *file;
    int rc = vfs->ops->open(vfs, call->node->vnode, (int)in->flags, how_to_open(in->open_flags), &file);
    if (rc == 0)
        rc = put_open(call, call->body, file, call->node->id, false, in->flags);
    return rc < 0 ? rc : (int)sizeof(struct fuse_open_out);
}

int server_opendir(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    struct vfs_file *file;
    int rc = vfs->ops->opendir(vfs, call->node->vnode, &file);
    if (rc == 0)
        rc = put_open(call, call->body, file, call->node->id, true, O_RDONLY);
    return rc < 0 ? rc : (int)sizeof(struct fuse_open_out);
}

int server_create(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_create_in *in = &call->request.args.create;
    struct vfs_cred cred = {call->request.header.uid, call->request.header.gid, in->umask};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } *out = call->body;
    struct vfs_entry entry;
    struct vfs_file *file;
    int rc = vfs->ops->create(vfs, &cred, call->node->vnode, call->request.name[0], in->mode, (int)in->flags,
                              how_to_open(in->open_flags), &entry, &file);
    if (rc < 0)
        return rc;
    rc = server_put_entry(call, &entry, &out->entry);
    if (rc < 0) {
        vfs->ops->release(vfs, file);
        return rc;
    }
    rc = put_open(call, &out->open, file, out->entry.nodeid, false, in->flags);
    if (rc < 0) {
        server_node_forget(call->server, out->entry.nodeid, 1);
        return rc;
    }
    return sizeof *out;
}

int server_release(struct call *call)
{
    server_handle_release(call->server, call->handle);
    return 0;
}

/* Ends the locks of who closes. Otherwise close(2) has nothing to report: errors have been given to the writes already. */
int server_flush(struct call *call)
{
    server_locks_flush(call->server, call->node->id, call->request.args.flush.lock_owner);
    return 0;
}

static int put_count(const struct call *call, ssize_t count)
{
    *(struct fuse_write_out *)call->body = (struct fuse_write_out){.size = (uint32_t)count};
    return sizeof(struct fuse_write_out);
}

int server_read(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_read_in *in = &call->request.args.read;
    uint8_t *window = call->request.window;
    ssize_t got = vfs->ops->read(vfs, call->handle->file, window ? window : call->body, in->size, in->offset,
                                 call->may_wait ? 0 : VFS_NOWAIT);
    if (got == -EAGAIN && !call->may_wait)
        return CALL_WAITS;
    return got >= 0 && window ? put_count(call, got) : (int)got;
}

/* The page cache writes back through any handle that is open for writing; its own offset is the right one even if that
 * handle was opened with O_APPEND. */
static unsigned how_to_write(const struct fuse_write_in *in)
{
    unsigned how = in->write_flags & FUSE_WRITE_KILL_SUIDGID ? VFS_KILL_SUIDGID : 0;
    if ((in->flags & O_APPEND) && !(in->write_flags & FUSE_WRITE_CACHE))
        how |= VFS_APPEND;
    if ((in->flags & O_SYNC) == O_SYNC)
        how |= VFS_SYNC;
    else if (in->flags & O_DSYNC)
        how |= VFS_DSYNC;
    return how;
}

int server_write(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_write_in *in = &call->request.args.write;
    unsigned how = how_to_write(in);
    if ((how & (VFS_SYNC | VFS_DSYNC)) && !call->may_wait)
        return CALL_WAITS;
    ssize_t put = vfs->ops->write(vfs, call->handle->file, call->request.payload, in->size, in->offset,
                                  how | (call->may_wait ? 0 : VFS_NOWAIT));
    if (put == -EAGAIN && !call->may_wait)
        return CALL_WAITS;
    return put < 0 ? (int)put : put_count(call, put);
}

int server_fsync(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return vfs->ops->fsync(vfs, call->handle->file, call->request.args.fsync.fsync_flags & FUSE_FSYNC_FDATASYNC);
}

int server_fallocate(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_fallocate_in *in = &call->request.args.fallocate;
    return vfs->ops->fallocate(vfs, call->handle->file, in->mode, in->offset, in->length);
}

int server_lseek(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_lseek_in *in = &call->request.args.lseek;
    int64_t offset = vfs->ops->lseek(vfs, call->handle->file, in->offset, in->whence);
    if (offset < 0)
        return (int)offset;
    *(struct fuse_lseek_out *)call->body = (struct fuse_lseek_out){.offset = (uint64_t)offset};
    return sizeof(struct fuse_lseek_out);
}

int server_copy(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_copy_file_range_in *in = &call->request.args.copy;
    struct handle *to = server_handle_pin(call->server, in->fh_out, in->nodeid_out, false);
    if (!to)
        return -EBADF;
    ssize_t copied = vfs->ops->copy(vfs, call->handle->file, in->off_in, to->file, in->off_out, (size_t)in->len);
    server_handle_unpin(call->server, to);
    return copied < 0 ? (int)copied : put_count(call, copied);
}

/* No ioctl passes. ENOSYS would say so for all nodes of a mount, others' included. */
int server_ioctl(struct call *call)
{
    (void)call;
    return -ENOTTY;
}

/* Regular files are always ready. ENOSYS would end polling on all nodes of a mount. */
int server_poll(struct call *call)
{
    *(struct fuse_poll_out *)call->body = (struct fuse_poll_out){.revents = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM};
    return sizeof(struct fuse_poll_out);
}
