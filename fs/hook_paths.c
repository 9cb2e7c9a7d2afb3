/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hook_paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct known {
    struct hash_link link; /* by node; first */
    struct vfs_node *node; /* one reference, whatever the peer has */
    struct known *parent;  /* NULL: the root */
    char *name;            /* NULL: there was no memory for it */
    uint64_t refs;         /* the peer's */
    uint64_t uses;         /* what is known below it, and open files */
};

struct open_file {
    struct hash_link link; /* by file; first */
    struct vfs_file *file;
    struct known *known;
};

/* ---- tables; the lock is held in all of these ---- */

static uint64_t hash_of(const void *object)
{
    return hash_mix((uint64_t)(uintptr_t)object, 0);
}

static struct known *find(const struct hook_paths *p, const struct vfs_node *node)
{
    struct hash_link *link = hash_first(&p->nodes, hash_of(node));
    while (link && ((struct known *)link)->node != node)
        link = hash_next(link);
    return (struct known *)link;
}

static struct open_file *find_file(const struct hook_paths *p, const struct vfs_file *file)
{
    struct hash_link *link = hash_first(&p->files, hash_of(file));
    while (link && ((struct open_file *)link)->file != file)
        link = hash_next(link);
    return (struct open_file *)link;
}

/* Drops what nobody refers to any more, and the directories above that are no longer needed for it. */
static void drop_unused(struct hook_paths *p, struct known *known)
{
    while (known && known->refs == 0 && known->uses == 0) {
        struct known *parent = known->parent;
        hash_remove(&p->nodes, &known->link);
        p->below->ops->forget(p->below, known->node);
        free(known->name);
        free(known);
        if (parent)
            parent->uses--;
        known = parent;
    }
}

/* Two moves on the host can be seen in the wrong order, so that a directory seems to lie in itself. */
static bool lies_in(const struct known *inner, const struct known *outer)
{
    while (inner && inner != outer)
        inner = inner->parent;
    return inner;
}

static void set_place(struct hook_paths *p, struct known *known, struct known *parent, const char *name)
{
    if (known->parent == parent && known->name && strcmp(known->name, name) == 0)
        return;
    if (lies_in(parent, known))
        return;
    struct known *old = known->parent;
    free(known->name);
    known->name = strdup(name);
    known->parent = parent;
    if (parent)
        parent->uses++;
    if (old) {
        old->uses--;
        drop_unused(p, old);
    }
}

static struct known *add(struct hook_paths *p, struct vfs_node *node)
{
    struct known *known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    known->node = node;
    hash_add(&p->nodes, &known->link, hash_of(node));
    return known;
}

/* ---- nodes ---- */

int hook_paths_enter(struct hook_paths *p, struct vfs_node *dir, const char *name, struct vfs_node *node)
{
    pthread_mutex_lock(&p->lock);
    struct known *parent = dir ? find(p, dir) : NULL;
    struct known *known = find(p, node);
    bool spare = known; /* it has its reference already */
    if (!known)
        known = add(p, node);
    if (known) {
        known->refs++;
        set_place(p, known, parent, name);
    }
    pthread_mutex_unlock(&p->lock);
    if (spare || !known)
        p->below->ops->forget(p->below, node);
    return known ? 0 : -ENOMEM;
}

void hook_paths_forget(struct hook_paths *p, struct vfs_node *node)
{
    pthread_mutex_lock(&p->lock);
    struct known *known = find(p, node);
    if (known && known->refs > 0) {
        known->refs--;
        drop_unused(p, known);
    }
    pthread_mutex_unlock(&p->lock);
}

void hook_paths_moved(struct hook_paths *p, struct vfs_node *dir, const char *name, struct vfs_node *node)
{
    pthread_mutex_lock(&p->lock);
    struct known *known = find(p, node), *parent = find(p, dir);
    if (known && parent)
        set_place(p, known, parent, name);
    pthread_mutex_unlock(&p->lock);
}

/* ---- files ---- */

int hook_paths_open(struct hook_paths *p, struct vfs_node *node, struct vfs_file *file)
{
    struct open_file *open = calloc(1, sizeof *open);
    if (!open)
        return -ENOMEM;
    pthread_mutex_lock(&p->lock);
    struct known *known = find(p, node);
    if (known) {
        *open = (struct open_file){.file = file, .known = known};
        known->uses++;
        hash_add(&p->files, &open->link, hash_of(file));
    }
    pthread_mutex_unlock(&p->lock);
    if (!known)
        free(open);
    return 0;
}

void hook_paths_release(struct hook_paths *p, struct vfs_file *file)
{
    pthread_mutex_lock(&p->lock);
    struct open_file *open = find_file(p, file);
    if (open) {
        hash_remove(&p->files, &open->link);
        open->known->uses--;
        drop_unused(p, open->known);
    }
    pthread_mutex_unlock(&p->lock);
    free(open);
}

/* ---- paths ---- */

/* Puts a name before what stands from *at on. */
static bool prepend(char *path, size_t *at, const char *name)
{
    size_t len = strlen(name), slash = path[*at] ? 1 : 0;
    if (len + slash > *at)
        return false;
    if (slash)
        path[--*at] = '/';
    *at -= len;
    memcpy(path + *at, name, len);
    return true;
}

static int write_path(const struct known *known, const char *name, char *path, size_t size)
{
    size_t at = size - 1;
    path[at] = '\0';
    if (!known)
        return -ESTALE;
    if (name && !prepend(path, &at, name))
        return -ENAMETOOLONG;
    for (; known->parent; known = known->parent) {
        if (!known->name)
            return -ESTALE;
        if (!prepend(path, &at, known->name))
            return -ENAMETOOLONG;
    }
    if (!path[at])
        prepend(path, &at, ".");
    memmove(path, path + at, size - at);
    return 0;
}

int hook_paths_of(struct hook_paths *p, struct vfs_node *node, const char *name, char *path, size_t size)
{
    pthread_mutex_lock(&p->lock);
    int rc = write_path(find(p, node), name, path, size);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int hook_paths_of_file(struct hook_paths *p, struct vfs_file *file, char *path, size_t size)
{
    pthread_mutex_lock(&p->lock);
    const struct open_file *open = find_file(p, file);
    int rc = write_path(open ? open->known : NULL, NULL, path, size);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* ---- all of it ---- */

int hook_paths_init(struct hook_paths *p, struct vfs *below)
{
    *p = (struct hook_paths){.below = below};
    pthread_mutex_init(&p->lock, NULL);
    int rc = hash_init(&p->nodes);
    return rc ? rc : hash_init(&p->files);
}

void hook_paths_fini(struct hook_paths *p)
{
    hash_fini(&p->nodes);
    hash_fini(&p->files);
    pthread_mutex_destroy(&p->lock);
}
