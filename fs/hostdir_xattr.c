/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes of a host directory's nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/hostdir_internal.h"
#include "src/cleanup.h"

static const char USER[] = "user.";

enum { USER_LEN = sizeof USER - 1, LIST_LIMIT = 65536 };

static bool is_allowed(const struct hostdir *hostdir, const char *name)
{
    /* Not even where it means nothing: the file may be shown to another peer, where it does. */
    return hostdir->all_xattrs || (!strncmp(name, USER, USER_LEN) && strcmp(name, HOSTDIR_OWNER_XATTR) != 0);
}

int hostdir_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                     int flags)
{
    if (!is_allowed((struct hostdir *)vfs, name))
        return -EOPNOTSUPP;
    return setxattr(hostdir_proc_path(node->fd).text, name, value, size, flags) < 0 ? hostdir_error() : 0;
}

ssize_t hostdir_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size)
{
    if (!is_allowed((struct hostdir *)vfs, name))
        return -EOPNOTSUPP;
    ssize_t got = getxattr(hostdir_proc_path(node->fd).text, name, value, size);
    return got < 0 ? hostdir_error() : got;
}

/* Moves the allowed names to the front; returns their length. */
static size_t keep_allowed(const struct hostdir *hostdir, char *list, size_t len)
{
    size_t kept = 0, size;
    for (size_t at = 0; at < len; at += size) {
        size = strnlen(list + at, len - at - 1) + 1;
        if (!is_allowed(hostdir, list + at))
            continue;
        memmove(list + kept, list + at, size);
        kept += size;
    }
    return kept;
}

ssize_t hostdir_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct hostdir_proc_path path = hostdir_proc_path(node->fd);
    if (hostdir->all_xattrs) {
        ssize_t len = listxattr(path.text, list, size);
        return len < 0 ? hostdir_error() : len;
    }
    cleanup_free char *all = malloc(LIST_LIMIT);
    if (!all)
        return -ENOMEM;
    ssize_t len = listxattr(path.text, all, LIST_LIMIT);
    if (len < 0)
        return hostdir_error();
    size_t kept = keep_allowed(hostdir, all, (size_t)len);
    if (size == 0)
        return (ssize_t)kept;
    if (kept > size)
        return -ERANGE;
    memcpy(list, all, kept);
    return (ssize_t)kept;
}

int hostdir_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    if (!is_allowed((struct hostdir *)vfs, name))
        return -EOPNOTSUPP;
    return removexattr(hostdir_proc_path(node->fd).text, name) < 0 ? hostdir_error() : 0;
}
