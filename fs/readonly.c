/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/stacked.h"

static int no_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, const struct fuse_setattr_in *set,
                      struct fuse_attr *out)
{
    (void)vfs, (void)node, (void)file, (void)set, (void)out;
    return -EROFS;
}

static int no_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                    uint32_t rdev, struct vfs_entry *out)
{
    (void)vfs, (void)cred, (void)dir, (void)name, (void)mode, (void)rdev, (void)out;
    return -EROFS;
}

static int no_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                    struct vfs_entry *out)
{
    (void)vfs, (void)cred, (void)dir, (void)name, (void)mode, (void)out;
    return -EROFS;
}

static int no_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                      const char *target, struct vfs_entry *out)
{
    (void)vfs, (void)cred, (void)dir, (void)name, (void)target, (void)out;
    return -EROFS;
}

static int no_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name,
                   struct vfs_entry *out)
{
    (void)vfs, (void)node, (void)dir, (void)name, (void)out;
    return -EROFS;
}

static int no_remove(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    (void)vfs, (void)dir, (void)name;
    return -EROFS;
}

static int no_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                     const char *new_name, uint32_t flags)
{
    (void)vfs, (void)dir, (void)name, (void)new_dir, (void)new_name, (void)flags;
    return -EROFS;
}

static int no_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                     uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    (void)vfs, (void)cred, (void)dir, (void)name, (void)mode, (void)flags, (void)how, (void)out, (void)file;
    return -EROFS;
}

static int open_to_read(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || (how & VFS_KILL_SUIDGID))
        return -EROFS;
    return stacked_below(vfs)->ops->open(stacked_below(vfs), node, flags, how, file);
}

static ssize_t no_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                        unsigned how)
{
    (void)vfs, (void)file, (void)buf, (void)size, (void)offset, (void)how;
    return -EROFS;
}

static int no_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    (void)vfs, (void)file, (void)mode, (void)offset, (void)length;
    return -EROFS;
}

static ssize_t no_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                       uint64_t offset_out, size_t length)
{
    (void)vfs, (void)in, (void)offset_in, (void)out, (void)offset_out, (void)length;
    return -EROFS;
}

static int no_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                       int flags)
{
    (void)vfs, (void)node, (void)name, (void)value, (void)size, (void)flags;
    return -EROFS;
}

static int no_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    (void)vfs, (void)node, (void)name;
    return -EROFS;
}

struct vfs *readonly_new(struct vfs *below)
{
    struct stacked *readonly = calloc(1, sizeof *readonly);
    if (!readonly)
        return NULL;
    stacked_init(readonly, below);
    struct vfs_ops *ops = &readonly->ops;
    ops->setattr = no_setattr;
    ops->mknod = no_mknod;
    ops->mkdir = no_mkdir;
    ops->symlink = no_symlink;
    ops->link = no_link;
    ops->unlink = ops->rmdir = no_remove;
    ops->rename = no_rename;
    ops->create = no_create;
    ops->open = open_to_read;
    ops->write = no_write;
    ops->fallocate = no_fallocate;
    ops->copy = no_copy;
    ops->setxattr = no_setxattr;
    ops->removexattr = no_removexattr;
    return &readonly->vfs;
}
