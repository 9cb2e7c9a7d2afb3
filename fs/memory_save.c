/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a tree in memory (fs/memory_state.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/memory_internal.h"
#include "fs/memory_state.h"

struct saving {
    FILE *out;
    struct vfs_node **list; /* the inodes in the order of the state */
    size_t count;
    uint64_t names;
};

static const struct memory_entry *next_living(const struct vfs_node *dir, size_t *at)
{
    while (*at < dir->names.count) {
        const struct memory_entry *entry = dir->names.list[(*at)++];
        if (!entry->dead)
            return entry;
    }
    return NULL;
}

static void put_in_order(struct saving *s, struct vfs_node *node)
{
    node->order = s->count;
    s->list[s->count++] = node;
}

static bool has_place(const struct saving *s, const struct vfs_node *node)
{
    return node->order < s->count && s->list[node->order] == node;
}

static void find_order(struct saving *s, struct vfs_node *root)
{
    put_in_order(s, root);
    for (size_t i = 0; i < s->count; i++) {
        const struct memory_entry *entry;
        for (size_t at = 0; S_ISDIR(s->list[i]->attr.mode) && (entry = next_living(s->list[i], &at)); s->names++) {
            if (!has_place(s, entry->node))
                put_in_order(s, entry->node);
        }
    }
}

static void save_xattrs(const struct vfs_node *node, FILE *out)
{
    for (const struct memory_xattr *x = node->xattrs; x; x = x->next) {
        const struct state_xattr record = {.name_len = (uint32_t)strlen(x->name), .size = (uint32_t)x->size};
        fwrite(&record, sizeof record, 1, out);
        fwrite(x->name, 1, record.name_len, out);
        fwrite(x->value, 1, record.size, out);
    }
}

static void save_pages(const struct vfs_node *node, FILE *out)
{
    for (size_t i = 0; i < node->pages.count; i++) {
        const struct state_page record = {.index = i};
        if (!node->pages.list[i])
            continue;
        fwrite(&record, sizeof record, 1, out);
        fwrite(node->pages.list[i], MEMORY_PAGE, 1, out);
    }
}

static size_t span_of(const struct vfs_node *node)
{
    size_t span = node->pages.count;
    while (span > 0 && !node->pages.list[span - 1])
        span--;
    return span;
}

static void count_contents(const struct vfs_node *node, struct state_inode *record)
{
    for (const struct memory_xattr *x = node->xattrs; x; x = x->next)
        record->xattrs++;
    if (S_ISDIR(node->attr.mode)) {
        record->size = node->names.last_cookie;
        record->count = node->names.count - node->names.dead;
    } else if (S_ISREG(node->attr.mode)) {
        record->count = node->attr.blocks / (MEMORY_PAGE / 512);
        record->span = span_of(node);
    }
}

static void save_inode(const struct vfs_node *node, FILE *out)
{
    const struct fuse_attr *attr = &node->attr;
    struct state_inode record = {
        .ino = attr->ino, .size = attr->size, .mode = attr->mode, .uid = attr->uid, .gid = attr->gid, .rdev = attr->rdev,
        .atime = attr->atime, .mtime = attr->mtime, .ctime = attr->ctime, .atimensec = attr->atimensec,
        .mtimensec = attr->mtimensec, .ctimensec = attr->ctimensec, .born_sec = node->born_sec,
        .born_nsec = node->born_nsec};
    count_contents(node, &record);
    fwrite(&record, sizeof record, 1, out);
    save_xattrs(node, out);
    if (S_ISREG(attr->mode))
        save_pages(node, out);
    else if (S_ISLNK(attr->mode))
        fwrite(node->target, 1, attr->size, out);
}

static void save_names(const struct saving *s, const struct vfs_node *dir, size_t *next)
{
    const struct memory_entry *entry;
    for (size_t at = 0; (entry = next_living(dir, &at));) {
        const struct state_name record = {
            .inode = entry->node->order, .cookie = entry->cookie, .len = (uint32_t)strlen(entry->name)};
        fwrite(&record, sizeof record, 1, s->out);
        fwrite(entry->name, 1, record.len, s->out);
        if (entry->node->order == *next) {
            save_inode(entry->node, s->out);
            ++*next;
        }
    }
}

static void save_tree(const struct saving *s, uint64_t last_ino)
{
    const struct state_header header = {
        .magic = MEMORY_STATE_MAGIC, .inodes = s->count, .names = s->names, .last_ino = last_ino};
    size_t next = 1;
    fwrite(&header, sizeof header, 1, s->out);
    save_inode(s->list[0], s->out);
    for (size_t i = 0; i < s->count && !ferror(s->out); i++) {
        if (S_ISDIR(s->list[i]->attr.mode))
            save_names(s, s->list[i], &next);
    }
}

int memory_save(struct vfs *memory, FILE *out)
{
    struct memory *m = memory_of(memory);
    pthread_mutex_lock(&m->lock);
    struct saving s = {.out = out, .list = calloc(m->inodes, sizeof(struct vfs_node *))};
    if (s.list) {
        find_order(&s, m->root);
        save_tree(&s, m->last_ino);
    }
    pthread_mutex_unlock(&m->lock);
    if (!s.list)
        return -ENOMEM;
    free(s.list);
    return fflush(out) == EOF || ferror(out) ? -EIO : 0;
}
