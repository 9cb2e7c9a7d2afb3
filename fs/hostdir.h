/* SPDX-License-Identifier: Apache-2.0 */
/* A provider (fs/vfs.h) on a directory of this machine, with complete POSIX behaviour. Symlinks are never followed here:
 * each name is opened by itself, with O_NOFOLLOW and RESOLVE_BENEATH, and stays open as an O_PATH descriptor for as long
 * as the peer knows the node (so a node costs one file descriptor). File systems of processes that are mounted in the
 * directory are not shown (EACCES). Needs /proc. */
#ifndef GONDOLIN_FS_HOSTDIR_H
#define GONDOLIN_FS_HOSTDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfs;
struct vfs_node;

enum hostdir_cred {
    HOSTDIR_AS_SELF,    /* what is created belongs to this process's user */
    HOSTDIR_AS_CALLER,  /* ... to the ids in the request; falls back to self without CAP_SETUID and CAP_SETGID */
};

struct hostdir_config {
    int root_fd; /* the directory, or one file, that is served; O_PATH is enough; not kept */
    enum hostdir_cred cred;
    bool allow_devices; /* mknod of block and character devices; otherwise EPERM */
    bool all_xattrs;    /* otherwise only user.*, but for the one of `mapped`: the rest is EOPNOTSUPP and not listed */
    struct hostwatch *watch; /* what the peer may keep is watched; NULL: it is told to keep nothing */
    int mounts_fd; /* /proc/self/mountinfo, to tell sandboxes that are mounted below from other FUSE file systems; borrowed; 0:
                      all of them are refused */
    bool stand_ins; /* where devices are not allowed: one that the peer makes is an empty regular file here, whose xattr says
                       what it is shown as. On file systems without user xattrs none can be made (EPERM) */
    bool mapped;    /* owners and modes that the peer sets are kept in an xattr of the file, and need no rights here; so are
                       the types of devices, fifos and sockets that it makes, which are empty regular files here. On file
                       systems without user xattrs nothing can be made then (EOPNOTSUPP) */
    bool direct;    /* large pieces that lengthen a file go to the disk past the page cache, where there is one */
    bool one_owner; /* all appears to belong to root, and nothing can be given to others, be made setuid or setgid (EPERM):
                       what it would really become is a program that runs as this process's user */
};

/* NULL with errno on failure (ENOTDIR, ENOMEM, EMFILE, ...). Things are created with the request's umask, for which the
 * calling thread's is changed and put back: threads that create things must not share it with others that do
 * (unshare(CLONE_FS)). Operations answer ENFILE when this process runs out of descriptors. */
struct vfs *hostdir_new(const struct hostdir_config *config);

/* The node of this inode of the root's file system, with a reference to be given back by `forget`; NULL when nobody knows
 * it. */
struct vfs_node *hostdir_find(struct vfs *vfs, uint64_t ino);

/* The same for the number that its attributes show, whatever file system it is on. */
struct vfs_node *hostdir_find_shown(struct vfs *vfs, uint64_t ino);

/* Where a directory lies now, from the root on, without '/' at both ends: "" for the root. 0; -ESTALE: no longer below
 * the root; or another -errno. */
int hostdir_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size);

/* All references must have been given back and all files released. NULL is ignored. */
void hostdir_free(struct vfs *vfs);

#endif
