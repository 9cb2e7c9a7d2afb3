/* SPDX-License-Identifier: Apache-2.0 */
/* Owners, modes and types that this process may not, or shall not, give to files of the host: remembered in an extended
 * attribute, and shown from there. The host's own mode is what lets its user get at the file, with no set-id bits; what is
 * shown as a device, a fifo or a socket is an empty regular file there. Where owners and modes are the host's own, only
 * devices are, which would be devices of the host otherwise. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"

enum { TEXT = 64, MODE_BITS = 07777, SAFE_BITS = 0777, DT_SHIFT = 12 };

static const struct {
    char letter;
    uint32_t type;
} SPECIAL[] = {{'b', S_IFBLK}, {'c', S_IFCHR}, {'p', S_IFIFO}, {'s', S_IFSOCK}};

enum { SPECIAL_COUNT = sizeof SPECIAL / sizeof *SPECIAL };

/* Of what has a stand-in; 0 for the types that are what they are. */
static char letter_of(uint32_t mode)
{
    for (unsigned i = 0; i < SPECIAL_COUNT; i++)
        if ((mode & S_IFMT) == SPECIAL[i].type)
            return SPECIAL[i].letter;
    return 0;
}

static uint32_t type_of(char letter)
{
    for (unsigned i = 0; i < SPECIAL_COUNT; i++)
        if (letter == SPECIAL[i].letter)
            return SPECIAL[i].type;
    return 0;
}

static bool is_device(uint32_t mode)
{
    return S_ISCHR(mode) || S_ISBLK(mode);
}

/* Only these can have user attributes; the rest belongs to root and has its own mode. */
static bool can_remember(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

/* "UID GID MODE", behind a stand-in's also its letter, behind a device's that and its numbers: "0 6 660 b 8 16". */
static int put_text(const struct fuse_attr *attr, char text[TEXT])
{
    char letter = letter_of(attr->mode);
    dev_t dev = hostdir_decode_rdev(attr->rdev);
    int len = snprintf(text, TEXT, "%u %u %o", attr->uid, attr->gid, attr->mode & MODE_BITS);
    if (letter)
        len += snprintf(text + len, (size_t)(TEXT - len), " %c", letter);
    if (is_device(attr->mode))
        len += snprintf(text + len, (size_t)(TEXT - len), " %u %u", major(dev), minor(dev));
    return len;
}

/* Anybody on either side may have written the text: only what put_text would write counts. */
static bool take_text(const char *text, size_t len, struct fuse_attr *out)
{
    unsigned long long uid, gid, mode, maj = 0, min = 0; /* too wide for the digits to overflow */
    char letter = 0, again[TEXT];
    if (sscanf(text, "%10llu %10llu %10llo %c %10llu %10llu", &uid, &gid, &mode, &letter, &maj, &min) < 3)
        return false;
    *out = (struct fuse_attr){.uid = (uint32_t)uid, .gid = (uint32_t)gid, .mode = (mode & MODE_BITS) | type_of(letter),
                              .rdev = hostdir_encode_rdev(makedev((unsigned)maj, (unsigned)min))};
    return out->uid != UINT32_MAX && out->gid != UINT32_MAX && (size_t)put_text(out, again) == len &&
           !memcmp(text, again, len);
}

typedef ssize_t xattr_getter(const char *path, const char *name, void *value, size_t size);

/* What is remembered of a file of this type. `out->mode` has type bits where something else is to be shown. */
static bool recall(xattr_getter *get, const char *path, uint32_t type, struct fuse_attr *out)
{
    char text[TEXT];
    ssize_t len = can_remember(type) ? get(path, HOSTDIR_OWNER_XATTR, text, sizeof text - 1) : -1;
    if (len <= 0)
        return false;
    text[len] = '\0';
    return take_text(text, (size_t)len, out) && (S_ISREG(type) || !letter_of(out->mode));
}

/* What a file of the host is shown as instead of itself. */
static void show_special(const struct fuse_attr *known, struct fuse_attr *attr)
{
    if (!(known->mode & S_IFMT))
        return;
    attr->mode = (known->mode & S_IFMT) | (attr->mode & MODE_BITS);
    attr->rdev = known->rdev;
    attr->size = attr->blocks = 0;
}

void hostdir_show_owner(const struct hostdir *hostdir, int fd, struct fuse_attr *attr)
{
    struct fuse_attr known;
    if (hostdir->one_owner || hostdir->mapped)
        attr->uid = attr->gid = 0;
    if (!hostdir->stand_ins || !recall(getxattr, hostdir_proc_path(fd).text, attr->mode, &known))
        return;
    if (hostdir->mapped) {
        attr->uid = known.uid;
        attr->gid = known.gid;
        attr->mode = (attr->mode & S_IFMT) | (known.mode & MODE_BITS);
    }
    show_special(&known, attr);
}

uint32_t hostdir_shown_type(const struct hostdir *hostdir, int fd, uint32_t type)
{
    struct fuse_attr known;
    if (!hostdir->stand_ins || !S_ISREG(type) || !recall(getxattr, hostdir_proc_path(fd).text, type, &known))
        return type;
    return known.mode & S_IFMT ? known.mode & S_IFMT : type;
}

uint32_t hostdir_listed_type(const struct hostdir *hostdir, int dir_fd, const char *name, uint32_t type)
{
    struct fuse_attr known;
    char path[sizeof(struct hostdir_proc_path) + NAME_MAX + 2];
    int len = snprintf(path, sizeof path, "%s/%s", hostdir_proc_path(dir_fd).text, name);
    if (!hostdir->stand_ins || type != DT_REG || len >= (int)sizeof path ||
        !recall(lgetxattr, path, S_IFREG, &known) || !(known.mode & S_IFMT))
        return type;
    return known.mode >> DT_SHIFT;
}

int hostdir_remember_owner(int fd, uint32_t type, const struct fuse_attr *attr)
{
    char text[TEXT];
    if (!can_remember(type))
        return 0; /* archives hold links with owners, too: nothing depends on them */
    if (attr->uid == UINT32_MAX || attr->gid == UINT32_MAX)
        return -EINVAL;
    int len = put_text(attr, text);
    return setxattr(hostdir_proc_path(fd).text, HOSTDIR_OWNER_XATTR, text, (size_t)len, 0) < 0 ? hostdir_error() : 0;
}

uint32_t hostdir_safe_mode(uint32_t type, uint32_t mode)
{
    return (mode & SAFE_BITS) | (S_ISDIR(type) ? 0700 : 0600);
}

uint32_t hostdir_host_mode(const struct hostdir *hostdir, const struct vfs_cred *cred, uint32_t mode)
{
    uint32_t type = letter_of(mode) ? S_IFREG : mode & S_IFMT;
    if (hostdir->mapped)
        return type | hostdir_safe_mode(type, mode & ~cred->umask);
    return hostdir->stand_ins && is_device(mode) ? S_IFREG | (mode & MODE_BITS) : mode;
}

/* Remembering is a change, too. */
static int renew_ctime(int fd, struct fuse_attr *attr)
{
    struct stat st;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    attr->ctime = (uint64_t)st.st_ctim.tv_sec;
    attr->ctimensec = (uint32_t)st.st_ctim.tv_nsec;
    return 0;
}

/* Owner and mode are the host's own. */
static int claim_stand_in(const struct hostdir_making *making, struct vfs_entry *entry)
{
    struct fuse_attr *attr = &entry->attr;
    attr->mode = (making->mode & S_IFMT) | (attr->mode & MODE_BITS);
    attr->rdev = making->rdev;
    int rc = hostdir_remember_owner(entry->node->fd, entry->node->type, attr);
    return rc == -EOPNOTSUPP ? -EPERM : rc < 0 ? rc : renew_ctime(entry->node->fd, attr);
}

static int claim_mapped(struct hostdir *hostdir, const struct hostdir_making *making, struct vfs_entry *entry)
{
    struct fuse_attr parent = {.mode = S_IFDIR}, *attr = &entry->attr;
    hostdir_show_owner(hostdir, making->dir->fd, &parent);
    attr->uid = making->cred->uid;
    attr->gid = parent.mode & S_ISGID ? parent.gid : making->cred->gid;
    attr->mode = (making->mode & S_IFMT) | (making->mode & MODE_BITS & ~making->cred->umask);
    attr->rdev = making->rdev;
    if (S_ISDIR(attr->mode) && (parent.mode & S_ISGID))
        attr->mode |= S_ISGID;
    int rc = hostdir_remember_owner(entry->node->fd, entry->node->type, attr);
    return rc < 0 ? rc : renew_ctime(entry->node->fd, attr);
}

int hostdir_claim(struct hostdir *hostdir, const struct hostdir_making *making, struct vfs_entry *entry)
{
    bool owned = hostdir->mapped, stands_in = hostdir->stand_ins && is_device(making->mode);
    if (!(owned || stands_in) || !can_remember(entry->node->type))
        return 0;
    int rc = owned ? claim_mapped(hostdir, making, entry) : claim_stand_in(making, entry);
    if (rc < 0) /* it would belong to root instead, or be just a file */
        unlinkat(making->dir->fd, making->name, S_ISDIR(entry->node->type) ? AT_REMOVEDIR : 0);
    return rc;
}
