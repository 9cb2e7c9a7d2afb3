/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications: messages to the peer that answer no request (unique 0). */
#include <string.h>

#include "fs/server_internal.h"

static void notify(struct server *server, enum fuse_notify_code code, struct iovec *iov, int count)
{
    struct fuse_out_header out = {.len = sizeof out, .error = (int32_t)code};
    iov[0] = (struct iovec){&out, sizeof out};
    for (int i = 1; i < count; i++)
        out.len += (uint32_t)iov[i].iov_len;
    server->send(server->send_data, iov, count);
}

bool server_invalidate_inode(struct server *server, struct vfs_node *vnode, bool data)
{
    uint64_t id = server_node_id_of(server, vnode);
    /* An offset below 0 stands for "attributes only", a length of 0 for "to the end". */
    struct fuse_notify_inval_inode_out body = {.ino = id, .off = data ? 0 : -1};
    struct iovec iov[2] = {{0}, {&body, sizeof body}};
    if (id)
        notify(server, FUSE_NOTIFY_INVAL_INODE, iov, 2);
    return id != 0;
}

/* Node id 0 is gondolin's own extension of INVAL_INODE; see gondolin-protocol(7). */
bool server_invalidate_all(struct server *server)
{
    struct fuse_notify_inval_inode_out body = {.ino = 0};
    struct iovec iov[2] = {{0}, {&body, sizeof body}};
    notify(server, FUSE_NOTIFY_INVAL_INODE, iov, 2);
    return true;
}

bool server_invalidate_entry(struct server *server, struct vfs_node *directory, const char *name)
{
    uint64_t id = server_node_id_of(server, directory);
    size_t len = strlen(name);
    struct fuse_notify_inval_entry_out body = {.parent = id, .namelen = (uint32_t)len};
    struct iovec iov[3] = {{0}, {&body, sizeof body}, {(void *)(uintptr_t)name, len + 1}};
    if (!id || !len || len > WIRE_NAME_LIMIT)
        return false;
    notify(server, FUSE_NOTIFY_INVAL_ENTRY, iov, 3);
    return true;
}
