/* SPDX-License-Identifier: Apache-2.0 */
/* Making, renaming and removing names in a host directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"

/* Ends what hostdir_cred_enter began and, if `rc` says that the name was made, looks it up. */
static int made(struct vfs *vfs, const struct hostdir_making *making, const struct hostdir_saved_cred *saved,
                struct vfs_node *dir, int rc, struct vfs_entry *out)
{
    int error = rc < 0 ? hostdir_error() : 0;
    hostdir_cred_leave(saved);
    error = error < 0 ? error : hostdir_lookup(vfs, dir, making->name, out);
    if (error < 0)
        return error;
    error = hostdir_claim((struct hostdir *)vfs, making, out);
    if (error < 0)
        hostdir_forget(vfs, out->node);
    return error;
}

int hostdir_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  uint32_t rdev, struct vfs_entry *out)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct hostdir_saved_cred saved;
    const struct hostdir_making making = {.cred = cred, .dir = dir, .name = name, .mode = mode, .rdev = rdev};
    if ((S_ISCHR(mode) || S_ISBLK(mode)) && !hostdir->allow_devices && !hostdir->stand_ins)
        return -EPERM;
    if (!hostdir_mode_allowed(hostdir, mode, mode))
        return -EPERM;
    int rc = hostdir_cred_enter(hostdir, cred, &saved);
    if (rc < 0)
        return rc;
    rc = mknodat(dir->fd, name, hostdir_host_mode(hostdir, cred, mode), hostdir_decode_rdev(rdev));
    return made(vfs, &making, &saved, dir, rc, out);
}

int hostdir_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  struct vfs_entry *out)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct hostdir_saved_cred saved;
    const struct hostdir_making making = {.cred = cred, .dir = dir, .name = name, .mode = S_IFDIR | mode};
    int rc = hostdir_cred_enter(hostdir, cred, &saved);
    if (rc < 0)
        return rc;
    rc = mkdirat(dir->fd, name, hostdir_host_mode(hostdir, cred, making.mode) & ~(uint32_t)S_IFMT);
    return made(vfs, &making, &saved, dir, rc, out);
}

int hostdir_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                    const char *target, struct vfs_entry *out)
{
    struct hostdir_saved_cred saved;
    const struct hostdir_making making = {.cred = cred, .dir = dir, .name = name, .mode = S_IFLNK};
    int rc = hostdir_cred_enter((struct hostdir *)vfs, cred, &saved);
    if (rc < 0)
        return rc;
    rc = symlinkat(target, dir->fd, name);
    return made(vfs, &making, &saved, dir, rc, out);
}

int hostdir_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    /* The path under /proc leads to the inode itself, also if that is a symlink. */
    struct hostdir_proc_path path = hostdir_proc_path(node->fd);
    if (linkat(AT_FDCWD, path.text, dir->fd, name, AT_SYMLINK_FOLLOW) < 0)
        return hostdir_error();
    return hostdir_lookup(vfs, dir, name, out);
}

int hostdir_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    (void)vfs;
    return unlinkat(dir->fd, name, 0) < 0 ? hostdir_error() : 0;
}

int hostdir_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    (void)vfs;
    return unlinkat(dir->fd, name, AT_REMOVEDIR) < 0 ? hostdir_error() : 0;
}

int hostdir_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                   const char *new_name, uint32_t flags)
{
    (void)vfs;
    return renameat2(dir->fd, name, new_dir->fd, new_name, flags) < 0 ? hostdir_error() : 0;
}

/* The peer thought the name was free, and something made on this side has taken it. */
static int open_existing(struct vfs *vfs, struct vfs_node *dir, const char *name, int flags, unsigned how,
                         struct vfs_entry *out, struct vfs_file **file)
{
    int rc = hostdir_lookup(vfs, dir, name, out);
    if (rc < 0)
        return rc == -ENOENT ? -ESTALE : rc;
    rc = S_ISREG(out->attr.mode) ? hostdir_open(vfs, out->node, flags & ~O_EXCL, how, file) : -ESTALE;
    if (rc < 0) /* ESTALE makes the peer's kernel look the name up again and see what it is */
        hostdir_forget(vfs, out->node);
    return rc;
}

/* Gives a file just created its node. The descriptor is taken over. */
static int enter_created(struct hostdir *hostdir, const struct vfs_node *dir, int fd, struct vfs_entry *out,
                         struct vfs_file **file)
{
    int path_fd = open(hostdir_proc_path(fd).text, O_PATH | O_CLOEXEC);
    int rc = path_fd < 0 ? hostdir_error() : hostdir_enter_fd(hostdir, path_fd, out);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    hostdir_mark_kept(dir, out);
    rc = hostdir_file_new(&hostdir->vfs, fd, out->node->dev, file);
    if (rc < 0)
        hostdir_forget(&hostdir->vfs, out->node);
    return rc;
}

int hostdir_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                   int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct hostdir_saved_cred saved;
    const struct hostdir_making making = {.cred = cred, .dir = dir, .name = name, .mode = S_IFREG | mode};
    int rc = hostdir_mode_allowed(hostdir, S_IFREG, mode) ? hostdir_cred_enter(hostdir, cred, &saved) : -EPERM;
    if (rc < 0)
        return rc;
    int fd = hostdir_open_beneath(dir->fd, name, (flags & O_ACCMODE) | O_CREAT | O_EXCL | O_NOCTTY,
                                 hostdir_host_mode(hostdir, cred, making.mode) & ~(uint32_t)S_IFMT);
    hostdir_cred_leave(&saved);
    if (fd == -EEXIST && !(flags & O_EXCL))
        return open_existing(vfs, dir, name, flags, how, out, file);
    rc = fd < 0 ? fd : enter_created(hostdir, dir, fd, out, file);
    if (rc < 0)
        return rc;
    rc = hostdir_claim(hostdir, &making, out);
    if (rc < 0) {
        hostdir_release(vfs, *file);
        hostdir_forget(vfs, out->node);
    }
    return rc;
}
