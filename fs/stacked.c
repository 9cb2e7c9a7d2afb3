/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stacked.h"

#include <errno.h>

#define BELOW(op, ...) (stacked_below(vfs)->ops->op(stacked_below(vfs), __VA_ARGS__))

static int pass_root(struct vfs *vfs, struct vfs_entry *out)
{
    return BELOW(root, out);
}

static void pass_forget(struct vfs *vfs, struct vfs_node *node)
{
    BELOW(forget, node);
}

static int pass_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    return BELOW(lookup, dir, name, out);
}

static int pass_getattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out)
{
    return BELOW(getattr, node, file, out);
}

static int pass_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                        const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    return BELOW(setattr, node, file, set, out);
}

static ssize_t pass_readlink(struct vfs *vfs, struct vfs_node *node, char *target, size_t size)
{
    return BELOW(readlink, node, target, size);
}

static int pass_statfs(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out)
{
    return BELOW(statfs, node, out);
}

static int pass_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                      uint32_t mode, uint32_t rdev, struct vfs_entry *out)
{
    return BELOW(mknod, cred, dir, name, mode, rdev, out);
}

static int pass_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                      uint32_t mode, struct vfs_entry *out)
{
    return BELOW(mkdir, cred, dir, name, mode, out);
}

static int pass_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        const char *target, struct vfs_entry *out)
{
    return BELOW(symlink, cred, dir, name, target, out);
}

static int pass_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name,
                     struct vfs_entry *out)
{
    return BELOW(link, node, dir, name, out);
}

static int pass_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return BELOW(unlink, dir, name);
}

static int pass_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return BELOW(rmdir, dir, name);
}

static int pass_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                       const char *new_name, uint32_t flags)
{
    return BELOW(rename, dir, name, new_dir, new_name, flags);
}

static int pass_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                       uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    return BELOW(create, cred, dir, name, mode, flags, how, out, file);
}

static int pass_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    return BELOW(open, node, flags, how, file);
}

static int pass_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file)
{
    return BELOW(opendir, node, file);
}

static void pass_release(struct vfs *vfs, struct vfs_file *file)
{
    BELOW(release, file);
}

static ssize_t pass_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    return BELOW(read, file, buf, size, offset, how);
}

static ssize_t pass_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                          unsigned how)
{
    return BELOW(write, file, buf, size, offset, how);
}

static int pass_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    return BELOW(readdir, dir, offset, emit, data);
}

static int pass_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    return BELOW(fsync, file, data_only);
}

static int pass_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    return BELOW(fallocate, file, mode, offset, length);
}

static int64_t pass_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence)
{
    return BELOW(lseek, file, offset, whence);
}

static ssize_t pass_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                         uint64_t offset_out, size_t length)
{
    return BELOW(copy, in, offset_in, out, offset_out, length);
}

static int pass_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size)
{
    return stacked_below(vfs)->ops->path ? BELOW(path, node, path, size) : -ENOENT;
}

static int pass_identify(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out)
{
    return stacked_below(vfs)->ops->identify ? BELOW(identify, node, out) : -ENOENT;
}

static int pass_save(struct vfs *vfs, FILE *out)
{
    return stacked_below(vfs)->ops->save ? BELOW(save, out) : 0;
}

static int pass_load(struct vfs *vfs, const uint8_t *state, size_t len)
{
    return stacked_below(vfs)->ops->load ? BELOW(load, state, len) : len ? -EPROTO : 0;
}

static int pass_lock_open(struct vfs *vfs, struct vfs_node *node)
{
    return BELOW(lock_open, node);
}

static int pass_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                         int flags)
{
    return BELOW(setxattr, node, name, value, size, flags);
}

static ssize_t pass_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size)
{
    return BELOW(getxattr, node, name, value, size);
}

static ssize_t pass_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size)
{
    return BELOW(listxattr, node, list, size);
}

static int pass_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    return BELOW(removexattr, node, name);
}

static const struct vfs_ops PASS = {
    .root = pass_root,
    .forget = pass_forget,
    .lookup = pass_lookup,
    .getattr = pass_getattr,
    .setattr = pass_setattr,
    .readlink = pass_readlink,
    .statfs = pass_statfs,
    .mknod = pass_mknod,
    .mkdir = pass_mkdir,
    .symlink = pass_symlink,
    .link = pass_link,
    .unlink = pass_unlink,
    .rmdir = pass_rmdir,
    .rename = pass_rename,
    .create = pass_create,
    .open = pass_open,
    .opendir = pass_opendir,
    .release = pass_release,
    .read = pass_read,
    .write = pass_write,
    .readdir = pass_readdir,
    .fsync = pass_fsync,
    .fallocate = pass_fallocate,
    .lseek = pass_lseek,
    .copy = pass_copy,
    .path = pass_path,
    .identify = pass_identify,
    .save = pass_save,
    .load = pass_load,
    .lock_open = pass_lock_open,
    .setxattr = pass_setxattr,
    .getxattr = pass_getxattr,
    .listxattr = pass_listxattr,
    .removexattr = pass_removexattr,
};

void stacked_init(struct stacked *stacked, struct vfs *below)
{
    stacked->below = below;
    stacked->ops = PASS;
    stacked->vfs.ops = &stacked->ops;
}
