/* SPDX-License-Identifier: Apache-2.0 */
/* Which path the peer knows a node by, for providers whose nodes have none. That is the directory and name through which
 * it was last looked up, made, linked or renamed; after its removal, the last one it had. What is known holds a reference
 * to the provider's node, and so do all directories above it, whatever the peer forgets first: a node's number then
 * cannot come to mean another file, and a path is never one that a parent had before it was moved. */
#ifndef GONDOLIN_FS_HOOK_PATHS_H
#define GONDOLIN_FS_HOOK_PATHS_H

#include <pthread.h>
#include <stddef.h>

#include "fs/hash.h"
#include "fs/vfs.h"

struct hook_paths {
    struct vfs *below; /* borrowed */
    pthread_mutex_t lock; /* for all below */
    struct hash nodes, files;
};

/* 0 or -ENOMEM. */
int hook_paths_init(struct hook_paths *paths, struct vfs *below);
/* All references must have been given back and all files released. */
void hook_paths_fini(struct hook_paths *paths);

/* Takes the reference over: the peer gets one, to be given back by hook_paths_forget. `dir` is NULL for the root. -ENOMEM:
 * it has been given back. */
int hook_paths_enter(struct hook_paths *paths, struct vfs_node *dir, const char *name, struct vfs_node *node);
void hook_paths_forget(struct hook_paths *paths, struct vfs_node *node);
/* The node (borrowed, known or not) now has this name. */
void hook_paths_moved(struct hook_paths *paths, struct vfs_node *dir, const char *name, struct vfs_node *node);

/* An open file has its node's path until it is released. -ENOMEM. */
int hook_paths_open(struct hook_paths *paths, struct vfs_node *node, struct vfs_file *file);
void hook_paths_release(struct hook_paths *paths, struct vfs_file *file);

/* The path from the root on, of a node, of a name in it (unless NULL), or of an open file: "." for the root. 0;
 * -ENAMETOOLONG; -ESTALE: nobody knows it. */
int hook_paths_of(struct hook_paths *paths, struct vfs_node *node, const char *name, char *path, size_t size);
int hook_paths_of_file(struct hook_paths *paths, struct vfs_file *file, char *path, size_t size);

#endif
