/* SPDX-License-Identifier: Apache-2.0 */
/* Making, renaming and removing names. */
#include <errno.h>

#include "fs/server_internal.h"

static struct vfs_cred cred_of(const struct call *call, uint32_t umask)
{
    return (struct vfs_cred){.uid = call->request.header.uid, .gid = call->request.header.gid, .umask = umask};
}

/* The reply to everything that makes a name. */
static int put_made(struct call *call, int rc, const struct vfs_entry *entry)
{
    if (rc == 0)
        rc = server_put_entry(call, entry, call->body);
    return rc < 0 ? rc : (int)sizeof(struct fuse_entry_out);
}

int server_mknod(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_mknod_in *in = &call->request.args.mknod;
    struct vfs_cred cred = cred_of(call, in->umask);
    struct vfs_entry entry;
    int rc = vfs->ops->mknod(vfs, &cred, call->node->vnode, call->request.name[0], in->mode, in->rdev, &entry);
    return put_made(call, rc, &entry);
}

int server_mkdir(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_mkdir_in *in = &call->request.args.mkdir;
    struct vfs_cred cred = cred_of(call, in->umask);
    struct vfs_entry entry;
    int rc = vfs->ops->mkdir(vfs, &cred, call->node->vnode, call->request.name[0], in->mode, &entry);
    return put_made(call, rc, &entry);
}

int server_symlink(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    struct vfs_cred cred = cred_of(call, 0);
    struct vfs_entry entry;
    int rc = vfs->ops->symlink(vfs, &cred, call->node->vnode, call->request.name[0], call->request.name[1], &entry);
    return put_made(call, rc, &entry);
}

int server_link(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    struct vfs_entry entry;
    int rc = vfs->ops->link(vfs, call->node2->vnode, call->node->vnode, call->request.name[0], &entry);
    return put_made(call, rc, &entry);
}

int server_unlink(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return vfs->ops->unlink(vfs, call->node->vnode, call->request.name[0]);
}

int server_rmdir(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return vfs->ops->rmdir(vfs, call->node->vnode, call->request.name[0]);
}

static int rename_with(struct call *call, uint32_t flags)
{
    struct vfs *vfs = call->server->vfs;
    return vfs->ops->rename(vfs, call->node->vnode, call->request.name[0], call->node2->vnode, call->request.name[1],
                            flags);
}

int server_rename(struct call *call)
{
    return rename_with(call, 0);
}

int server_rename2(struct call *call)
{
    return rename_with(call, call->request.args.rename2.flags);
}
