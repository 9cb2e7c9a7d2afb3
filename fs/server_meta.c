/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups, attributes and extended attributes. */
#include <errno.h>

#include "fs/server_internal.h"

enum { LOOKUP_TRIES = 16 };

static const uint32_t KEEP = VFS_KEEP_ATTR | VFS_KEEP_NAME;

void server_put_timeout(double seconds, uint64_t *out_sec, uint32_t *out_nsec)
{
    *out_sec = (uint64_t)seconds;
    *out_nsec = (uint32_t)((seconds - (double)*out_sec) * 1e9);
}

int server_put_entry(const struct call *call, const struct vfs_entry *entry, struct fuse_entry_out *out)
{
    const struct server_config *c = &call->server->config;
    uint32_t flags = call->in_pool ? 0 : entry->attr.flags;
    *out = (struct fuse_entry_out){.attr = entry->attr};
    out->attr.flags &= ~KEEP;
    server_put_timeout(flags & VFS_KEEP_NAME ? c->keep_timeout : c->entry_timeout, &out->entry_valid,
                       &out->entry_valid_nsec);
    server_put_timeout(flags & VFS_KEEP_ATTR ? c->keep_timeout : c->attr_timeout, &out->attr_valid, &out->attr_valid_nsec);
    return server_node_enter(call->server, entry, server_makes_node(call->request.op->opcode), &out->nodeid);
}

static int put_attr(struct call *call, int rc, bool keep)
{
    struct fuse_attr_out *out = call->body;
    const struct server_config *c = &call->server->config;
    if (rc < 0)
        return rc;
    double timeout = out->attr.flags & VFS_KEEP_ATTR ? c->keep_timeout : c->attr_timeout;
    out->attr.flags &= ~KEEP;
    server_put_timeout(keep ? timeout : 0, &out->attr_valid, &out->attr_valid_nsec);
    out->dummy = 0;
    return sizeof *out;
}

/* A name that leads nowhere is something to keep, too: node id 0. */
static int put_absence(struct call *call)
{
    struct fuse_entry_out *out = call->body;
    *out = (struct fuse_entry_out){.nodeid = 0};
    server_put_timeout(call->server->config.keep_timeout, &out->entry_valid, &out->entry_valid_nsec);
    return sizeof *out;
}

static int look_up(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    struct vfs_entry entry = {.node = NULL};
    int rc = vfs->ops->lookup(vfs, call->node->vnode, call->request.name[0], &entry);
    if (rc == -ENOENT && (entry.attr.flags & VFS_KEEP_NAME) && !call->in_pool)
        return put_absence(call);
    if (rc == 0)
        rc = server_put_entry(call, &entry, call->body);
    return rc < 0 ? rc : (int)sizeof(struct fuse_entry_out);
}

/* What is known already needs no room. Others may be quicker to take what there is. */
int server_lookup(struct call *call)
{
    int rc = look_up(call), room = 0;
    for (int i = 0; call->server->config.forgets && i < LOOKUP_TRIES && rc == -ENFILE && room == 0; i++) {
        room = server_node_room(call);
        rc = room ? room : look_up(call);
    }
    return rc;
}

/* The handle of a request where naming one is optional. */
static int pin_optional_handle(struct call *call, bool named, uint64_t fh)
{
    if (!named)
        return 0;
    call->handle = server_handle_pin(call->server, fh, call->node->id, false);
    return call->handle ? 0 : -EBADF;
}

static struct vfs_file *file_of(const struct call *call)
{
    return call->handle ? call->handle->file : NULL;
}

int server_getattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_getattr_in *in = &call->request.args.getattr;
    struct fuse_attr_out *out = call->body;
    int rc = pin_optional_handle(call, in->getattr_flags & FUSE_GETATTR_FH, in->fh);
    if (rc == 0)
        rc = vfs->ops->getattr(vfs, call->node->vnode, file_of(call), &out->attr);
    return put_attr(call, rc, true);
}

int server_setattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct fuse_setattr_in *in = &call->request.args.setattr;
    struct fuse_attr_out *out = call->body;
    int rc = pin_optional_handle(call, in->valid & FATTR_FH, in->fh);
    if (rc == 0)
        rc = vfs->ops->setattr(vfs, call->node->vnode, file_of(call), in, &out->attr);
    /* The kernel sends a change of nothing before a write that will clear suid: the mode is good until that write. */
    bool about_to_change = !(in->valid & ~(uint32_t)FATTR_FH);
    return put_attr(call, rc, !about_to_change);
}

int server_readlink(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return (int)vfs->ops->readlink(vfs, call->node->vnode, call->body, WIRE_TARGET_LIMIT);
}

int server_statfs(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    struct fuse_statfs_out *out = call->body;
    *out = (struct fuse_statfs_out){0};
    int rc = vfs->ops->statfs(vfs, call->node->vnode, &out->st);
    return rc < 0 ? rc : (int)sizeof *out;
}

int server_setxattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    const struct wire_request *request = &call->request;
    return vfs->ops->setxattr(vfs, call->node->vnode, request->name[0], request->payload, request->payload_len,
                              (int)request->args.setxattr.flags);
}

/* A caller who offers no room asks for the size. */
static int put_xattr(struct call *call, ssize_t size)
{
    if (size < 0 || call->request.args.getxattr.size > 0)
        return (int)size;
    struct fuse_getxattr_out *out = call->body;
    *out = (struct fuse_getxattr_out){.size = (uint32_t)size};
    return sizeof *out;
}

int server_getxattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return put_xattr(call, vfs->ops->getxattr(vfs, call->node->vnode, call->request.name[0], call->body,
                                              call->request.args.getxattr.size));
}

int server_listxattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return put_xattr(call, vfs->ops->listxattr(vfs, call->node->vnode, call->body, call->request.args.getxattr.size));
}

int server_removexattr(struct call *call)
{
    struct vfs *vfs = call->server->vfs;
    return vfs->ops->removexattr(vfs, call->node->vnode, call->request.name[0]);
}
