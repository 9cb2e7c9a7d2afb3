/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tools/treedump.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/vfs.h"

#define MUST(condition)                                                                              \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                                \
        }                                                                                           \
    } while (0)

enum { PIECE = 65536, LISTED_AT_ONCE = 3 };

struct dump {
    struct vfs *vfs;
    FILE *out;
    struct vfs_node **dirs; /* found and not yet read */
    size_t count, capacity;
    char piece[PIECE];
};

/* Whichever of its names the path is of, it has to lead there. */
static void check_path(struct dump *d, struct vfs_node *node)
{
    const struct vfs_ops *ops = d->vfs->ops;
    struct vfs_entry at;
    char path[PATH_MAX], *rest = path;
    int rc = ops->path(d->vfs, node, path, sizeof path);
    MUST(rc == 0 || rc == -ENAMETOOLONG);
    if (rc < 0)
        return;
    MUST(ops->root(d->vfs, &at) == 0);
    for (char *name; *path && (name = strsep(&rest, "/"));) {
        struct vfs_node *dir = at.node;
        MUST(ops->lookup(d->vfs, dir, name, &at) == 0);
        ops->forget(d->vfs, dir);
    }
    MUST(at.node == node);
    ops->forget(d->vfs, node);
}

static void dump_attributes(struct dump *d, struct vfs_node *node, const struct fuse_attr *a)
{
    struct vfs_identity id;
    check_path(d, node);
    MUST(d->vfs->ops->identify(d->vfs, node, &id) == 0 && id.ino == a->ino && id.type == (a->mode & S_IFMT));
    fprintf(d->out, "ino %" PRIx64 " size %" PRIu64 " blocks %" PRIu64 " blksize %u mode %o nlink %u owner %u:%u rdev %x\n",
            a->ino, a->size, a->blocks, a->blksize, a->mode, a->nlink, a->uid, a->gid, a->rdev);
    fprintf(d->out, "  flags %x atime %" PRIu64 ".%u mtime %" PRIu64 ".%u ctime %" PRIu64 ".%u\n", a->flags, a->atime,
            a->atimensec, a->mtime, a->mtimensec, a->ctime, a->ctimensec);
    fprintf(d->out, "  identity %" PRIu64 " %" PRId64 ".%u\n", id.dev, id.born_sec, id.born_nsec);
}

static void dump_xattrs(struct dump *d, struct vfs_node *node)
{
    static char value[PIECE];
    ssize_t size = d->vfs->ops->listxattr(d->vfs, node, d->piece, PIECE);
    MUST(size >= 0);
    for (const char *name = d->piece; name < d->piece + size; name += strlen(name) + 1) {
        ssize_t len = d->vfs->ops->getxattr(d->vfs, node, name, value, sizeof value);
        MUST(len >= 0);
        fprintf(d->out, "  xattr %s %zd ", name, len);
        fwrite(value, 1, (size_t)len, d->out);
    }
}

static void dump_extent(struct dump *d, struct vfs_file *file, uint64_t from, uint64_t to)
{
    fprintf(d->out, "  data %" PRIu64 "-%" PRIu64 " ", from, to);
    while (from < to) {
        size_t want = to - from < PIECE ? (size_t)(to - from) : PIECE;
        MUST(d->vfs->ops->read(d->vfs, file, d->piece, want, from, 0) == (ssize_t)want);
        fwrite(d->piece, 1, want, d->out);
        from += want;
    }
}

static void dump_data(struct dump *d, struct vfs_node *node)
{
    const struct vfs_ops *ops = d->vfs->ops;
    struct vfs_file *file;
    int64_t data, hole = 0;
    MUST(ops->open(d->vfs, node, O_RDONLY, 0, &file) == 0);
    while ((data = ops->lseek(d->vfs, file, (uint64_t)hole, SEEK_DATA)) >= 0) {
        hole = ops->lseek(d->vfs, file, (uint64_t)data, SEEK_HOLE);
        MUST(hole > data);
        dump_extent(d, file, (uint64_t)data, (uint64_t)hole);
    }
    MUST(data == -ENXIO);
    ops->release(d->vfs, file);
}

static void dump_target(struct dump *d, struct vfs_node *node)
{
    ssize_t len = d->vfs->ops->readlink(d->vfs, node, d->piece, PIECE);
    MUST(len >= 0);
    fprintf(d->out, "  target %zd ", len);
    fwrite(d->piece, 1, (size_t)len, d->out);
}

/* Takes the reference, a directory's until it is read. */
static void dump_node(struct dump *d, const struct vfs_entry *entry)
{
    dump_attributes(d, entry->node, &entry->attr);
    dump_xattrs(d, entry->node);
    if (S_ISREG(entry->attr.mode))
        dump_data(d, entry->node);
    else if (S_ISLNK(entry->attr.mode))
        dump_target(d, entry->node);
    if (!S_ISDIR(entry->attr.mode)) {
        d->vfs->ops->forget(d->vfs, entry->node);
        return;
    }
    if (d->count == d->capacity) {
        d->capacity = 2 * d->capacity + 64;
        d->dirs = reallocarray(d->dirs, d->capacity, sizeof(struct vfs_node *));
        MUST(d->dirs);
    }
    d->dirs[d->count++] = entry->node;
}

struct listing {
    struct vfs_dirent entries[LISTED_AT_ONCE];
    char names[LISTED_AT_ONCE][256];
    unsigned count;
};

static int take_entry(void *data, const struct vfs_dirent *entry)
{
    struct listing *l = data;
    if (l->count == LISTED_AT_ONCE)
        return 1;
    MUST(entry->len > 0 && entry->len < sizeof l->names[0]);
    memcpy(l->names[l->count], entry->name, entry->len);
    l->names[l->count][entry->len] = '\0';
    l->entries[l->count++] = *entry;
    return 0;
}

static void dump_entry(struct dump *d, struct vfs_node *dir, const char *name, const struct vfs_dirent *entry)
{
    struct vfs_entry found;
    fprintf(d->out, "  entry %s %" PRIx64 " %u %" PRIu64 "\n", name, entry->ino, entry->type, entry->next);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    MUST(d->vfs->ops->lookup(d->vfs, dir, name, &found) == 0 && found.attr.ino == entry->ino);
    dump_node(d, &found);
}

static void dump_directory(struct dump *d, struct vfs_node *dir)
{
    struct listing listing;
    struct vfs_file *file;
    uint64_t offset = 0;
    MUST(d->vfs->ops->opendir(d->vfs, dir, &file) == 0);
    do {
        listing.count = 0;
        MUST(d->vfs->ops->readdir(d->vfs, file, offset, take_entry, &listing) == 0);
        for (unsigned i = 0; i < listing.count; i++) {
            MUST(listing.entries[i].next > offset);
            offset = listing.entries[i].next;
            dump_entry(d, dir, listing.names[i], &listing.entries[i]);
        }
    } while (listing.count > 0);
    d->vfs->ops->release(d->vfs, file);
}

uint8_t *tree_dump(struct vfs *vfs, size_t *len)
{
    struct dump *d = calloc(1, sizeof *d);
    struct vfs_entry root;
    char *bytes = NULL;
    MUST(d);
    d->vfs = vfs;
    d->out = open_memstream(&bytes, len);
    MUST(d->out && vfs->ops->root(vfs, &root) == 0);
    dump_node(d, &root);
    for (size_t i = 0; i < d->count; i++) {
        dump_directory(d, d->dirs[i]);
        vfs->ops->forget(vfs, d->dirs[i]);
    }
    MUST(fclose(d->out) == 0);
    free(d->dirs);
    free(d);
    return (uint8_t *)bytes;
}
