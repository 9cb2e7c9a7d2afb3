/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of fs/hostdir share. */
#ifndef GONDOLIN_FS_HOSTDIR_INTERNAL_H
#define GONDOLIN_FS_HOSTDIR_INTERNAL_H

#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/hash.h"
#include "fs/hostdir.h"
#include "fs/vfs.h"

/* An inode. Its descriptor keeps it from being freed, so no other inode can have the same numbers meanwhile. */
struct vfs_node {
    struct vfs_member member; /* first */
    struct hash_link by_inode;
    struct hash_link by_handle; /* while watched; fs/hostwatch.c */
    int fd;                    /* O_PATH */
    dev_t dev;
    ino_t ino;
    uint32_t type; /* S_IFMT bits */
    uint64_t refs; /* under hostdir.lock */
    bool watched;  /* of a directory: changes in it are reported */
    atomic_bool kept; /* of others: it was found in such a directory */
    atomic_bool leads_to_new; /* of a directory: the name last looked up in it had to be opened */
};

struct vfs_file {
    struct vfs_member member; /* first */
    int fd;
    dev_t dev;
    atomic_int nowait; /* enum hostdir_nowait */
    atomic_int direct_fd; /* found out under hostdir.direct_lock; or one of enum hostdir_direct */

    /* directories only: entries read and not yet taken, under the lock */
    pthread_mutex_t lock;
    uint8_t *entries;
    size_t used, at;
    uint64_t offset; /* of the entry at `at` */
    ino_t own_ino;
    bool is_root;
};

/* Whether reads from this file's file system can say that they would wait for a disk. */
enum hostdir_nowait { NOWAIT_UNKNOWN, NOWAIT_WORKS, NOWAIT_ALWAYS_WAITS, NOWAIT_NEVER_WAITS };

/* Instead of a descriptor that goes past the page cache. */
enum hostdir_direct { HOSTDIR_DIRECT_UNKNOWN = -1, HOSTDIR_NO_DIRECT = -2 };

enum { HOSTDIR_DEVICES = 256 };

struct hostdir {
    struct vfs vfs; /* first */
    enum hostdir_cred cred;
    bool allow_devices, all_xattrs, one_owner, mapped, stand_ins, direct;
    int mounts_fd;
    struct hostwatch *watch; /* or NULL */
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3]; /* this process's, at the start */
    struct vfs_node *root;

    pthread_mutex_t lock; /* for all below and node->refs */
    struct hash nodes;
    dev_t devices[HOSTDIR_DEVICES]; /* those seen; 0 is the root's */
    unsigned device_count;

    pthread_mutex_t direct_lock; /* for the two below, and held while something is written */
    void *bounce;                /* WIRE_IO_LIMIT bytes or more; NULL: not needed yet */
    unsigned direct_files;       /* with a descriptor past the page cache */
};

struct hostdir_saved_cred {
    mode_t umask;
    bool switched;
};

/* The path under which an O_PATH descriptor can be opened, changed and linked. */
struct hostdir_proc_path {
    char text[32];
};
struct hostdir_proc_path hostdir_proc_path(int fd);

/* 0 where an inode may be shown, by the file system `dev` it is on; -EACCES; or another -errno. */
int hostdir_check_below(const struct hostdir *hostdir, int fd, dev_t dev);

/* -errno, but running out of this process's descriptors is ENFILE: the peer's own limit is not meant. */
int hostdir_error(void);

/* Opens one name in a directory without ever leaving it. Returns a descriptor or -errno. */
int hostdir_open_beneath(int dir_fd, const char *name, int flags, uint32_t mode);

/* `fd` is of what `st` is about. */
void hostdir_fill_attr(struct hostdir *hostdir, int fd, const struct stat *st, struct fuse_attr *attr);
/* The inode number shown to the peer. */
uint64_t hostdir_ino(struct hostdir *hostdir, dev_t dev, ino_t ino);

/* The node of an O_PATH descriptor, which is taken over. */
int hostdir_enter_fd(struct hostdir *hostdir, int fd, struct vfs_entry *out);
int hostdir_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out);
void hostdir_forget(struct vfs *vfs, struct vfs_node *node);

/* Whether something of this type may have these bits. */
bool hostdir_mode_allowed(const struct hostdir *hostdir, uint32_t type, uint32_t mode);
/* Takes a reference to a node that may just be given back for the last time; then false. */
bool hostdir_hold(struct vfs_node *node);
/* What a name in a directory leads to, if that is known; with a reference. */
struct vfs_node *hostdir_find_child(struct vfs_node *dir, const char *name);
/* Says in an entry found or made in `dir` what the peer may keep of it. */
void hostdir_mark_kept(const struct vfs_node *dir, struct vfs_entry *entry);

/* Clears suid, and sgid where the group may execute, of the file behind a descriptor (O_PATH will do). */
int hostdir_kill_suidgid(struct hostdir *hostdir, int fd);

/* Takes on the ids and the umask of a request. Returns 0 or -errno; then nothing has been changed. */
int hostdir_cred_enter(const struct hostdir *hostdir, const struct vfs_cred *cred, struct hostdir_saved_cred *saved);
void hostdir_cred_leave(const struct hostdir_saved_cred *saved);
/* Finds out what this process may do. */
void hostdir_cred_init(struct hostdir *hostdir);

/* Device numbers in the protocol's encoding: see mknod in fs/vfs.h. */
uint32_t hostdir_encode_rdev(dev_t dev);
dev_t hostdir_decode_rdev(uint32_t rdev);

/* hostdir_owner.c. Types are S_IFMT bits, and what something is on the host; the peer may be shown another one. */
#define HOSTDIR_OWNER_XATTR "user.gondolin.owner"

/* What is being made, for whom and where. */
struct hostdir_making {
    const struct vfs_cred *cred;
    const struct vfs_node *dir;
    const char *name;
    uint32_t mode, rdev; /* with the type */
};

/* Puts into `attr`, which has what the host has, what the peer is to see: without mapping, too. */
void hostdir_show_owner(const struct hostdir *hostdir, int fd, struct fuse_attr *attr);
/* 0 or -errno. */
int hostdir_remember_owner(int fd, uint32_t type, const struct fuse_attr *attr);
/* The type that the peer sees instead of this one. */
uint32_t hostdir_shown_type(const struct hostdir *hostdir, int fd, uint32_t type);
/* The DT_* to list an entry of a directory with that the host lists with `type`. */
uint32_t hostdir_listed_type(const struct hostdir *hostdir, int dir_fd, const char *name, uint32_t type);
/* The host's mode for what the guest gives this one. */
uint32_t hostdir_safe_mode(uint32_t type, uint32_t mode);
/* The type and mode to make something with on the host. */
uint32_t hostdir_host_mode(const struct hostdir *hostdir, const struct vfs_cred *cred, uint32_t mode);
/* What has just been made belongs to whoever asked for it; if that cannot be, its name is removed. 0 or -errno. */
int hostdir_claim(struct hostdir *hostdir, const struct hostdir_making *making, struct vfs_entry *entry);

/* hostdir_names.c */
int hostdir_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  uint32_t rdev, struct vfs_entry *out);
int hostdir_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  struct vfs_entry *out);
int hostdir_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                    const char *target, struct vfs_entry *out);
int hostdir_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name, struct vfs_entry *out);
int hostdir_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name);
int hostdir_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name);
int hostdir_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                   const char *new_name, uint32_t flags);
int hostdir_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                   int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file);

/* hostdir_files.c */
int hostdir_file_new(struct vfs *vfs, int fd, dev_t dev, struct vfs_file **out); /* takes the descriptor over */
int hostdir_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file);
void hostdir_release(struct vfs *vfs, struct vfs_file *file);
ssize_t hostdir_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how);
ssize_t hostdir_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                      unsigned how);
int hostdir_fsync(struct vfs *vfs, struct vfs_file *file, int data_only);
int hostdir_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length);
int64_t hostdir_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence);
ssize_t hostdir_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                     uint64_t offset_out, size_t length);

int hostdir_lock_open(struct vfs *vfs, struct vfs_node *node);

/* hostdir_direct.c */
/* Whether a piece is one for hostdir_write_direct. */
bool hostdir_writes_direct(const struct hostdir *hostdir, const struct vfs_file *file, size_t size, uint64_t offset,
                           unsigned how);
/* Waits for the disk. Returns how much has been written; the rest is for the page cache, which finds the error if there is
 * one. */
size_t hostdir_write_direct(struct hostdir *hostdir, struct vfs_file *file, const void *buf, size_t size,
                            uint64_t offset);
void hostdir_release_direct(struct hostdir *hostdir, struct vfs_file *file);

/* hostdir_dirs.c */
int hostdir_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file);
int hostdir_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data);

/* hostdir_xattr.c */
int hostdir_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                     int flags);
ssize_t hostdir_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size);
ssize_t hostdir_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size);
int hostdir_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name);

#endif
