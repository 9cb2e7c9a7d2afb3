/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider of files has to do, and what fs/server asks for. Inode-based: nodes and open files are the provider's
 * own objects, names are single components that have passed fs/wire (1..255 bytes, no '/', not "." or "..").
 *
 * A provider embeds `struct vfs` as its first member. One that stacks on another (readonly, shadow, hooks) holds a
 * `struct vfs *` below it, passes on what it does not change, and hands the lower provider's nodes and files through as
 * they are: each says whose it is (struct vfs_member), and its provider which stack it stands at the bottom of.
 *
 * Nodes are reference counted: each struct vfs_entry that an operation fills carries one reference, given back by
 * `forget`. The same inode is always the same node while a reference to it exists. A node stays usable, unlinked or not,
 * until its last reference is gone; files are independent of their node's references.
 *
 * All operations return 0 (or a count) or -errno, may be called from several threads at once, and never block longer
 * than local disk reads take, except those the wire table marks may_block. Permissions are the business of the caller's
 * kernel; a provider only makes sure that nothing outside its tree can be reached. */
#ifndef GONDOLIN_FS_VFS_H
#define GONDOLIN_FS_VFS_H

#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct vfs;
struct vfs_node; /* completed by each provider; begins with a struct vfs_member */
struct vfs_file; /* an open file or directory, completed by each provider; begins with a struct vfs_member */

/* On whose behalf something is created. The ids are the claims of the peer's kernel. */
struct vfs_cred {
    uint32_t uid, gid;
    uint32_t umask; /* not yet applied to the mode */
};

/* Bits of fuse_attr.flags that a provider may set in what it returns, and that the server takes out: this stays right until
 * the server is told otherwise (server_invalidate_...), so the peer may keep it for long. */
enum {
    VFS_KEEP_ATTR = 1 << 30, /* the attributes */
    VFS_KEEP_NAME = 1 << 29, /* that the name leads there; with -ENOENT from lookup: that there is none */
};

struct vfs_entry {
    struct vfs_node *node; /* one reference */
    struct fuse_attr attr;
};

/* Flags of open, create and write besides the O_* that fs/wire lets through. */
enum {
    VFS_KILL_SUIDGID = 1, /* clear suid, and sgid if group-executable, as for a caller without CAP_FSETID */
    VFS_APPEND = 2,       /* write: at the end of the file as it is now, whatever the offset says */
    VFS_DSYNC = 4,        /* write: data on disk before returning */
    VFS_SYNC = 8,         /* write: data and metadata on disk before returning */
    VFS_NOWAIT = 16,      /* read and write: -EAGAIN, and nothing done, instead of waiting for a disk */
};

struct vfs_dirent {
    const char *name; /* not NUL-terminated for sure */
    size_t len;
    uint64_t ino;
    uint64_t next;   /* the offset at which the entry after this one is found; never 0 */
    uint32_t type;   /* DT_* */
};

/* Takes one entry; returns non-zero when it has no room for it (it is then offered again by the next readdir). */
typedef int vfs_dirent_fn(void *data, const struct vfs_dirent *entry);

/* What tells an inode from every other one, also of another time. */
struct vfs_identity {
    uint64_t dev, ino;
    int64_t born_sec; /* 0 with born_nsec 0: not known */
    uint32_t born_nsec;
    uint32_t type; /* S_IFMT bits */
};

struct vfs_ops {
    /* The root directory, with a reference. */
    int (*root)(struct vfs *vfs, struct vfs_entry *out);
    /* Gives one reference back. */
    void (*forget)(struct vfs *vfs, struct vfs_node *node);

    int (*lookup)(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out);
    /* `file` is an open file of the node, or NULL. */
    int (*getattr)(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out);
    /* set->valid says what to change (FATTR_*, masked by fs/wire; set->fh means nothing). */
    int (*setattr)(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, const struct fuse_setattr_in *set,
                   struct fuse_attr *out);
    /* Returns the target's length, which is at most `size`; no NUL. */
    ssize_t (*readlink)(struct vfs *vfs, struct vfs_node *node, char *target, size_t size);
    int (*statfs)(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out);

    /* Modes are 07777 bits (mknod: and the file type). rdev is in the protocol's encoding: minor's low 8 bits, 12 bits
     * of major, the rest of minor. */
    int (*mknod)(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 uint32_t rdev, struct vfs_entry *out);
    int (*mkdir)(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 struct vfs_entry *out);
    int (*symlink)(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                   const char *target, struct vfs_entry *out);
    int (*link)(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name, struct vfs_entry *out);
    int (*unlink)(struct vfs *vfs, struct vfs_node *dir, const char *name);
    int (*rmdir)(struct vfs *vfs, struct vfs_node *dir, const char *name);
    /* flags: RENAME_NOREPLACE or RENAME_EXCHANGE */
    int (*rename)(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                  const char *new_name, uint32_t flags);

    /* flags: access mode and O_TRUNC; create: also O_EXCL. how: VFS_KILL_SUIDGID (for O_TRUNC). */
    int (*create)(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file);
    int (*open)(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file);
    int (*opendir)(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file);
    void (*release)(struct vfs *vfs, struct vfs_file *file);

    /* Fewer bytes than asked for only at the end of the file. */
    ssize_t (*read)(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how);
    ssize_t (*write)(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                     unsigned how);
    /* Gives entries from `offset` on (0 or some entry's `next`) to emit until that refuses one or there are no more.
     * An error after the first entry is left for the next call to find. */
    int (*readdir)(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data);
    /* For directories too. */
    int (*fsync)(struct vfs *vfs, struct vfs_file *file, int data_only);
    int (*fallocate)(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length);
    /* whence: SEEK_DATA or SEEK_HOLE. Returns the offset found. */
    int64_t (*lseek)(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence);
    ssize_t (*copy)(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                    uint64_t offset_out, size_t length);

    /* Both for a server of a later time that goes on with this one's nodes; NULL: they cannot be found again. The path is
     * relative to the root ("" for that itself), from which it can be looked up. -ENOENT, -ESTALE: no name in the tree leads
     * there any more; -ENAMETOOLONG. */
    int (*path)(struct vfs *vfs, struct vfs_node *node, char *path, size_t size);
    int (*identify)(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out);

    /* The contents that nothing but this process has, for the same stack of providers in another one, just made and not used
     * yet; NULL: there are none. `load` borrows the `len` bytes; -EPROTO, -ENOSPC: nothing has been loaded. */
    int (*save)(struct vfs *vfs, FILE *out);
    int (*load)(struct vfs *vfs, const uint8_t *state, size_t len);

    /* A new descriptor of a regular file, to be closed by the caller, on which this machine's locks can be taken: open for
     * writing where that may be. Needed only where the server is to serve locks. */
    int (*lock_open)(struct vfs *vfs, struct vfs_node *node);

    /* flags: XATTR_CREATE, XATTR_REPLACE or 0. get and list return the value's size; with size 0 they only do that,
     * otherwise -ERANGE when it does not fit. */
    int (*setxattr)(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size, int flags);
    ssize_t (*getxattr)(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size);
    ssize_t (*listxattr)(struct vfs *vfs, struct vfs_node *node, char *list, size_t size);
    int (*removexattr)(struct vfs *vfs, struct vfs_node *node, const char *name);
};

struct vfs {
    const struct vfs_ops *ops;
    struct vfs *top; /* what stands on top of this one; NULL: nothing does */
    void *mounted;   /* of a top: for whoever has mounted it (fs/mounttable) */
};

/* What every node and every open file begins with. */
struct vfs_member {
    struct vfs *vfs; /* the provider that has made it */
};

/* The provider at the top of the stack that a node or file belongs to: the one to call. */
static inline struct vfs *vfs_top(const void *member)
{
    struct vfs *vfs = ((const struct vfs_member *)member)->vfs;
    return vfs->top ? vfs->top : vfs;
}

#endif
