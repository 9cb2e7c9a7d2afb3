/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/shadow.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/hostdir.h"
#include "fs/patterns.h"
#include "fs/shadow_internal.h"

/* The directory in memory that holds what is made in a host directory bears that one's inode number. */
struct upper_name {
    char text[24];
};

static struct shadow *shadow_of(struct vfs *vfs)
{
    return (struct shadow *)vfs;
}

/* The provider that a node or file comes from: all that lies below something in memory is in memory. */
static struct vfs *home(const void *member)
{
    return ((const struct vfs_member *)member)->vfs;
}

static bool in_memory(const struct shadow *s, const void *member)
{
    return s->memory && home(member) == s->memory;
}

#define AT_HOME(op, member, ...) (home(member)->ops->op(home(member), member, __VA_ARGS__))

/* ---- what is hidden ---- */

static char judge(const struct shadow *s, struct vfs_node *dir, const char *name)
{
    char path[PATH_MAX] = "";
    if (in_memory(s, dir))
        return 0;
    if (patterns_need_path(s->patterns) && hostdir_path(s->stacked.below, dir, path, sizeof path) < 0)
        return SHADOW_HIDDEN; /* moved out of the tree: nobody can tell */
    return patterns_match(s->patterns, path, name);
}

static bool cannot_move(const struct shadow *s, struct vfs_node *dir, const char *name)
{
    char path[PATH_MAX] = "";
    if (in_memory(s, dir) || !patterns_need_path(s->patterns))
        return false;
    return hostdir_path(s->stacked.below, dir, path, sizeof path) < 0 || patterns_pass_through(s->patterns, path, name);
}

/* ---- the directory in memory that belongs to a host directory ---- */

static struct upper_name upper_name(const struct shadow *s, struct vfs_node *dir)
{
    struct upper_name name = {""};
    struct fuse_attr attr;
    if (s->stacked.below->ops->getattr(s->stacked.below, dir, NULL, &attr) == 0)
        snprintf(name.text, sizeof name.text, "%llx", (unsigned long long)attr.ino);
    return name;
}

int shadow_upper_of(const struct shadow *s, struct vfs_node *dir, bool make, struct vfs_node **out)
{
    static const struct vfs_cred root = {.umask = 0};
    const struct vfs_ops *ops = s->memory->ops;
    struct upper_name name = upper_name(s, dir);
    struct vfs_entry top, entry;
    if (!name.text[0])
        return -EIO;
    int rc = ops->root(s->memory, &top);
    if (rc < 0)
        return rc;
    rc = ops->lookup(s->memory, top.node, name.text, &entry);
    if (rc == -ENOENT && make) {
        rc = ops->mkdir(s->memory, &root, top.node, name.text, 0777, &entry);
        rc = rc == -EEXIST ? ops->lookup(s->memory, top.node, name.text, &entry) : rc;
    }
    ops->forget(s->memory, top.node);
    if (rc == 0)
        *out = entry.node;
    return rc;
}

void shadow_upper_done(const struct shadow *s, struct vfs_node *upper)
{
    s->memory->ops->forget(s->memory, upper);
}

/* Where a name is to be looked for or made: *where is the directory and *vfs its provider. `upper` is to be given to
 * place_done. 0, or -errno: `hidden` for names that are not there. */
struct place {
    struct vfs *vfs;
    struct vfs_node *dir, *upper;
};

static int find_place(struct shadow *s, struct vfs_node *dir, const char *name, bool make, int hidden, struct place *out)
{
    *out = (struct place){.vfs = home(dir), .dir = dir};
    switch (judge(s, dir, name)) {
    case 0:
        return 0;
    case SHADOW_MEMORY: {
        int rc = shadow_upper_of(s, dir, make, &out->upper);
        out->vfs = s->memory;
        out->dir = out->upper;
        return rc;
    }
    default:
        return hidden;
    }
}

static void place_done(const struct shadow *s, const struct place *place)
{
    if (place->upper)
        shadow_upper_done(s, place->upper);
}

#define IN_PLACE(make, hidden, call)                                    \
    __extension__({                                                     \
        struct place place;                                             \
        int rc_ = find_place(shadow_of(vfs), dir, name, make, hidden, &place); \
        if (rc_ == 0)                                                   \
            rc_ = (call);                                               \
        place_done(shadow_of(vfs), &place);                             \
        rc_;                                                            \
    })

/* ---- names ---- */

static int shadow_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    return IN_PLACE(false, -ENOENT, place.vfs->ops->lookup(place.vfs, place.dir, name, out));
}

static int shadow_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, uint32_t rdev, struct vfs_entry *out)
{
    return IN_PLACE(true, -EACCES, place.vfs->ops->mknod(place.vfs, cred, place.dir, name, mode, rdev, out));
}

static int shadow_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, struct vfs_entry *out)
{
    return IN_PLACE(true, -EACCES, place.vfs->ops->mkdir(place.vfs, cred, place.dir, name, mode, out));
}

static int shadow_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                          const char *target, struct vfs_entry *out)
{
    return IN_PLACE(true, -EACCES, place.vfs->ops->symlink(place.vfs, cred, place.dir, name, target, out));
}

static int shadow_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                         uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    return IN_PLACE(true, -EACCES,
                    place.vfs->ops->create(place.vfs, cred, place.dir, name, mode, flags, how, out, file));
}

static int shadow_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name,
                       struct vfs_entry *out)
{
    return IN_PLACE(true, -EACCES,
                    place.vfs == home(node) ? place.vfs->ops->link(place.vfs, node, place.dir, name, out) : -EXDEV);
}

static int shadow_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return IN_PLACE(false, -ENOENT, place.vfs->ops->unlink(place.vfs, place.dir, name));
}

/* A host directory takes what is in memory for it along, if that is nothing. */
static int remove_upper(const struct shadow *s, struct vfs_node *dir, const char *name)
{
    struct vfs_entry entry, top;
    if (!s->memory || in_memory(s, dir))
        return 0;
    if (home(dir)->ops->lookup(home(dir), dir, name, &entry) < 0)
        return 0; /* the caller finds out */
    struct upper_name upper = upper_name(s, entry.node);
    home(dir)->ops->forget(home(dir), entry.node);
    int rc = s->memory->ops->root(s->memory, &top);
    if (rc < 0)
        return rc;
    rc = s->memory->ops->rmdir(s->memory, top.node, upper.text);
    s->memory->ops->forget(s->memory, top.node);
    return rc == -ENOTEMPTY ? rc : 0;
}

static int remove_directory(struct shadow *s, const struct place *place, const char *name)
{
    int rc = place->upper ? 0 : remove_upper(s, place->dir, name);
    return rc < 0 ? rc : place->vfs->ops->rmdir(place->vfs, place->dir, name);
}

static int shadow_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return IN_PLACE(false, -ENOENT, remove_directory(shadow_of(vfs), &place, name));
}

static int shadow_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                         const char *new_name, uint32_t flags)
{
    struct shadow *s = shadow_of(vfs);
    struct place from, to = {0};
    if (cannot_move(s, dir, name) || cannot_move(s, new_dir, new_name))
        return -EACCES;
    int rc = find_place(s, dir, name, false, -ENOENT, &from);
    rc = rc < 0 ? rc : find_place(s, new_dir, new_name, true, -EACCES, &to);
    if (rc == 0)
        rc = from.vfs == to.vfs ? from.vfs->ops->rename(from.vfs, from.dir, name, to.dir, new_name, flags) : -EXDEV;
    place_done(s, &from);
    place_done(s, &to);
    return rc;
}

/* ---- nodes and files: each to its own provider ---- */

static void shadow_forget(struct vfs *vfs, struct vfs_node *node)
{
    (void)vfs;
    home(node)->ops->forget(home(node), node);
}

static int shadow_getattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out)
{
    (void)vfs;
    return AT_HOME(getattr, node, file, out);
}

static int shadow_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                          const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    (void)vfs;
    return AT_HOME(setattr, node, file, set, out);
}

static ssize_t shadow_readlink(struct vfs *vfs, struct vfs_node *node, char *target, size_t size)
{
    (void)vfs;
    return AT_HOME(readlink, node, target, size);
}

static int shadow_statfs(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out)
{
    (void)vfs;
    return AT_HOME(statfs, node, out);
}

static int shadow_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    (void)vfs;
    return AT_HOME(open, node, flags, how, file);
}

static ssize_t shadow_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    (void)vfs;
    return AT_HOME(read, file, buf, size, offset, how);
}

static ssize_t shadow_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                            unsigned how)
{
    (void)vfs;
    return AT_HOME(write, file, buf, size, offset, how);
}

static int shadow_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    (void)vfs;
    return AT_HOME(fallocate, file, mode, offset, length);
}

static int64_t shadow_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence)
{
    (void)vfs;
    return AT_HOME(lseek, file, offset, whence);
}

static ssize_t shadow_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                           uint64_t offset_out, size_t length)
{
    (void)vfs;
    return home(in) == home(out) ? AT_HOME(copy, in, offset_in, out, offset_out, length) : -EXDEV;
}

static int shadow_lock_open(struct vfs *vfs, struct vfs_node *node)
{
    (void)vfs;
    return home(node)->ops->lock_open(home(node), node);
}

static int shadow_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                           int flags)
{
    (void)vfs;
    return AT_HOME(setxattr, node, name, value, size, flags);
}

static ssize_t shadow_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size)
{
    (void)vfs;
    return AT_HOME(getxattr, node, name, value, size);
}

static ssize_t shadow_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size)
{
    (void)vfs;
    return AT_HOME(listxattr, node, list, size);
}

static int shadow_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    (void)vfs;
    return AT_HOME(removexattr, node, name);
}

static int upper_path(const struct shadow *s, struct vfs_node *node, char *path, size_t size)
{
    char whole[PATH_MAX], *end;
    int rc = s->memory->ops->path(s->memory, node, whole, sizeof whole);
    if (rc < 0)
        return rc;
    uint64_t ino = strtoull(whole, &end, 16);
    struct vfs_node *dir = *end == '/' ? hostdir_find_shown(s->stacked.below, ino) : NULL;
    if (!dir)
        return -ENOENT;
    rc = hostdir_path(s->stacked.below, dir, path, size);
    s->stacked.below->ops->forget(s->stacked.below, dir);
    size_t len = rc < 0 ? 0 : strlen(path);
    const char *below = len ? end : end + 1;
    if (rc == 0 && strlen(below) >= size - len)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        strcpy(path + len, below);
    return rc;
}

static int shadow_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size)
{
    struct shadow *s = shadow_of(vfs);
    return in_memory(s, node) ? upper_path(s, node, path, size) : AT_HOME(path, node, path, size);
}

static int shadow_identify(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out)
{
    (void)vfs;
    return AT_HOME(identify, node, out);
}

static int shadow_save(struct vfs *vfs, FILE *out)
{
    const struct shadow *s = shadow_of(vfs);
    return s->memory ? s->memory->ops->save(s->memory, out) : 0;
}

static int shadow_load(struct vfs *vfs, const uint8_t *state, size_t len)
{
    const struct shadow *s = shadow_of(vfs);
    return s->memory ? s->memory->ops->load(s->memory, state, len) : len ? -EPROTO : 0;
}

bool shadow_hides(const struct shadow *s, struct vfs_node *dir, const char *name)
{
    return judge(s, dir, name) != 0;
}

static void set_operations(struct vfs_ops *ops)
{
    ops->forget = shadow_forget;
    ops->lookup = shadow_lookup;
    ops->getattr = shadow_getattr;
    ops->setattr = shadow_setattr;
    ops->readlink = shadow_readlink;
    ops->statfs = shadow_statfs;
    ops->mknod = shadow_mknod;
    ops->mkdir = shadow_mkdir;
    ops->symlink = shadow_symlink;
    ops->create = shadow_create;
    ops->link = shadow_link;
    ops->unlink = shadow_unlink;
    ops->rmdir = shadow_rmdir;
    ops->rename = shadow_rename;
    ops->open = shadow_open;
    ops->read = shadow_read;
    ops->write = shadow_write;
    ops->fallocate = shadow_fallocate;
    ops->lseek = shadow_lseek;
    ops->copy = shadow_copy;
    ops->path = shadow_path;
    ops->identify = shadow_identify;
    ops->save = shadow_save;
    ops->load = shadow_load;
    ops->lock_open = shadow_lock_open;
    ops->setxattr = shadow_setxattr;
    ops->getxattr = shadow_getxattr;
    ops->listxattr = shadow_listxattr;
    ops->removexattr = shadow_removexattr;
    ops->opendir = shadow_opendir;
    ops->release = shadow_release;
    ops->readdir = shadow_readdir;
    ops->fsync = shadow_fsync;
}

struct vfs *shadow_new(struct vfs *hostdir, struct vfs *memory, const char *lines)
{
    struct shadow *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->patterns = patterns_new(lines);
    if (!s->patterns || (patterns_have(s->patterns, SHADOW_MEMORY) && !memory)) {
        if (s->patterns)
            errno = EINVAL;
        free(s);
        return NULL;
    }
    s->memory = memory;
    stacked_init(&s->stacked, hostdir);
    set_operations(&s->stacked.ops);
    return &s->stacked.vfs;
}
