/* SPDX-License-Identifier: Apache-2.0 */
/* Directories in memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/memory_internal.h"

enum { TIDY_UP = 64 };

static uint64_t name_hash(const struct vfs_node *dir, const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash_mix(hash, dir->attr.ino);
}

static struct memory_entry *find(const struct memory *m, const struct vfs_node *dir, const char *name)
{
    struct hash_link *link = hash_first(&m->names, name_hash(dir, name));
    for (; link; link = hash_next(link)) {
        struct memory_entry *entry = (struct memory_entry *)link; /* link is the first member */
        if (entry->directory == dir && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static bool is_dir(const struct vfs_node *node)
{
    return S_ISDIR(node->attr.mode);
}

static bool is_empty(const struct vfs_node *dir)
{
    return dir->names.count == dir->names.dead;
}

/* A removed directory takes no new names. */
static bool is_gone(const struct vfs_node *dir)
{
    return dir->attr.nlink == 0;
}

static int append(struct vfs_node *dir, struct memory_entry *entry)
{
    if ((dir->names.count & (dir->names.count - 1)) == 0) { /* full at each power of two */
        size_t capacity = dir->names.count ? 2 * dir->names.count : 1;
        struct memory_entry **list = reallocarray(dir->names.list, capacity, sizeof(struct memory_entry *));
        if (!list)
            return -ENOMEM;
        dir->names.list = list;
    }
    dir->names.list[dir->names.count++] = entry;
    return 0;
}

static void attach(struct memory_entry *entry, struct vfs_node *node)
{
    entry->node = node;
    entry->next_name = node->entries;
    entry->name_slot = &node->entries;
    if (node->entries)
        node->entries->name_slot = &entry->next_name;
    node->entries = entry;
}

static void detach(struct memory_entry *entry)
{
    *entry->name_slot = entry->next_name;
    if (entry->next_name)
        entry->next_name->name_slot = entry->name_slot;
}

int memory_enter(struct memory *m, struct vfs_node *dir, const char *name, uint64_t cookie, struct vfs_node *node)
{
    size_t len = strlen(name);
    int rc = memory_take(m, MEMORY_NAME_COST + len);
    if (rc < 0)
        return rc;
    struct memory_entry *entry = malloc(sizeof *entry + len + 1);
    rc = entry ? 0 : -ENOMEM;
    if (entry) {
        *entry = (struct memory_entry){.cookie = cookie, .directory = dir};
        memcpy(entry->name, name, len + 1);
        rc = append(dir, entry);
    }
    if (rc < 0) {
        free(entry);
        memory_give(m, MEMORY_NAME_COST + len);
        return rc;
    }
    hash_add(&m->names, &entry->link, name_hash(dir, name));
    attach(entry, node);
    node->attr.nlink++;
    if (is_dir(node)) {
        node->names.parent = dir;
        node->attr.nlink++; /* its own "." */
        dir->attr.nlink++;
    }
    return 0;
}

static int add(struct memory *m, struct vfs_node *dir, const char *name, struct vfs_node *node)
{
    int rc = is_gone(dir) ? -ENOENT : memory_enter(m, dir, name, dir->names.last_cookie + 1, node);
    if (rc < 0)
        return rc;
    dir->names.last_cookie++;
    memory_touch(dir, true);
    memory_touch(node, false);
    return 0;
}

static void free_entry(struct memory *m, struct memory_entry *entry)
{
    memory_give(m, MEMORY_NAME_COST + strlen(entry->name));
    free(entry);
}

/* Dead names count in the limit until this frees them. */
static void tidy_up(struct memory *m, struct vfs_node *dir)
{
    size_t kept = 0, capacity = 1;
    if (!is_empty(dir) && (dir->names.dead < TIDY_UP || dir->names.dead < dir->names.count / 2))
        return;
    for (size_t i = 0; i < dir->names.count; i++) {
        if (dir->names.list[i]->dead)
            free_entry(m, dir->names.list[i]);
        else
            dir->names.list[kept++] = dir->names.list[i];
    }
    dir->names.count = kept;
    dir->names.dead = 0;
    while (capacity < kept) /* what append counts on */
        capacity *= 2;
    struct memory_entry **list = reallocarray(dir->names.list, capacity, sizeof(struct memory_entry *));
    if (list)
        dir->names.list = list;
}

/* Takes a name away; the node may be freed by that. */
static void drop(struct memory *m, struct memory_entry *entry)
{
    struct vfs_node *dir = entry->directory, *node = entry->node;
    hash_remove(&m->names, &entry->link);
    detach(entry);
    entry->dead = true;
    dir->names.dead++;
    node->attr.nlink--;
    if (is_dir(node)) {
        dir->attr.nlink--;
        node->attr.nlink--; /* its own "." */
        if (is_gone(node))
            node->names.parent = NULL;
    }
    memory_touch(dir, true);
    memory_touch(node, false);
    memory_free_if_unused(m, node);
    tidy_up(m, dir);
}

void memory_names_free(struct memory *m, struct vfs_node *dir)
{
    for (size_t i = 0; i < dir->names.count; i++)
        free_entry(m, dir->names.list[i]);
    free(dir->names.list);
    dir->names.list = NULL;
    dir->names.count = dir->names.dead = 0;
}

/* The names in a directory that goes as a whole. Directories in it are put before `left`, linked by what was their
 * parent. */
static struct vfs_node *empty(struct memory *m, struct vfs_node *dir, struct vfs_node *left)
{
    for (size_t i = 0; i < dir->names.count; i++) {
        struct memory_entry *entry = dir->names.list[i];
        struct vfs_node *node = entry->node;
        if (entry->dead)
            continue;
        hash_remove(&m->names, &entry->link);
        detach(entry);
        node->attr.nlink--;
        if (is_dir(node)) {
            node->names.parent = left;
            left = node;
        } else {
            memory_free_if_unused(m, node);
        }
    }
    memory_names_free(m, dir);
    return left;
}

void memory_names_clear(struct memory *m)
{
    struct vfs_node *left = empty(m, m->root, NULL);
    m->root->attr.nlink = 2;
    while (left) {
        struct vfs_node *dir = left;
        left = empty(m, dir, dir->names.parent);
        dir->names.parent = NULL;
        dir->attr.nlink = 0;
        memory_free_if_unused(m, dir);
    }
}

static void fill(struct vfs_node *node, struct vfs_entry *out)
{
    node->refs++;
    *out = (struct vfs_entry){.node = node, .attr = node->attr};
}

int memory_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    const struct memory_entry *entry = find(m, dir, name);
    if (entry)
        fill(entry->node, out);
    else
        out->attr.flags = VFS_KEEP_NAME;
    pthread_mutex_unlock(&m->lock);
    return entry ? 0 : -ENOENT;
}

int memory_set_target(struct memory *m, struct vfs_node *node, const char *target, size_t len)
{
    int rc = memory_take(m, len);
    if (rc < 0)
        return rc;
    node->attr.size = len; /* what is given back with the node */
    node->target = strndup(target, len);
    return node->target ? 0 : -ENOMEM;
}

/* Makes a node with a name. `target`: of a symlink. */
static int make_locked(struct memory *m, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                       uint32_t mode, const char *target, struct vfs_entry *out)
{
    int rc = find(m, dir, name) ? -EEXIST : 0;
    struct vfs_node *node = rc < 0 ? NULL : memory_node_new(m, cred, dir, mode, &rc);
    if (!node)
        return rc;
    if (target)
        rc = memory_set_target(m, node, target, strlen(target));
    rc = rc ? rc : add(m, dir, name, node);
    if (rc == 0)
        *out = (struct vfs_entry){.node = node, .attr = node->attr};
    else
        memory_unref(m, node);
    return rc;
}

static int make(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                const char *target, struct vfs_entry *out)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = make_locked(m, cred, dir, name, mode, target, out);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int memory_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 uint32_t rdev, struct vfs_entry *out)
{
    (void)rdev;
    return S_ISCHR(mode) || S_ISBLK(mode) ? -EPERM : make(vfs, cred, dir, name, mode & ~cred->umask, NULL, out);
}

int memory_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 struct vfs_entry *out)
{
    return make(vfs, cred, dir, name, S_IFDIR | (mode & ~cred->umask), NULL, out);
}

int memory_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                   const char *target, struct vfs_entry *out)
{
    return make(vfs, cred, dir, name, S_IFLNK | 0777, target, out);
}

int memory_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    int rc = make(vfs, cred, dir, name, S_IFREG | (mode & ~cred->umask), NULL, out);
    if (rc == -EEXIST && !(flags & O_EXCL)) {
        rc = memory_lookup(vfs, dir, name, out);
        if (rc == 0 && !S_ISREG(out->attr.mode)) {
            vfs->ops->forget(vfs, out->node);
            return -ESTALE;
        }
    }
    if (rc < 0)
        return rc;
    rc = memory_open(vfs, out->node, flags, how, file);
    if (rc < 0)
        vfs->ops->forget(vfs, out->node);
    return rc;
}

int memory_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = is_dir(node) ? -EPERM : node->attr.nlink == 0 ? -ENOENT : find(m, dir, name) ? -EEXIST : 0;
    rc = rc ? rc : add(m, dir, name, node);
    if (rc == 0)
        fill(node, out);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int remove_name(struct vfs *vfs, struct vfs_node *dir, const char *name, bool directory)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    struct memory_entry *entry = find(m, dir, name);
    int rc = entry ? 0 : -ENOENT;
    if (entry && is_dir(entry->node) != directory)
        rc = directory ? -ENOTDIR : -EISDIR;
    else if (entry && directory && !is_empty(entry->node))
        rc = -ENOTEMPTY;
    if (rc == 0)
        drop(m, entry);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int memory_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return remove_name(vfs, dir, name, false);
}

int memory_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return remove_name(vfs, dir, name, true);
}

static bool is_below(const struct vfs_node *dir, const struct vfs_node *above)
{
    for (; dir && dir != above; dir = dir->names.parent)
        ;
    return dir != NULL;
}

static int check_replaced(const struct vfs_node *moved, const struct memory_entry *old)
{
    if (is_dir(old->node) != is_dir(moved))
        return is_dir(moved) ? -ENOTDIR : -EISDIR;
    return is_dir(old->node) && !is_empty(old->node) ? -ENOTEMPTY : 0;
}

static void set_parent(struct vfs_node *node, struct vfs_node *from, struct vfs_node *to)
{
    if (!is_dir(node))
        return;
    node->names.parent = to;
    from->attr.nlink--;
    to->attr.nlink++;
}

static int exchange(struct memory_entry *a, struct memory_entry *b)
{
    if (!b)
        return -ENOENT;
    if ((is_dir(a->node) && is_below(b->directory, a->node)) || (is_dir(b->node) && is_below(a->directory, b->node)))
        return -EINVAL;
    struct vfs_node *node = a->node, *other = b->node;
    set_parent(node, a->directory, b->directory);
    set_parent(other, b->directory, a->directory);
    detach(a);
    detach(b);
    attach(a, other);
    attach(b, node);
    memory_touch(a->directory, true);
    memory_touch(b->directory, true);
    return 0;
}

static int rename_locked(struct memory *m, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                         const char *new_name, uint32_t flags)
{
    struct memory_entry *entry = find(m, dir, name), *old = find(m, new_dir, new_name);
    if (!entry)
        return -ENOENT;
    if (flags & RENAME_EXCHANGE)
        return exchange(entry, old);
    if (old && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (old && old->node == entry->node)
        return 0;
    if (is_dir(entry->node) && is_below(new_dir, entry->node))
        return -EINVAL;
    int rc = old ? check_replaced(entry->node, old) : 0;
    if (rc < 0)
        return rc;
    struct vfs_node *node = entry->node;
    node->refs++; /* for between its names */
    rc = add(m, new_dir, new_name, node); /* for a moment there are two; what fails has changed nothing */
    if (rc == 0 && old)
        drop(m, old);
    if (rc == 0)
        drop(m, entry);
    memory_unref(m, node);
    return rc;
}

int memory_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                  const char *new_name, uint32_t flags)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = rename_locked(m, dir, name, new_dir, new_name, flags);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* Puts a component before what begins at `at`. */
static int put_before(char *path, size_t *at, const char *name)
{
    size_t len = strlen(name), slash = path[*at] ? 1 : 0;
    if (len + slash > *at)
        return -ENAMETOOLONG;
    if (slash)
        path[--*at] = '/';
    *at -= len;
    memcpy(path + *at, name, len);
    return 0;
}

static int path_locked(const struct memory *m, const struct vfs_node *node, char *path, size_t size)
{
    size_t at = size - 1;
    int rc = 0;
    path[at] = '\0';
    while (rc == 0 && node != m->root) {
        rc = node->entries ? put_before(path, &at, node->entries->name) : -ENOENT;
        if (rc == 0)
            node = node->entries->directory;
    }
    if (rc == 0)
        memmove(path, path + at, size - at);
    return rc;
}

int memory_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = size ? path_locked(m, node, path, size) : -ENAMETOOLONG;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* The first entry whose cookie is at least `cookie`. */
static size_t seek(const struct vfs_node *dir, uint64_t cookie)
{
    size_t low = 0, high = dir->names.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dir->names.list[middle]->cookie < cookie)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A copy of the next entry's name; the node's number and type. False at the end. */
static bool next_entry(struct memory *m, const struct vfs_node *dir, uint64_t offset, char name[256],
                       struct vfs_dirent *out)
{
    const struct vfs_node *node = dir;
    pthread_mutex_lock(&m->lock);
    out->next = offset + 1;
    if (offset < MEMORY_DOT_COOKIES) {
        strcpy(name, offset ? ".." : ".");
        node = offset && dir->names.parent ? dir->names.parent : dir;
    } else {
        size_t at = seek(dir, offset + 1);
        while (at < dir->names.count && dir->names.list[at]->dead)
            at++;
        node = at < dir->names.count ? dir->names.list[at]->node : NULL;
        if (node) {
            strcpy(name, dir->names.list[at]->name);
            out->next = dir->names.list[at]->cookie;
        }
    }
    if (node) {
        out->ino = node->attr.ino;
        out->type = (node->attr.mode & S_IFMT) >> 12;
    }
    pthread_mutex_unlock(&m->lock);
    return node != NULL;
}

/* The lock is not held while an entry is given out: that may look it up. */
int memory_readdir(struct vfs *vfs, struct vfs_file *file, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    char name[256];
    struct vfs_dirent entry = {.name = name};
    while (next_entry(memory_of(vfs), file->node, offset, name, &entry)) {
        entry.len = strlen(name);
        if (emit(data, &entry))
            break;
        offset = entry.next;
    }
    return 0;
}
