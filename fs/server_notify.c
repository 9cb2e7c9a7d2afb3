/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications: messages to the peer that answer no request (unique 0). */
#include <string.h>

#include "fs/server_internal.h"

struct notification {
    struct fuse_out_header header;
    union {
        struct fuse_notify_inval_inode_out inode;
        struct {
            struct fuse_notify_inval_entry_out at;
            char name[WIRE_NAME_LIMIT + 1];
        } entry;
    } body;
};

static void notify(struct server *server, enum fuse_notify_code code, struct notification *message, size_t body_len)
{
    size_t len = sizeof message->header + body_len;
    message->header = (struct fuse_out_header){.len = (uint32_t)len, .error = (int32_t)code};
    server->send(server->send_data, message, len);
}

bool server_invalidate_inode(struct server *server, struct vfs_node *vnode, bool data)
{
    uint64_t id = server_node_id_of(server, vnode);
    /* An offset below 0 stands for "attributes only", a length of 0 for "to the end". */
    struct notification message = {.body.inode = {.ino = id, .off = data ? 0 : -1}};
    if (id)
        notify(server, FUSE_NOTIFY_INVAL_INODE, &message, sizeof message.body.inode);
    return id != 0;
}

void server_invalidate_known(struct server *server)
{
    uint64_t id = FUSE_ROOT_ID;
    for (uint32_t at = 0; id;) {
        struct notification message = {.body.inode.ino = id};
        notify(server, FUSE_NOTIFY_INVAL_INODE, &message, sizeof message.body.inode);
        pthread_mutex_lock(&server->lock);
        const struct node *node = slots_any(&server->nodes, &at);
        id = node ? node->id : 0;
        pthread_mutex_unlock(&server->lock);
        at++;
    }
}

/* Node id 0 is gondolin's own extension of INVAL_INODE; see gondolin-protocol(7). */
bool server_invalidate_all(struct server *server)
{
    struct notification message = {.body.inode.ino = 0};
    notify(server, FUSE_NOTIFY_INVAL_INODE, &message, sizeof message.body.inode);
    return true;
}

bool server_invalidate_entry(struct server *server, struct vfs_node *directory, const char *name)
{
    uint64_t id = server_node_id_of(server, directory);
    size_t len = strlen(name);
    if (!id || !len || len > WIRE_NAME_LIMIT)
        return false;
    struct notification message = {.body.entry.at = {.parent = id, .namelen = (uint32_t)len}};
    memcpy(message.body.entry.name, name, len + 1);
    notify(server, FUSE_NOTIFY_INVAL_ENTRY, &message, sizeof message.body.entry.at + len + 1);
    return true;
}
