/* SPDX-License-Identifier: Apache-2.0 */
/* What a server leaves to a later one: a header, then the nodes and the open files that the peer knows, each in the order
 * of their numbers' indices, and the locks that it holds. Numbers are in the byte order of the machine, which has to have the
 * same processor anyway. A checkpoint may come from anywhere: all of it is looked at before it is used, and a path leads
 * nowhere but into the tree, one component after the other. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/input.h"
#include "fs/server_internal.h"

#define MAGIC "gondolin-files-1"

struct state_header {
    char magic[16];
    uint32_t nodes, handles;
    uint32_t locks, reserved;
};

/* Its path follows; without one, it cannot be found again. */
struct state_node {
    uint64_t id, lookups;
    uint64_t dev, ino;
    int64_t born_sec;
    uint32_t born_nsec;
    uint32_t type;
    uint32_t path_len;
    uint32_t reserved;
};

struct state_handle {
    uint64_t id, node_id;
    uint32_t access; /* O_ACCMODE */
    uint32_t directory;
    uint32_t flock; /* F_UNLCK: none */
    uint32_t reserved;
};

/* ---- saving ---- */

static void save_node(struct server *server, const struct node *node, FILE *out)
{
    const struct vfs_ops *ops = server->vfs->ops;
    struct state_node record = {.id = node->id, .lookups = node->lookups, .type = node->type};
    struct vfs_identity identity;
    char path[PATH_MAX] = "";
    if (node->vnode && ops->path && ops->path(server->vfs, node->vnode, path, sizeof path) == 0 &&
        ops->identify(server->vfs, node->vnode, &identity) == 0) {
        record.dev = identity.dev;
        record.ino = identity.ino;
        record.born_sec = identity.born_sec;
        record.born_nsec = identity.born_nsec;
        record.path_len = (uint32_t)strlen(path);
    }
    fwrite(&record, sizeof record, 1, out);
    fwrite(path, 1, record.path_len, out);
}

static uint32_t count(const struct slots *slots)
{
    uint32_t n = 0;
    for (uint32_t at = 0; slots_any(slots, &at); at++)
        n++;
    return n;
}

static void save_handle(const struct handle *handle, FILE *out)
{
    const struct state_handle record = {
        .id = handle->id, .node_id = handle->node_id, .access = handle->access, .directory = handle->directory,
        .flock = handle->flock};
    fwrite(&record, sizeof record, 1, out);
}

static void count_lock(void *data, const struct server_lock *lock)
{
    uint32_t *n = data;
    (void)lock;
    ++*n;
}

static void save_lock(void *data, const struct server_lock *lock)
{
    fwrite(lock, sizeof *lock, 1, data);
}

int server_save(struct server *server, FILE *out)
{
    struct state_header header = {.magic = MAGIC};
    pthread_mutex_lock(&server->lock);
    header.nodes = count(&server->nodes);
    header.handles = count(&server->handles);
    server_locks_each(server, count_lock, &header.locks);
    fwrite(&header, sizeof header, 1, out);
    const struct node *node;
    for (uint32_t at = 0; (node = slots_any(&server->nodes, &at)); at++)
        save_node(server, node, out);
    const struct handle *handle;
    for (uint32_t at = 0; (handle = slots_any(&server->handles, &at)); at++)
        save_handle(handle, out);
    server_locks_each(server, save_lock, out);
    pthread_mutex_unlock(&server->lock);
    return fflush(out) == EOF || ferror(out) ? -EIO : 0;
}

/* ---- reading ---- */

/* A node that is to be found again. */
struct wanted {
    struct state_node record;
    const char *path; /* record.path_len bytes in the state */
};

struct wanted_list {
    struct wanted *list;
    size_t count;
};

static int read_node(struct server *server, struct input *in, struct wanted_list *wanted)
{
    struct wanted w;
    if (!input_take(in, &w.record, sizeof w.record) || w.record.path_len >= PATH_MAX)
        return -EPROTO;
    w.path = (const char *)input_skip(in, w.record.path_len);
    if (!w.path)
        return -EPROTO;
    int rc = server_node_restore(server, w.record.id, w.record.type & S_IFMT, w.record.lookups);
    if (rc == 0 && w.record.path_len)
        wanted->list[wanted->count++] = w;
    return rc;
}

static int read_nodes(struct server *server, struct input *in, uint32_t count, struct wanted_list *wanted)
{
    int rc = 0;
    if (count > in->left / sizeof(struct state_node))
        return -EPROTO;
    wanted->list = calloc(count ? count : 1, sizeof *wanted->list);
    if (!wanted->list)
        return -ENOMEM;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = read_node(server, in, wanted);
    return rc;
}

/* ---- finding again ---- */

static bool is_same(const struct state_node *record, const struct vfs_identity *found)
{
    bool births = (record->born_sec || record->born_nsec) && (found->born_sec || found->born_nsec);
    if (record->ino != found->ino || (record->type & S_IFMT) != found->type)
        return false;
    /* A device's number may be another one after the host has been started again. */
    return births ? record->born_sec == found->born_sec && record->born_nsec == found->born_nsec
                  : record->dev == found->dev;
}

/* 0 with a reference in *out; -errno. */
static int walk(struct vfs *vfs, char *path, struct vfs_node **out)
{
    struct vfs_entry entry;
    int rc = vfs->ops->root(vfs, &entry);
    for (char *name; rc == 0 && (name = strsep(&path, "/"));) {
        struct vfs_node *dir = entry.node;
        if (!*name)
            continue;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > WIRE_NAME_LIMIT)
            rc = -EPROTO;
        else if (!S_ISDIR(entry.attr.mode))
            rc = -ENOTDIR;
        else
            rc = vfs->ops->lookup(vfs, dir, name, &entry);
        vfs->ops->forget(vfs, dir);
    }
    if (rc == 0)
        *out = entry.node;
    return rc;
}

static void find_again(struct server *server, const struct wanted *wanted)
{
    struct vfs *vfs = server->vfs;
    char path[PATH_MAX];
    struct vfs_identity identity;
    struct vfs_node *vnode = NULL;
    memcpy(path, wanted->path, wanted->record.path_len);
    path[wanted->record.path_len] = '\0';
    if (walk(vfs, path, &vnode) < 0)
        return;
    if (vfs->ops->identify(vfs, vnode, &identity) == 0 && is_same(&wanted->record, &identity))
        server_node_find_again(server, wanted->record.id, vnode);
    else
        vfs->ops->forget(vfs, vnode);
}

static int by_depth(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return (x->record.path_len > y->record.path_len) - (x->record.path_len < y->record.path_len);
}

/* NULL: it cannot be opened again. */
static struct vfs_file *open_again(struct server *server, const struct node *node, const struct state_handle *record)
{
    const struct vfs_ops *ops = server->vfs->ops;
    struct vfs_file *file = NULL;
    if (!node || !node->vnode || (record->directory != 0) != (bool)S_ISDIR(node->type))
        return NULL; /* a peer may also forget what it has open */
    int rc = record->directory ? ops->opendir(server->vfs, node->vnode, &file)
                               : ops->open(server->vfs, node->vnode, (int)(record->access & O_ACCMODE), 0, &file);
    return rc < 0 ? NULL : file;
}

static int restore_handle(struct server *server, struct node *node, const struct state_handle *record)
{
    struct vfs_file *file = open_again(server, node, record);
    bool directory = record->directory != 0;
    int rc = server_handle_restore(server, record->id, record->node_id, directory, record->access & O_ACCMODE, file);
    if (rc < 0 && file)
        server->vfs->ops->release(server->vfs, file);
    if (rc == 0 && file && !directory && record->flock != F_UNLCK &&
        server_locks_take_file(server, node, slots_get(&server->handles, record->id), record->flock) < 0)
        server_node_lose(server, node);
    return rc;
}

static int read_handle(struct server *server, struct input *in)
{
    struct state_handle record;
    if (!input_take(in, &record, sizeof record))
        return -EPROTO;
    struct node *node = server_node_pin(server, record.node_id);
    int rc = restore_handle(server, node, &record);
    server_node_unpin(server, node);
    return rc;
}

/* Without its lock a file is not to be touched. */
static int read_lock(struct server *server, struct input *in)
{
    struct server_lock lock;
    if (!input_take(in, &lock, sizeof lock))
        return -EPROTO;
    struct node *node = server_node_pin(server, lock.node_id);
    if (node && node->vnode && server_locks_take(server, node, &lock) < 0)
        server_node_lose(server, node);
    server_node_unpin(server, node);
    return 0;
}

static int adopt(struct server *server, struct input *in, const struct state_header *header)
{
    struct wanted_list wanted = {0};
    int rc = read_nodes(server, in, header->nodes, &wanted);
    if (rc == 0) {
        qsort(wanted.list, wanted.count, sizeof *wanted.list, by_depth); /* directories before what is in them */
        for (size_t i = 0; i < wanted.count; i++)
            find_again(server, &wanted.list[i]);
    }
    free(wanted.list);
    for (uint32_t i = 0; i < header->handles && rc == 0; i++)
        rc = read_handle(server, in);
    for (uint32_t i = 0; i < header->locks && rc == 0; i++)
        rc = read_lock(server, in);
    return rc == 0 && in->left ? -EPROTO : rc;
}

int server_adopt(struct server *server, const uint8_t *state, size_t len)
{
    struct input in = {state, len};
    struct state_header header;
    if (!input_take(&in, &header, sizeof header) || memcmp(header.magic, MAGIC, sizeof header.magic) != 0 ||
        !server->vfs->ops->identify)
        return -EPROTO;
    int rc = server_nodes_start(server);
    if (rc < 0)
        return rc;
    rc = adopt(server, &in, &header);
    if (rc < 0) {
        server_end_session(server);
        slots_fini(&server->nodes);
        slots_fini(&server->handles);
        return rc == -ENOMEM ? rc : -EPROTO;
    }
    server->ready = server->adopted = true;
    return 0;
}
