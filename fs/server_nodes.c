/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/server_internal.h"

enum {
    LEAST_LIMIT = 1024, /* what a process has unless somebody took it away; with less there is little to share out */
    FORGET_MS = 2000,   /* a peer that is busy, and runs under emulation */
};

uint32_t server_node_budget(uint32_t max_handles, uint32_t spare, uint32_t most)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < LEAST_LIMIT)
        return spare;
    rlim_t handles = files.rlim_cur / 4 < max_handles ? files.rlim_cur / 4 : max_handles;
    rlim_t nodes = files.rlim_cur - handles - spare;
    return nodes < most ? (uint32_t)nodes : most;
}

static uint64_t vnode_hash(const struct vfs_node *vnode)
{
    return hash_mix((uint64_t)(uintptr_t)vnode, 0);
}

static struct node *find_vnode(const struct server *server, const struct vfs_node *vnode)
{
    struct hash_link *link = hash_first(&server->nodes_by_vnode, vnode_hash(vnode));
    for (; link; link = hash_next(link)) {
        struct node *node = (struct node *)link; /* by_vnode is the first member */
        if (node->vnode == vnode)
            return node;
    }
    return NULL;
}

static struct node *find_id(struct server *server, uint64_t id)
{
    return id == FUSE_ROOT_ID ? &server->root : slots_get(&server->nodes, id);
}

static int add(struct server *server, const struct vfs_entry *entry, struct node **out)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return -ENOMEM;
    int rc = slots_add(&server->nodes, node, &node->id);
    if (rc < 0) {
        free(node);
        return rc;
    }
    node->vnode = entry->node;
    node->type = entry->attr.mode & S_IFMT;
    hash_add(&server->nodes_by_vnode, &node->by_vnode, vnode_hash(node->vnode));
    *out = node;
    return 0;
}

/* ---- room ---- */

static uint32_t many(const struct server *server)
{
    return server->config.max_nodes / 4 * 3;
}

bool server_nodes_are_many(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    bool are_many = server->config.forgets && server->nodes.count >= many(server);
    pthread_mutex_unlock(&server->lock);
    return are_many;
}

static uint32_t next_asking(const struct server *server)
{
    uint32_t next = server->nodes.count + server->config.max_nodes / 16 + 1;
    return next > many(server) ? next : many(server);
}

/* With the lock held, after one more. */
static bool is_to_ask(struct server *server)
{
    if (!server->config.forgets || server->nodes.count < server->ask_at)
        return false;
    server->ask_at = next_asking(server);
    return true;
}

/* With the lock held, after one less. */
static void one_gone(struct server *server)
{
    uint32_t next = next_asking(server);
    if (server->ask_at > next)
        server->ask_at = next;
    pthread_cond_signal(&server->node_gone);
}

/* Places for what is being made while others look for a place; more than there are threads, but in small tables. */
static uint32_t kept_for_made(const struct server *server)
{
    return server->config.forgets ? server->config.max_nodes / 16 : 0;
}

static bool is_full(const struct server *server)
{
    return server->nodes.count >= server->config.max_nodes - kept_for_made(server);
}

int server_node_room(const struct call *call)
{
    struct server *server = call->server;
    struct timespec until;
    int rc = 0;
    if (!server->config.forgets)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FORGET_MS / 1000;
    pthread_mutex_lock(&server->lock);
    bool full = is_full(server);
    if (full && call->in_pool) {
        pthread_mutex_unlock(&server->lock);
        server_invalidate_all(server);
        pthread_mutex_lock(&server->lock);
        while ((full = is_full(server)) && rc == 0)
            rc = pthread_cond_clockwait(&server->node_gone, &server->lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&server->lock);
    return !full ? 0 : call->may_wait ? -ENFILE : CALL_WAITS;
}

/* ---- entering and leaving ---- */

int server_node_enter(struct server *server, const struct vfs_entry *entry, bool made, uint64_t *id)
{
    int rc = 0;
    pthread_mutex_lock(&server->lock);
    struct node *node = find_vnode(server, entry->node);
    bool known = node != NULL;
    if (!known)
        rc = !made && is_full(server) ? -ENFILE : add(server, entry, &node);
    if (rc == 0) {
        node->lookups++;
        *id = node->id;
    }
    bool ask = rc == 0 && !known && is_to_ask(server);
    pthread_mutex_unlock(&server->lock);
    if (known || rc < 0)
        server->vfs->ops->forget(server->vfs, entry->node);
    if (ask)
        server_invalidate_all(server);
    return rc;
}

int server_node_restore(struct server *server, uint64_t id, uint32_t type, uint64_t lookups)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return -ENOMEM;
    *node = (struct node){.id = id, .type = type, .lookups = lookups};
    int rc = slots_restore(&server->nodes, node, id);
    if (rc < 0)
        free(node);
    return rc;
}

void server_node_find_again(struct server *server, uint64_t id, struct vfs_node *vnode)
{
    struct node *node = slots_get(&server->nodes, id);
    if (!node || node->vnode || find_vnode(server, vnode)) {
        server->vfs->ops->forget(server->vfs, vnode);
        return;
    }
    node->vnode = vnode;
    hash_add(&server->nodes_by_vnode, &node->by_vnode, vnode_hash(vnode));
}

void server_node_lose(struct server *server, struct node *node)
{
    if (!node->vnode || node == &server->root)
        return;
    hash_remove(&server->nodes_by_vnode, &node->by_vnode);
    server->vfs->ops->forget(server->vfs, node->vnode);
    node->vnode = NULL;
}

uint64_t server_node_id_of(struct server *server, const struct vfs_node *vnode)
{
    pthread_mutex_lock(&server->lock);
    const struct node *node = find_vnode(server, vnode);
    uint64_t id = node ? node->id : 0;
    pthread_mutex_unlock(&server->lock);
    return id;
}

struct node *server_node_pin(struct server *server, uint64_t id)
{
    pthread_mutex_lock(&server->lock);
    struct node *node = find_id(server, id);
    if (node)
        node->pins++;
    pthread_mutex_unlock(&server->lock);
    return node;
}

static void take_out(struct server *server, struct node *node)
{
    if (node->vnode)
        hash_remove(&server->nodes_by_vnode, &node->by_vnode);
    slots_del(&server->nodes, node->id);
    one_gone(server);
}

/* Takes the node out of the tables when nothing refers to it any more; the caller then drops it without the lock. */
static bool take_out_unused(struct server *server, struct node *node)
{
    if (node == &server->root || node->pins > 0 || node->lookups > 0)
        return false;
    take_out(server, node);
    return true;
}

static void drop(struct server *server, struct node *node)
{
    if (node->vnode)
        server->vfs->ops->forget(server->vfs, node->vnode);
    free(node);
}

void server_node_unpin(struct server *server, struct node *node)
{
    if (!node)
        return;
    pthread_mutex_lock(&server->lock);
    node->pins--;
    bool unused = take_out_unused(server, node);
    pthread_mutex_unlock(&server->lock);
    if (unused)
        drop(server, node);
}

void server_node_forget(struct server *server, uint64_t id, uint64_t lookups)
{
    bool unused = false;
    pthread_mutex_lock(&server->lock);
    struct node *node = find_id(server, id);
    if (node && node != &server->root && lookups > 0 && lookups <= node->lookups) {
        node->lookups -= lookups;
        unused = take_out_unused(server, node);
    }
    pthread_mutex_unlock(&server->lock);
    if (unused)
        drop(server, node);
}

int server_nodes_init(struct server *server)
{
    slots_init(&server->nodes, server->config.max_nodes);
    server->ask_at = many(server);
    pthread_cond_init(&server->node_gone, NULL);
    return hash_init(&server->nodes_by_vnode);
}

int server_nodes_start(struct server *server)
{
    struct vfs_entry entry;
    int rc = server->vfs->ops->root(server->vfs, &entry);
    if (rc < 0)
        return rc;
    server->root = (struct node){.vnode = entry.node, .id = FUSE_ROOT_ID, .type = S_IFDIR};
    hash_add(&server->nodes_by_vnode, &server->root.by_vnode, vnode_hash(entry.node));
    return 0;
}

void server_nodes_clear(struct server *server)
{
    uint32_t cursor = 0;
    struct node *node;
    while ((node = slots_any(&server->nodes, &cursor))) {
        take_out(server, node);
        drop(server, node);
    }
    if (server->root.vnode) {
        hash_remove(&server->nodes_by_vnode, &server->root.by_vnode);
        server->vfs->ops->forget(server->vfs, server->root.vnode);
        server->root = (struct node){0};
    }
}

void server_nodes_fini(struct server *server)
{
    slots_fini(&server->nodes);
    pthread_cond_destroy(&server->node_gone);
    hash_fini(&server->nodes_by_vnode);
}
