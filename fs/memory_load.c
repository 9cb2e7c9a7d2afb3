/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a tree into memory (fs/memory_state.h). It may come from anywhere: all of it is looked at before it is used, it
 * counts in the limit from its first byte, and nothing goes as deep as the tree. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/input.h"
#include "fs/memory_internal.h"
#include "fs/memory_state.h"

/* Far from where counting on from them would come to an end, or not fit into the protocol. */
#define NUMBER_LIMIT (UINT64_C(1) << 62)

/* An inode by its place in the state. */
struct found {
    struct vfs_node *node;
    uint64_t names; /* still to come, of a directory */
};

struct loading {
    struct memory *m;
    struct input in;
    struct state_header header;
    struct found *found;
    uint64_t count, names; /* so far */
};

/* What an inode of its type may have, and a provider in memory would not refuse to make. */
static bool is_possible(const struct loading *l, const struct state_inode *r)
{
    uint32_t type = r->mode & S_IFMT;
    bool is_known = type == S_IFDIR || type == S_IFREG || type == S_IFLNK || type == S_IFIFO || type == S_IFSOCK;
    if (!is_known || (r->mode & ~(uint32_t)(S_IFMT | 07777)) || r->reserved)
        return false;
    if (r->ino <= MEMORY_FIRST_INO || r->ino > l->header.last_ino)
        return false;
    if ((type != S_IFDIR && type != S_IFREG && r->count) || (type != S_IFREG && r->span))
        return false;
    switch (type) {
    case S_IFDIR:
        return r->size >= MEMORY_DOT_COOKIES && r->size < NUMBER_LIMIT;
    case S_IFREG:
        return true; /* the pages themselves say more */
    case S_IFLNK:
        return r->size > 0 && r->size < PATH_MAX;
    default:
        return r->size == 0;
    }
}

static void set_attributes(struct vfs_node *node, const struct state_inode *r)
{
    struct fuse_attr *attr = &node->attr;
    attr->ino = r->ino;
    attr->mode = r->mode;
    attr->uid = r->uid;
    attr->gid = r->gid;
    attr->rdev = r->rdev;
    attr->atime = r->atime;
    attr->mtime = r->mtime;
    attr->ctime = r->ctime;
    attr->atimensec = r->atimensec;
    attr->mtimensec = r->mtimensec;
    attr->ctimensec = r->ctimensec;
    node->born_sec = r->born_sec;
    node->born_nsec = r->born_nsec;
}

/* A name of `len` bytes, NUL-terminated. */
static bool take_name(struct input *in, uint32_t len, char name[NAME_MAX + 1])
{
    if (len == 0 || len > NAME_MAX || !input_take(in, name, len))
        return false;
    name[len] = '\0';
    return strlen(name) == len;
}

static int load_xattrs(struct loading *l, struct vfs_node *node, uint32_t count)
{
    struct memory_xattr **slot = &node->xattrs;
    char last[NAME_MAX + 1] = "", name[NAME_MAX + 1];
    size_t total = 0;
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct state_xattr record;
        if (!input_take(&l->in, &record, sizeof record) || !take_name(&l->in, record.name_len, name) ||
            !memory_xattr_name_is_good(name) || strcmp(name, last) <= 0 || record.size > MEMORY_XATTRS_LIMIT)
            return -EPROTO;
        const uint8_t *value = input_skip(&l->in, record.size);
        total += record.name_len + 1 + record.size;
        if (!value || total > MEMORY_XATTRS_LIMIT)
            return -EPROTO;
        strcpy(last, name);
        rc = memory_xattr_put(l->m, slot, name, value, record.size);
        if (rc == 0)
            slot = &(*slot)->next;
    }
    return rc;
}

/* *next: the first index that is not before or at that of the last page. */
static int load_page(struct loading *l, struct vfs_node *node, uint64_t *next)
{
    struct state_page record;
    int rc = 0;
    if (!input_take(&l->in, &record, sizeof record) || record.index < *next || record.index >= node->pages.count)
        return -EPROTO;
    const uint8_t *data = input_skip(&l->in, MEMORY_PAGE);
    if (!data)
        return -EPROTO;
    uint8_t *page = memory_page_at(l->m, node, (size_t)record.index, &rc);
    if (page)
        memcpy(page, data, MEMORY_PAGE);
    *next = record.index + 1;
    return rc;
}

static int load_pages(struct loading *l, struct vfs_node *node, const struct state_inode *r)
{
    uint64_t next = 0;
    if (r->count > l->in.left / (sizeof(struct state_page) + MEMORY_PAGE))
        return -EPROTO;
    if (memory_too_long(l->m, r->size) || r->span > l->m->size / sizeof *node->pages.list)
        return -ENOSPC;
    node->attr.size = r->size;
    int rc = r->span ? memory_lengthen(l->m, node, (size_t)r->span) : 0;
    for (uint64_t i = 0; i < r->count && rc == 0; i++)
        rc = load_page(l, node, &next);
    return rc == 0 && next != r->span ? -EPROTO : rc;
}

static int load_target(struct loading *l, struct vfs_node *node, const struct state_inode *r)
{
    const uint8_t *target = input_skip(&l->in, (size_t)r->size);
    if (!target || memchr(target, 0, (size_t)r->size))
        return -EPROTO;
    return memory_set_target(l->m, node, (const char *)target, (size_t)r->size);
}

static int load_contents(struct loading *l, struct vfs_node *node, const struct state_inode *r)
{
    int rc = load_xattrs(l, node, r->xattrs);
    if (rc < 0)
        return rc;
    if (S_ISDIR(r->mode))
        node->names.last_cookie = r->size;
    return S_ISREG(r->mode) ? load_pages(l, node, r) : S_ISLNK(r->mode) ? load_target(l, node, r) : 0;
}

/* The next inode of the state, with a reference. The first one is the root. */
static int load_inode(struct loading *l, struct vfs_node **out)
{
    static const struct vfs_cred nobody = {.umask = 0};
    struct vfs_node *node = l->m->root;
    struct state_inode r;
    int rc = 0;
    if (l->count == l->header.inodes || !input_take(&l->in, &r, sizeof r) || !is_possible(l, &r))
        return -EPROTO;
    if (l->count > 0)
        node = memory_node_new(l->m, &nobody, NULL, r.mode, &rc);
    else if (r.ino == node->attr.ino && S_ISDIR(r.mode))
        node->refs++;
    else
        return -EPROTO;
    if (!node)
        return rc;
    set_attributes(node, &r);
    rc = load_contents(l, node, &r);
    if (rc < 0) {
        memory_unref(l->m, node);
        return rc;
    }
    l->found[l->count++] = (struct found){.node = node, .names = S_ISDIR(r.mode) ? r.count : 0};
    *out = node;
    return 0;
}

/* What a name leads to, with a reference. Only what is no directory has names besides its first one. */
static int load_named(struct loading *l, uint64_t inode, struct vfs_node **out)
{
    if (inode == l->count)
        return load_inode(l, out);
    if (inode > l->count || S_ISDIR(l->found[inode].node->attr.mode))
        return -EPROTO;
    *out = l->found[inode].node;
    (*out)->refs++;
    return 0;
}

static bool is_name(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

static int load_name(struct loading *l, struct vfs_node *dir, uint64_t *last_cookie)
{
    struct state_name record;
    struct vfs_node *node;
    char name[NAME_MAX + 1];
    if (!input_take(&l->in, &record, sizeof record) || !take_name(&l->in, record.len, name) || !is_name(name) ||
        record.reserved || record.cookie <= *last_cookie || record.cookie > dir->names.last_cookie)
        return -EPROTO;
    int rc = load_named(l, record.inode, &node);
    if (rc < 0)
        return rc;
    rc = memory_enter(l->m, dir, name, record.cookie, node);
    memory_unref(l->m, node); /* its name holds it */
    *last_cookie = record.cookie;
    l->names++;
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct memory_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* By sorting: how long that takes is not up to whoever has chosen the names, as it would be with a hash. */
static int check_that_names_differ(const struct vfs_node *dir)
{
    size_t count = dir->names.count;
    struct memory_entry **sorted = calloc(count ? count : 1, sizeof *sorted);
    int rc = sorted ? 0 : -ENOMEM;
    if (sorted && count)
        memcpy(sorted, dir->names.list, count * sizeof *sorted);
    if (sorted)
        qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 1; i < count && rc == 0; i++) {
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            rc = -EPROTO;
    }
    free(sorted);
    return rc;
}

static int load_names(struct loading *l, const struct found *dir)
{
    uint64_t last_cookie = MEMORY_DOT_COOKIES;
    int rc = 0;
    for (uint64_t i = 0; i < dir->names && rc == 0; i++)
        rc = load_name(l, dir->node, &last_cookie);
    return rc < 0 || dir->names == 0 ? rc : check_that_names_differ(dir->node);
}

static int by_ino(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->node->attr.ino > y->node->attr.ino) - (x->node->attr.ino < y->node->attr.ino);
}

/* Whether the state was what its header says, and no number is there twice. */
static bool is_consistent(struct loading *l)
{
    if (l->in.left || l->count != l->header.inodes || l->names != l->header.names)
        return false;
    qsort(l->found, l->count, sizeof *l->found, by_ino);
    for (uint64_t i = 1; i < l->count; i++) {
        if (by_ino(&l->found[i - 1], &l->found[i]) == 0)
            return false;
    }
    return true;
}

static int load_tree(struct loading *l)
{
    struct vfs_node *root;
    int rc = load_inode(l, &root);
    if (rc < 0)
        return rc;
    memory_unref(l->m, root);
    for (uint64_t i = 0; i < l->count && rc == 0; i++)
        rc = load_names(l, &l->found[i]);
    return rc == 0 && !is_consistent(l) ? -EPROTO : rc;
}

static int load(struct loading *l)
{
    struct state_header *header = &l->header;
    if (!input_take(&l->in, header, sizeof *header) ||
        memcmp(header->magic, MEMORY_STATE_MAGIC, sizeof header->magic) != 0 || header->last_ino >= NUMBER_LIMIT ||
        header->inodes == 0 || header->inodes > l->in.left / sizeof(struct state_inode))
        return -EPROTO;
    if (header->inodes > l->m->size / MEMORY_INODE_COST)
        return -ENOSPC;
    l->found = calloc(header->inodes, sizeof *l->found);
    int rc = l->found ? load_tree(l) : -ENOMEM;
    free(l->found);
    return rc;
}

static int load_locked(struct memory *m, const uint8_t *state, size_t len)
{
    struct loading l = {.m = m, .in = {state, len}};
    const struct vfs_node root = *m->root;
    const uint64_t last_ino = m->last_ino;
    if (last_ino != root.attr.ino || root.xattrs)
        return -EBUSY;
    int rc = load(&l);
    if (rc < 0) {
        memory_names_clear(m);
        memory_xattrs_free(m, m->root);
        *m->root = root;
    }
    m->last_ino = rc < 0 ? last_ino : l.header.last_ino;
    return rc;
}

int memory_load(struct vfs *memory, const uint8_t *state, size_t len)
{
    struct memory *m = memory_of(memory);
    pthread_mutex_lock(&m->lock);
    int rc = load_locked(m, state, len);
    pthread_mutex_unlock(&m->lock);
    return rc;
}
