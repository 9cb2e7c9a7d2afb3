/* SPDX-License-Identifier: Apache-2.0 */
/* Owners and modes that this process may not, or shall not, give to files of the host: remembered in an extended attribute,
 * and shown from there. The host's own mode is what lets its user get at the file, with no set-id bits. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/hostdir_internal.h"

enum { TEXT = 48, MODE_BITS = 07777, SAFE_BITS = 0777 };

/* Only these can have user attributes; the rest belongs to root and has its own mode. */
static bool can_remember(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

void hostdir_show_owner(const struct hostdir *hostdir, int fd, struct fuse_attr *attr)
{
    char text[TEXT];
    unsigned uid, gid, mode;
    if (hostdir->one_owner || hostdir->mapped)
        attr->uid = attr->gid = 0;
    if (!hostdir->mapped || !can_remember(attr->mode))
        return;
    ssize_t len = getxattr(hostdir_proc_path(fd).text, HOSTDIR_OWNER_XATTR, text, sizeof text - 1);
    if (len <= 0)
        return;
    text[len] = '\0';
    if (sscanf(text, "%u %u %o", &uid, &gid, &mode) != 3)
        return;
    attr->uid = uid;
    attr->gid = gid;
    attr->mode = (attr->mode & S_IFMT) | (mode & MODE_BITS);
}

int hostdir_remember_owner(int fd, const struct fuse_attr *attr)
{
    char text[TEXT];
    if (!can_remember(attr->mode))
        return 0; /* archives hold links with owners, too: nothing depends on them */
    int len = snprintf(text, sizeof text, "%u %u %o", attr->uid, attr->gid, attr->mode & MODE_BITS);
    return setxattr(hostdir_proc_path(fd).text, HOSTDIR_OWNER_XATTR, text, (size_t)len, 0) < 0 ? hostdir_error() : 0;
}

uint32_t hostdir_safe_mode(uint32_t type, uint32_t mode)
{
    return (mode & SAFE_BITS) | (S_ISDIR(type) ? 0700 : 0600);
}

int hostdir_claim(struct hostdir *hostdir, const struct vfs_cred *cred, const struct vfs_node *dir, uint32_t mode,
                  struct vfs_entry *entry)
{
    struct fuse_attr parent = {.mode = S_IFDIR}, *attr = &entry->attr;
    uint32_t flags = attr->flags;
    if (!hostdir->mapped || !can_remember(attr->mode))
        return 0;
    hostdir_show_owner(hostdir, dir->fd, &parent);
    attr->uid = cred->uid;
    attr->gid = parent.mode & S_ISGID ? parent.gid : cred->gid;
    attr->mode = (attr->mode & S_IFMT) | (mode & MODE_BITS & ~cred->umask);
    if (S_ISDIR(attr->mode) && (parent.mode & S_ISGID))
        attr->mode |= S_ISGID;
    attr->flags = flags;
    return hostdir_remember_owner(entry->node->fd, attr);
}
