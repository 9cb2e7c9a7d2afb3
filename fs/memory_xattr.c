/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/memory_internal.h"

bool memory_xattr_name_is_good(const char *name)
{
    return strncmp(name, "user.", 5) == 0;
}

/* Where it is, or has to be put. */
static struct memory_xattr **slot_of(struct vfs_node *node, const char *name)
{
    struct memory_xattr **at = &node->xattrs;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    return at;
}

static bool is_there(struct memory_xattr *const *slot, const char *name)
{
    return *slot && strcmp((*slot)->name, name) == 0;
}

static size_t names_size(const struct vfs_node *node)
{
    size_t size = 0;
    for (const struct memory_xattr *x = node->xattrs; x; x = x->next)
        size += strlen(x->name) + 1;
    return size;
}

static size_t values_size(const struct vfs_node *node)
{
    size_t size = 0;
    for (const struct memory_xattr *x = node->xattrs; x; x = x->next)
        size += x->size;
    return size;
}

static uint64_t cost(const char *name, size_t size)
{
    return MEMORY_XATTR_COST + strlen(name) + size;
}

static void drop(struct memory *m, struct memory_xattr **slot)
{
    struct memory_xattr *xattr = *slot;
    *slot = xattr->next;
    memory_give(m, cost(xattr->name, xattr->size));
    free(xattr->value);
    free(xattr);
}

void memory_xattrs_free(struct memory *m, struct vfs_node *node)
{
    while (node->xattrs)
        drop(m, &node->xattrs);
}

int memory_xattr_put(struct memory *m, struct memory_xattr **slot, const char *name, const void *value, size_t size)
{
    int rc = memory_take(m, cost(name, size));
    if (rc < 0)
        return rc;
    struct memory_xattr *xattr = malloc(sizeof *xattr + strlen(name) + 1);
    void *copy = malloc(size ? size : 1);
    if (!xattr || !copy) {
        free(xattr);
        free(copy);
        memory_give(m, cost(name, size));
        return -ENOMEM;
    }
    if (size)
        memcpy(copy, value, size);
    *xattr = (struct memory_xattr){.next = *slot, .size = size, .value = copy};
    strcpy(xattr->name, name);
    *slot = xattr;
    return 0;
}

static int set_locked(struct memory *m, struct vfs_node *node, const char *name, const void *value, size_t size, int flags)
{
    struct memory_xattr **slot = slot_of(node, name);
    bool replaces = is_there(slot, name);
    if (replaces ? flags & XATTR_CREATE : flags & XATTR_REPLACE)
        return replaces ? -EEXIST : -ENODATA;
    size_t others = names_size(node) + values_size(node) - (replaces ? strlen(name) + 1 + (*slot)->size : 0);
    int rc = others + strlen(name) + 1 + size > MEMORY_XATTRS_LIMIT ? -ENOSPC : 0;
    rc = rc ? rc : memory_xattr_put(m, slot, name, value, size);
    if (rc < 0)
        return rc;
    if (replaces) /* the old one comes after it */
        drop(m, &(*slot)->next);
    memory_touch(node, false);
    return 0;
}

int memory_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size, int flags)
{
    struct memory *m = memory_of(vfs);
    if (!memory_xattr_name_is_good(name))
        return -EOPNOTSUPP;
    pthread_mutex_lock(&m->lock);
    int rc = set_locked(m, node, name, value, size, flags);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

ssize_t memory_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    struct memory_xattr *const *slot = slot_of(node, name);
    bool found = is_there(slot, name);
    ssize_t rc = found ? (ssize_t)(*slot)->size : -ENODATA;
    if (found && size > 0 && (*slot)->size > size)
        rc = -ERANGE;
    else if (found && size > 0)
        memcpy(value, (*slot)->value, (*slot)->size);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

ssize_t memory_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    size_t needed = names_size(node), used = 0;
    for (const struct memory_xattr *x = node->xattrs; x && needed <= size; x = x->next) {
        size_t len = strlen(x->name) + 1;
        memcpy(list + used, x->name, len);
        used += len;
    }
    pthread_mutex_unlock(&m->lock);
    return size > 0 && needed > size ? -ERANGE : (ssize_t)needed;
}

int memory_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    struct memory_xattr **slot = slot_of(node, name);
    int rc = is_there(slot, name) ? 0 : -ENODATA;
    if (rc == 0) {
        drop(m, slot);
        memory_touch(node, false);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}
