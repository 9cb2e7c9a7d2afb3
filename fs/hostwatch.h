/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the directories that the peer of fs/hostdir knows, so that it may keep what it was told: what other processes
 * change in them is reported. By fanotify, which needs no privilege for single directories and tells this process's own
 * changes from those of others. */
#ifndef GONDOLIN_FS_HOSTWATCH_H
#define GONDOLIN_FS_HOSTWATCH_H

#include <stdbool.h>

struct hostwatch;
struct vfs_node;

struct hostwatch_ops {
    /* The attributes, or with `contents` also the data, of a node have changed. */
    void (*inode)(void *data, struct vfs_node *node, bool contents);
    /* A name in a directory has come, gone or come to mean something else. */
    void (*entry)(void *data, struct vfs_node *directory, const char *name);
    /* Nobody knows what has changed. */
    void (*lost)(void *data);
};

/* NULL with errno, where the kernel has no such thing. */
struct hostwatch *hostwatch_new(void);
/* Readable when there is something to be reported. */
int hostwatch_fd(const struct hostwatch *watch);
/* Reports all that there is. */
void hostwatch_drain(struct hostwatch *watch, const struct hostwatch_ops *ops, void *data);

/* For fs/hostdir: begins and ends to watch a directory's node. False when it cannot be watched. */
bool hostwatch_add(struct hostwatch *watch, struct vfs_node *node);
void hostwatch_remove(struct hostwatch *watch, struct vfs_node *node);

/* Nothing may be watched any more. NULL is ignored. */
void hostwatch_free(struct hostwatch *watch);

#endif
