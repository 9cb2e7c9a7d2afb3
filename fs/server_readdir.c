/* SPDX-License-Identifier: Apache-2.0 */
/* READDIR and READDIRPLUS: directory entries packed into one reply. */
#include <errno.h>
#include <string.h>

#include "fs/server_internal.h"

struct listing {
    struct call *call;
    size_t used;
    bool plus;
    bool too_small; /* the first entry did not fit; an empty reply would say "end of directory" */
};

static bool is_dot_or_dotdot(const struct vfs_dirent *entry)
{
    return entry->name[0] == '.' && (entry->len == 1 || (entry->len == 2 && entry->name[1] == '.'));
}

/* An entry that cannot be looked up (gone meanwhile, no room) is listed without one: node id 0. "." and ".." always
 * are, the peer's kernel wants no lookups on them. */
static void put_plus(struct listing *listing, const struct vfs_dirent *entry, struct fuse_entry_out *out)
{
    struct server *server = listing->call->server;
    struct vfs_entry found;
    char name[WIRE_NAME_LIMIT + 1];
    *out = (struct fuse_entry_out){0};
    if (is_dot_or_dotdot(entry) || server_nodes_are_many(server))
        return;
    memcpy(name, entry->name, entry->len);
    name[entry->len] = '\0';
    if (server->vfs->ops->lookup(server->vfs, listing->call->node->vnode, name, &found) < 0)
        return;
    if (server_put_entry(listing->call, &found, out) < 0)
        *out = (struct fuse_entry_out){0};
}

static void put_dirent(const struct vfs_dirent *entry, uint8_t *at, size_t padded)
{
    struct fuse_dirent head = {
        .ino = entry->ino, .off = entry->next, .namelen = (uint32_t)entry->len, .type = entry->type};
    memcpy(at, &head, FUSE_NAME_OFFSET);
    memcpy(at + FUSE_NAME_OFFSET, entry->name, entry->len);
    memset(at + FUSE_NAME_OFFSET + entry->len, 0, padded - FUSE_NAME_OFFSET - entry->len);
}

static int emit(void *data, const struct vfs_dirent *entry)
{
    struct listing *listing = data;
    if (entry->len == 0 || entry->len > WIRE_NAME_LIMIT)
        return 0; /* cannot be said in this protocol, nor opened */
    size_t padded = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry->len);
    size_t plus = listing->plus ? sizeof(struct fuse_entry_out) : 0;
    if (listing->used + plus + padded > listing->call->request.args.read.size) {
        listing->too_small = listing->used == 0;
        return 1;
    }
    uint8_t *at = (uint8_t *)listing->call->body + listing->used;
    if (listing->plus)
        put_plus(listing, entry, (struct fuse_entry_out *)(void *)at);
    put_dirent(entry, at + plus, padded);
    listing->used += plus + padded;
    return 0;
}

static int list(struct call *call, bool plus)
{
    struct vfs *vfs = call->server->vfs;
    struct listing listing = {.call = call, .plus = plus};
    int rc = vfs->ops->readdir(vfs, call->handle->file, call->request.args.read.offset, emit, &listing);
    if (listing.too_small)
        return -EINVAL;
    return rc < 0 && listing.used == 0 ? rc : (int)listing.used;
}

int server_readdir(struct call *call)
{
    return list(call, false);
}

int server_readdirplus(struct call *call)
{
    return list(call, true);
}
