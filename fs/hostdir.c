/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a host directory and their attributes. */
#include "fs/hostdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"
#include "fs/hostwatch.h"
#include "src/cleanup.h"

enum { NAME_LIMIT = 255, DEVICE_SHIFT = 48 };

struct hostdir_proc_path hostdir_proc_path(int fd)
{
    struct hostdir_proc_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

int hostdir_error(void)
{
    return errno == EMFILE ? -ENFILE : -errno;
}

int hostdir_open_beneath(int dir_fd, const char *name, int flags, uint32_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    return fd < 0 ? hostdir_error() : (int)fd;
}

/* Device numbers seen, so that inode numbers of file systems mounted below the root do not collide with the root's. */
static uint64_t device_index(struct hostdir *hostdir, dev_t dev)
{
    unsigned i = 0;
    while (i < hostdir->device_count && hostdir->devices[i] != dev)
        i++;
    if (i == hostdir->device_count && i < HOSTDIR_DEVICES)
        hostdir->devices[hostdir->device_count++] = dev;
    return i;
}

uint64_t hostdir_ino(struct hostdir *hostdir, dev_t dev, ino_t ino)
{
    if (dev == hostdir->devices[0])
        return ino;
    pthread_mutex_lock(&hostdir->lock);
    uint64_t index = device_index(hostdir, dev);
    pthread_mutex_unlock(&hostdir->lock);
    return ino ^ (index << DEVICE_SHIFT);
}

uint32_t hostdir_encode_rdev(dev_t dev)
{
    uint32_t min = minor(dev), maj = major(dev);
    return (min & 0xff) | (maj & 0xfff) << 8 | (min & ~0xffu) << 12;
}

dev_t hostdir_decode_rdev(uint32_t rdev)
{
    return makedev((rdev & 0xfff00) >> 8, (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
}

void hostdir_fill_attr(struct hostdir *hostdir, int fd, const struct stat *st, struct fuse_attr *attr)
{
    *attr = (struct fuse_attr){
        .ino = hostdir_ino(hostdir, st->st_dev, st->st_ino),
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec,
        .mtime = (uint64_t)st->st_mtim.tv_sec,
        .ctime = (uint64_t)st->st_ctim.tv_sec,
        .atimensec = (uint32_t)st->st_atim.tv_nsec,
        .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
        .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .rdev = hostdir_encode_rdev(st->st_rdev),
        .blksize = (uint32_t)st->st_blksize,
    };
    hostdir_show_owner(hostdir, fd, attr);
}

static uint64_t inode_hash(dev_t dev, ino_t ino)
{
    return hash_mix(ino, dev);
}

/* The node of this inode, with one more reference; NULL when it is not known. */
static struct vfs_node *find_node_locked(struct hostdir *hostdir, dev_t dev, ino_t ino)
{
    struct hash_link *link = hash_first(&hostdir->nodes, inode_hash(dev, ino));
    for (; link; link = hash_next(link)) {
        struct vfs_node *node = (struct vfs_node *)(void *)((char *)link - offsetof(struct vfs_node, by_inode));
        if (node->dev == dev && node->ino == ino) {
            node->refs++;
            return node;
        }
    }
    return NULL;
}

static struct vfs_node *find_node(struct hostdir *hostdir, const struct stat *st)
{
    pthread_mutex_lock(&hostdir->lock);
    struct vfs_node *node = find_node_locked(hostdir, st->st_dev, st->st_ino);
    pthread_mutex_unlock(&hostdir->lock);
    return node;
}

struct vfs_node *hostdir_find(struct vfs *vfs, uint64_t ino)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    pthread_mutex_lock(&hostdir->lock);
    struct vfs_node *node = find_node_locked(hostdir, hostdir->devices[0], (ino_t)ino);
    pthread_mutex_unlock(&hostdir->lock);
    return node;
}

struct vfs_node *hostdir_find_shown(struct vfs *vfs, uint64_t ino)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct vfs_node *node = NULL;
    pthread_mutex_lock(&hostdir->lock);
    for (uint64_t i = 0; i < hostdir->device_count && !node; i++)
        node = find_node_locked(hostdir, hostdir->devices[i], (ino_t)(ino ^ (i << DEVICE_SHIFT)));
    pthread_mutex_unlock(&hostdir->lock);
    return node;
}

static int read_path(int fd, char path[PATH_MAX])
{
    ssize_t len = readlink(hostdir_proc_path(fd).text, path, PATH_MAX - 1);
    if (len < 0)
        return hostdir_error();
    path[len] = '\0';
    return len == PATH_MAX - 1 ? -ENAMETOOLONG : 0;
}

int hostdir_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size)
{
    char root[PATH_MAX], whole[PATH_MAX];
    int rc = read_path(((struct hostdir *)vfs)->root->fd, root);
    rc = rc ? rc : read_path(node->fd, whole);
    if (rc < 0)
        return rc;
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(whole, root, len) != 0 || (whole[len] && whole[len] != '/'))
        return -ESTALE;
    const char *rest = whole[len] ? whole + len + 1 : "";
    if (strlen(rest) >= size)
        return -ENAMETOOLONG;
    strcpy(path, rest);
    return 0;
}

/* Another thread may have entered the same inode meanwhile: its node then is the one, and `fresh` is not used. */
static struct vfs_node *find_or_add(struct hostdir *hostdir, struct vfs_node *fresh)
{
    pthread_mutex_lock(&hostdir->lock);
    struct vfs_node *node = find_node_locked(hostdir, fresh->dev, fresh->ino);
    if (!node) {
        node = fresh;
        hash_add(&hostdir->nodes, &node->by_inode, inode_hash(node->dev, node->ino));
    }
    pthread_mutex_unlock(&hostdir->lock);
    return node;
}

/* Changes to a file are seen in the directory through whose name they are made: so only one name may lead to it. */
static uint32_t keep_attr(const struct vfs_node *node, const struct fuse_attr *attr)
{
    bool keep = S_ISDIR(node->type) ? node->watched : node->kept && attr->nlink == 1;
    return keep ? VFS_KEEP_ATTR : 0;
}

void hostdir_mark_kept(const struct vfs_node *dir, struct vfs_entry *entry)
{
    if (!S_ISDIR(entry->node->type))
        entry->node->kept = dir->watched;
    entry->attr.flags = keep_attr(entry->node, &entry->attr) | (dir->watched ? VFS_KEEP_NAME : 0);
}

/* Watched from before its attributes are read on. */
static int watch_directory(struct hostdir *hostdir, struct vfs_node *node, struct fuse_attr *attr)
{
    struct stat st;
    if (!hostdir->watch || !S_ISDIR(node->type))
        return 0;
    node->watched = hostwatch_add(hostdir->watch, node);
    if (fstatat(node->fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    hostdir_fill_attr(hostdir, node->fd, &st, attr);
    return 0;
}

int hostdir_enter_fd(struct hostdir *hostdir, int fd, struct vfs_entry *out)
{
    struct stat st;
    cleanup_close int owned = fd;
    if (fstatat(owned, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    int rc = hostdir_check_below(hostdir, owned, st.st_dev);
    if (rc < 0)
        return rc;
    struct vfs_node *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    *fresh = (struct vfs_node){.member.vfs = &hostdir->vfs, .fd = owned, .dev = st.st_dev, .ino = st.st_ino,
                               .type = st.st_mode & S_IFMT, .refs = 1};
    out->node = find_or_add(hostdir, fresh);
    hostdir_fill_attr(hostdir, out->node->fd, &st, &out->attr);
    if (out->node != fresh) {
        free(fresh);
        return 0;
    }
    steal_fd(&owned);
    rc = watch_directory(hostdir, fresh, &out->attr);
    if (rc < 0)
        hostdir_forget(&hostdir->vfs, fresh);
    return rc;
}

bool hostdir_hold(struct vfs_node *node)
{
    struct hostdir *hostdir = (struct hostdir *)node->member.vfs;
    pthread_mutex_lock(&hostdir->lock);
    bool known = node->refs > 0;
    node->refs += known;
    pthread_mutex_unlock(&hostdir->lock);
    return known;
}

struct vfs_node *hostdir_find_child(struct vfs_node *dir, const char *name)
{
    struct stat st;
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return NULL;
    return find_node((struct hostdir *)dir->member.vfs, &st);
}

static int look_up_new(struct hostdir *hostdir, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    int fd = hostdir_open_beneath(dir->fd, name, O_PATH, 0);
    int rc = fd < 0 ? fd : hostdir_enter_fd(hostdir, fd, out);
    atomic_store_explicit(&dir->leads_to_new, rc == 0 && out->node->fd == fd, memory_order_relaxed);
    return rc;
}

/* What the peer knows needs no descriptor. */
static int look_up_known(struct hostdir *hostdir, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    struct stat st;
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return hostdir_error();
    out->node = find_node(hostdir, &st);
    if (!out->node)
        return look_up_new(hostdir, dir, name, out);
    hostdir_fill_attr(hostdir, out->node->fd, &st, &out->attr);
    return 0;
}

/* Most lookups are of what the peer knows already; but when a directory is listed, what comes after something new mostly
 * is new as well. */
int hostdir_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    bool new_first = atomic_load_explicit(&dir->leads_to_new, memory_order_relaxed);
    int rc = new_first ? look_up_new(hostdir, dir, name, out) : look_up_known(hostdir, dir, name, out);
    if (rc == -ENFILE && new_first)
        rc = look_up_known(hostdir, dir, name, out);
    if (rc == 0)
        hostdir_mark_kept(dir, out);
    else
        out->attr.flags = rc == -ENOENT && dir->watched ? VFS_KEEP_NAME : 0;
    return rc;
}

void hostdir_forget(struct vfs *vfs, struct vfs_node *node)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    pthread_mutex_lock(&hostdir->lock);
    bool unused = --node->refs == 0;
    if (unused)
        hash_remove(&hostdir->nodes, &node->by_inode);
    pthread_mutex_unlock(&hostdir->lock);
    if (unused) {
        if (node->watched)
            hostwatch_remove(hostdir->watch, node);
        close(node->fd);
        free(node);
    }
}

static int hostdir_root(struct vfs *vfs, struct vfs_entry *out)
{
    struct hostdir *hostdir = (struct hostdir *)vfs;
    struct stat st;
    if (fstatat(hostdir->root->fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    hostdir_fill_attr(hostdir, hostdir->root->fd, &st, &out->attr);
    out->node = find_node(hostdir, &st);
    return 0;
}

static int hostdir_getattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out)
{
    struct stat st;
    if (fstatat(file ? file->fd : node->fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    hostdir_fill_attr((struct hostdir *)vfs, node->fd, &st, out);
    out->flags = keep_attr(node, out);
    return 0;
}

int hostdir_kill_suidgid(struct hostdir *hostdir, int fd)
{
    struct stat st;
    struct fuse_attr attr;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    hostdir_fill_attr(hostdir, fd, &st, &attr);
    mode_t kill = attr.mode & S_ISUID;
    if ((attr.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        kill |= S_ISGID;
    if (!kill || !S_ISREG(st.st_mode))
        return 0;
    attr.mode &= ~kill;
    int rc = hostdir->mapped ? hostdir_remember_owner(fd, st.st_mode & S_IFMT, &attr) : 0;
    if (rc < 0 || !(st.st_mode & kill))
        return rc;
    return chmod(hostdir_proc_path(fd).text, (st.st_mode & 07777) & ~kill) < 0 ? hostdir_error() : 0;
}

static int set_size(struct hostdir *hostdir, const struct vfs_node *node, const struct vfs_file *file, uint64_t size)
{
    if (hostdir_shown_type(hostdir, node->fd, node->type) != node->type)
        return -EINVAL;
    int rc = file ? ftruncate(file->fd, (off_t)size) : truncate(hostdir_proc_path(node->fd).text, (off_t)size);
    return rc < 0 ? hostdir_error() : 0;
}

/* As remembered so far, with a change. */
static int remember(struct hostdir *hostdir, const struct vfs_node *node, const struct fuse_setattr_in *set, uint32_t valid)
{
    struct stat st;
    struct fuse_attr attr;
    if (fstatat(node->fd, "", &st, AT_EMPTY_PATH) < 0)
        return hostdir_error();
    hostdir_fill_attr(hostdir, node->fd, &st, &attr);
    if (valid & FATTR_UID)
        attr.uid = set->uid;
    if (valid & FATTR_GID)
        attr.gid = set->gid;
    if (valid & FATTR_MODE)
        attr.mode = (attr.mode & S_IFMT) | set->mode;
    return hostdir_remember_owner(node->fd, node->type, &attr);
}

static int set_owner(struct hostdir *hostdir, const struct vfs_node *node, const struct fuse_setattr_in *set)
{
    uid_t uid = set->valid & FATTR_UID ? set->uid : (uid_t)-1;
    gid_t gid = set->valid & FATTR_GID ? set->gid : (gid_t)-1;
    if (hostdir->mapped)
        return remember(hostdir, node, set, set->valid & (FATTR_UID | FATTR_GID));
    if (hostdir->one_owner)
        return (uid == 0 || uid == (uid_t)-1) && (gid == 0 || gid == (gid_t)-1) ? 0 : -EPERM;
    return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? hostdir_error() : 0;
}

bool hostdir_mode_allowed(const struct hostdir *hostdir, uint32_t type, uint32_t mode)
{
    return !hostdir->one_owner || S_ISDIR(type) || !(mode & (S_ISUID | S_ISGID));
}

static int set_mode(struct hostdir *hostdir, const struct vfs_node *node, const struct fuse_setattr_in *set)
{
    uint32_t mode = set->mode;
    if (S_ISLNK(node->type))
        return -EOPNOTSUPP; /* some kernels would change it and fail all the same */
    if (!hostdir_mode_allowed(hostdir, node->type, mode))
        return -EPERM;
    if (hostdir->mapped) {
        int rc = S_ISREG(node->type) || S_ISDIR(node->type) ? remember(hostdir, node, set, FATTR_MODE) : 0;
        if (rc < 0)
            return rc;
        mode = hostdir_safe_mode(node->type, mode);
    }
    return chmod(hostdir_proc_path(node->fd).text, mode) < 0 ? hostdir_error() : 0;
}

static struct timespec time_to_set(uint32_t valid, uint32_t given, uint32_t now, uint64_t sec, uint32_t nsec)
{
    if (valid & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (valid & given)
        return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
    return (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_times(const struct vfs_node *node, const struct fuse_setattr_in *set)
{
    struct timespec times[2] = {
        time_to_set(set->valid, FATTR_ATIME, FATTR_ATIME_NOW, set->atime, set->atimensec),
        time_to_set(set->valid, FATTR_MTIME, FATTR_MTIME_NOW, set->mtime, set->mtimensec),
    };
    return utimensat(node->fd, "", times, AT_EMPTY_PATH) < 0 ? hostdir_error() : 0;
}

static int hostdir_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                           const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    int rc = 0;
    if (set->valid & FATTR_SIZE)
        rc = set_size((struct hostdir *)vfs, node, file, set->size);
    if (rc == 0 && (set->valid & FATTR_KILL_SUIDGID))
        rc = hostdir_kill_suidgid((struct hostdir *)vfs, node->fd);
    if (rc == 0 && (set->valid & (FATTR_UID | FATTR_GID)))
        rc = set_owner((struct hostdir *)vfs, node, set);
    if (rc == 0 && (set->valid & FATTR_MODE)) /* after the owner, whose change clears suid and sgid */
        rc = set_mode((struct hostdir *)vfs, node, set);
    if (rc == 0 && (set->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW)))
        rc = set_times(node, set);
    return rc < 0 ? rc : hostdir_getattr(vfs, node, file, out);
}

static int hostdir_identify(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out)
{
    struct statx st;
    if (statx(node->fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) < 0)
        return hostdir_error();
    bool has_birth = st.stx_mask & STATX_BTIME;
    *out = (struct vfs_identity){.dev = node->dev,
                                 .ino = node->ino,
                                 .born_sec = has_birth ? st.stx_btime.tv_sec : 0,
                                 .born_nsec = has_birth ? st.stx_btime.tv_nsec : 0,
                                 .type = hostdir_shown_type((struct hostdir *)vfs, node->fd, node->type)};
    return 0;
}

static ssize_t hostdir_readlink(struct vfs *vfs, struct vfs_node *node, char *target, size_t size)
{
    (void)vfs;
    ssize_t len = readlinkat(node->fd, "", target, size);
    return len < 0 ? hostdir_error() : len;
}

static int hostdir_statfs(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out)
{
    (void)vfs;
    struct statfs st;
    if (fstatfs(node->fd, &st) < 0)
        return hostdir_error();
    *out = (struct fuse_kstatfs){
        .blocks = st.f_blocks,
        .bfree = st.f_bfree,
        .bavail = st.f_bavail,
        .files = st.f_files,
        .ffree = st.f_ffree,
        .bsize = (uint32_t)st.f_bsize,
        .namelen = st.f_namelen < NAME_LIMIT ? (uint32_t)st.f_namelen : NAME_LIMIT,
        .frsize = (uint32_t)(st.f_frsize ? st.f_frsize : st.f_bsize),
    };
    return 0;
}

static const struct vfs_ops OPS = {
    .root = hostdir_root,
    .forget = hostdir_forget,
    .lookup = hostdir_lookup,
    .getattr = hostdir_getattr,
    .setattr = hostdir_setattr,
    .readlink = hostdir_readlink,
    .statfs = hostdir_statfs,
    .mknod = hostdir_mknod,
    .mkdir = hostdir_mkdir,
    .symlink = hostdir_symlink,
    .link = hostdir_link,
    .unlink = hostdir_unlink,
    .rmdir = hostdir_rmdir,
    .rename = hostdir_rename,
    .create = hostdir_create,
    .open = hostdir_open,
    .opendir = hostdir_opendir,
    .release = hostdir_release,
    .read = hostdir_read,
    .write = hostdir_write,
    .readdir = hostdir_readdir,
    .fsync = hostdir_fsync,
    .fallocate = hostdir_fallocate,
    .lseek = hostdir_lseek,
    .copy = hostdir_copy,
    .path = hostdir_path,
    .identify = hostdir_identify,
    .lock_open = hostdir_lock_open,
    .setxattr = hostdir_setxattr,
    .getxattr = hostdir_getxattr,
    .listxattr = hostdir_listxattr,
    .removexattr = hostdir_removexattr,
};

static int open_root(struct hostdir *hostdir, int root_fd)
{
    struct vfs_entry entry;
    int fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        fd = open(hostdir_proc_path(root_fd).text, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return hostdir_error();
    int rc = hostdir_enter_fd(hostdir, fd, &entry);
    if (rc < 0)
        return rc;
    hostdir->root = entry.node;
    hostdir->devices[0] = entry.node->dev;
    hostdir->device_count = 1;
    return 0;
}

struct vfs *hostdir_new(const struct hostdir_config *config)
{
    struct hostdir *hostdir = calloc(1, sizeof *hostdir);
    if (!hostdir)
        return NULL;
    hostdir->vfs.ops = &OPS;
    hostdir->cred = config->cred;
    hostdir->allow_devices = config->allow_devices;
    hostdir->all_xattrs = config->all_xattrs;
    hostdir->one_owner = config->one_owner;
    hostdir->watch = config->watch;
    hostdir->mapped = config->mapped;
    hostdir->stand_ins = config->mapped || (config->stand_ins && !config->allow_devices);
    hostdir->direct = config->direct;
    hostdir->mounts_fd = config->mounts_fd;
    hostdir_cred_init(hostdir);
    pthread_mutex_init(&hostdir->lock, NULL);
    pthread_mutex_init(&hostdir->direct_lock, NULL);
    int rc = hash_init(&hostdir->nodes);
    if (rc == 0)
        rc = open_root(hostdir, config->root_fd);
    if (rc < 0) {
        hostdir_free(&hostdir->vfs);
        errno = -rc;
        return NULL;
    }
    return &hostdir->vfs;
}

void hostdir_free(struct vfs *vfs)
{
    if (!vfs)
        return;
    struct hostdir *hostdir = (struct hostdir *)vfs;
    if (hostdir->root)
        hostdir_forget(vfs, hostdir->root);
    hash_fini(&hostdir->nodes);
    pthread_mutex_destroy(&hostdir->lock);
    pthread_mutex_destroy(&hostdir->direct_lock);
    free(hostdir->bounce);
    free(hostdir);
}
