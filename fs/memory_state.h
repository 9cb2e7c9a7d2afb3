/* SPDX-License-Identifier: Apache-2.0 */
/* A tree in memory as bytes, in the byte order of the machine: a header, the root's inode, and then, for each directory in
 * the order in which its inode came, its names in the order of their cookies. A name says which inode it leads to by that
 * one's place in the state; what comes first there follows at once. So an inode has a parent before it has contents, and no
 * state says anything that is not a tree. */
#ifndef GONDOLIN_FS_MEMORY_STATE_H
#define GONDOLIN_FS_MEMORY_STATE_H

#include <stdint.h>

#define MEMORY_STATE_MAGIC "gondolin-memory1"

struct state_header {
    char magic[16];
    uint64_t inodes, names; /* in all of the state */
    uint64_t last_ino;
};

/* Its extended attributes follow, then its pages or its target. */
struct state_inode {
    uint64_t ino;
    uint64_t size;  /* bytes of a file or of a target; the last cookie of a directory */
    uint64_t count; /* pages of a file, names of a directory */
    uint64_t span;  /* where a file's last page ends, in pages */
    uint64_t atime, mtime, ctime;
    int64_t born_sec;
    uint32_t atimensec, mtimensec, ctimensec, born_nsec;
    uint32_t mode, uid, gid, rdev;
    uint32_t xattrs, reserved;
};

/* The name and the value follow. */
struct state_xattr {
    uint32_t name_len, size;
};

/* MEMORY_PAGE bytes follow. What lies between two pages is a hole. */
struct state_page {
    uint64_t index;
};

/* The name follows, and the inode if it is the next one of the state. */
struct state_name {
    uint64_t inode; /* its place in the state */
    uint64_t cookie;
    uint32_t len, reserved;
};

#endif
