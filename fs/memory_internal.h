/* SPDX-License-Identifier: Apache-2.0 */
/* What fs/memory.c (inodes, attributes, data), fs/memory_names.c (directories), fs/memory_xattr.c, fs/memory_save.c and
 * fs/memory_load.c share. Every operation holds the lock. */
#ifndef GONDOLIN_FS_MEMORY_INTERNAL_H
#define GONDOLIN_FS_MEMORY_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "fs/hash.h"
#include "fs/memory.h"
#include "fs/vfs.h"

enum {
    MEMORY_PAGE = 4096,
    MEMORY_INODE_COST = 512,
    MEMORY_NAME_COST = 128,
    MEMORY_XATTR_COST = 64,
    MEMORY_XATTRS_LIMIT = 65536, /* of an inode, names and values together */
    MEMORY_DOT_COOKIES = 2,      /* 0 and 1 are "." and ".." */
};

/* Numbers are greater than this, apart from those of a host's file system, beside which it may stand (fs/shadow). The root
 * has the first one. */
#define MEMORY_FIRST_INO (UINT64_C(1) << 47)

struct memory_xattr {
    struct memory_xattr *next;
    size_t size;
    void *value;
    char name[];
};

/* A name in a directory. */
struct memory_entry {
    struct hash_link link; /* by directory and name; first */
    uint64_t cookie;       /* its place in listings, never used again in its directory */
    struct vfs_node *directory, *node;
    struct memory_entry *next_name, **name_slot; /* in the list of the node's names */
    bool dead; /* removed; freed when the directory is tidied up */
    char name[];
};

struct vfs_node {
    struct vfs_member member; /* first */
    struct fuse_attr attr;
    size_t order;  /* while the tree is saved */
    int lock_fd;   /* a file of the kernel's to be locked in place of this; -1: none yet */
    uint64_t refs; /* of the peer and of open files; names count in attr.nlink */
    struct memory_entry *entries; /* its names */
    int64_t born_sec;
    uint32_t born_nsec;
    struct memory_xattr *xattrs; /* by name */
    union {
        struct {
            uint8_t **list; /* NULL: a hole */
            size_t count;
        } pages;
        char *target;
        struct {
            struct memory_entry **list; /* by cookie */
            size_t count, dead;
            uint64_t last_cookie;
            struct vfs_node *parent;
        } names;
    };
};

struct vfs_file {
    struct vfs_member member; /* first */
    struct vfs_node *node;
};

struct memory {
    struct vfs vfs; /* first */
    pthread_mutex_t lock;
    uint64_t size, used, inodes, last_ino;
    struct hash names;
    struct vfs_node *root;
};

static inline struct memory *memory_of(struct vfs *vfs)
{
    return (struct memory *)vfs;
}

/* Takes that many bytes of the limit: 0 or -ENOSPC. */
int memory_take(struct memory *m, uint64_t bytes);
void memory_give(struct memory *m, uint64_t bytes);

void memory_touch(struct vfs_node *node, bool modified); /* ctime, and mtime */
/* A new inode without a name and with one reference. NULL: *rc says why. */
struct vfs_node *memory_node_new(struct memory *m, const struct vfs_cred *cred, struct vfs_node *dir, uint32_t mode,
                                 int *rc);
/* Drops a reference; frees what has neither references nor names. */
void memory_unref(struct memory *m, struct vfs_node *node);
void memory_free_if_unused(struct memory *m, struct vfs_node *node);

/* Makes a file's list of pages so long. It counts like the pages: a sparse file is not for nothing. */
int memory_lengthen(struct memory *m, struct vfs_node *node, size_t count);
/* The page at this index, made if it is not there. NULL: *rc says why. */
uint8_t *memory_page_at(struct memory *m, struct vfs_node *node, size_t index, int *rc);
/* No file may be longer than what the whole limit can describe. */
bool memory_too_long(const struct memory *m, uint64_t end);

/* memory_names.c */
/* Gives a node a name, at the end of listings; the name counts in its nlink. -ENOSPC, -ENOMEM. */
int memory_enter(struct memory *m, struct vfs_node *dir, const char *name, uint64_t cookie, struct vfs_node *node);
int memory_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out);
int memory_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 uint32_t rdev, struct vfs_entry *out);
int memory_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                 struct vfs_entry *out);
int memory_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                   const char *target, struct vfs_entry *out);
int memory_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name, struct vfs_entry *out);
int memory_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name);
int memory_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name);
int memory_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                  const char *new_name, uint32_t flags);
int memory_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name, uint32_t mode,
                  int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file);
int memory_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data);
/* Of a directory without living names. */
void memory_names_free(struct memory *m, struct vfs_node *dir);
/* Leaves the root without names, and frees what nobody else holds. Trees may be deeper than a stack. */
void memory_names_clear(struct memory *m);
/* Of a new symlink; -ENOSPC, -ENOMEM. */
int memory_set_target(struct memory *m, struct vfs_node *node, const char *target, size_t len);

int memory_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size);

/* memory_xattr.c */
int memory_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size, int flags);
ssize_t memory_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size);
ssize_t memory_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size);
int memory_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name);
bool memory_xattr_name_is_good(const char *name);
/* Puts a new one before what *slot has; the caller keeps the order and MEMORY_XATTRS_LIMIT. */
int memory_xattr_put(struct memory *m, struct memory_xattr **slot, const char *name, const void *value, size_t size);
void memory_xattrs_free(struct memory *m, struct vfs_node *node);

/* memory.c */
int memory_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file);

#endif
