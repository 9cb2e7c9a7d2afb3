/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes, attributes and data in memory. */
#include "fs/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/memory_internal.h"

int memory_take(struct memory *m, uint64_t bytes)
{
    if (bytes > m->size - m->used)
        return -ENOSPC;
    m->used += bytes;
    return 0;
}

void memory_give(struct memory *m, uint64_t bytes)
{
    m->used -= bytes;
}

/* ---- inodes ---- */

void memory_touch(struct vfs_node *node, bool modified)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    node->attr.ctime = (uint64_t)now.tv_sec;
    node->attr.ctimensec = (uint32_t)now.tv_nsec;
    if (modified) {
        node->attr.mtime = node->attr.ctime;
        node->attr.mtimensec = node->attr.ctimensec;
    }
}

/* A directory that is setgid gives its group on, and to directories the bit itself. */
static void set_group(struct vfs_node *node, const struct vfs_node *dir)
{
    if (!dir || !(dir->attr.mode & S_ISGID))
        return;
    node->attr.gid = dir->attr.gid;
    if (S_ISDIR(node->attr.mode))
        node->attr.mode |= S_ISGID;
}

struct vfs_node *memory_node_new(struct memory *m, const struct vfs_cred *cred, struct vfs_node *dir, uint32_t mode,
                                 int *rc)
{
    *rc = memory_take(m, MEMORY_INODE_COST);
    if (*rc < 0)
        return NULL;
    struct vfs_node *node = calloc(1, sizeof *node);
    if (!node) {
        memory_give(m, MEMORY_INODE_COST);
        *rc = -ENOMEM;
        return NULL;
    }
    node->member.vfs = &m->vfs;
    node->refs = 1;
    node->lock_fd = -1;
    node->attr = (struct fuse_attr){.flags = VFS_KEEP_ATTR | VFS_KEEP_NAME, .ino = ++m->last_ino, .mode = mode,
                                    .uid = cred->uid, .gid = cred->gid, .blksize = MEMORY_PAGE};
    if (S_ISDIR(mode))
        node->names.last_cookie = MEMORY_DOT_COOKIES;
    set_group(node, dir);
    memory_touch(node, true);
    node->attr.atime = node->attr.mtime;
    node->attr.atimensec = node->attr.mtimensec;
    node->born_sec = (int64_t)node->attr.mtime;
    node->born_nsec = node->attr.mtimensec;
    m->inodes++;
    return node;
}

/* Gives back what is behind the first `count` pages of the list, in fact and not only in the account: the peer decides how
 * many files it does this to. */
static void shorten(struct memory *m, struct vfs_node *node, size_t count)
{
    memory_give(m, (node->pages.count - count) * sizeof *node->pages.list);
    node->pages.count = count;
    uint8_t **list = count ? reallocarray(node->pages.list, count, sizeof *list) : NULL;
    if (!count)
        free(node->pages.list);
    if (list || !count)
        node->pages.list = list;
}

static void drop_pages(struct memory *m, struct vfs_node *node, size_t from)
{
    for (size_t i = from; i < node->pages.count; i++) {
        if (!node->pages.list[i])
            continue;
        free(node->pages.list[i]);
        node->pages.list[i] = NULL;
        node->attr.blocks -= MEMORY_PAGE / 512;
        memory_give(m, MEMORY_PAGE);
    }
    if (from < node->pages.count)
        shorten(m, node, from);
}

static void drop_target(struct memory *m, struct vfs_node *node)
{
    memory_give(m, node->attr.size);
    free(node->target);
}

void memory_free_if_unused(struct memory *m, struct vfs_node *node)
{
    if (node->refs > 0 || node->attr.nlink > 0)
        return;
    if (node->lock_fd >= 0)
        close(node->lock_fd);
    if (S_ISREG(node->attr.mode))
        drop_pages(m, node, 0);
    else if (S_ISLNK(node->attr.mode))
        drop_target(m, node);
    else if (S_ISDIR(node->attr.mode))
        memory_names_free(m, node);
    memory_xattrs_free(m, node);
    free(node);
    m->inodes--;
    memory_give(m, MEMORY_INODE_COST);
}

void memory_unref(struct memory *m, struct vfs_node *node)
{
    node->refs--;
    memory_free_if_unused(m, node);
}

static int memory_root(struct vfs *vfs, struct vfs_entry *out)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    m->root->refs++;
    *out = (struct vfs_entry){.node = m->root, .attr = m->root->attr};
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static void memory_forget(struct vfs *vfs, struct vfs_node *node)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    memory_unref(m, node);
    pthread_mutex_unlock(&m->lock);
}

/* ---- data ---- */

int memory_lengthen(struct memory *m, struct vfs_node *node, size_t count)
{
    uint64_t more = (count - node->pages.count) * sizeof *node->pages.list;
    int rc = memory_take(m, more);
    if (rc < 0)
        return rc;
    uint8_t **list = reallocarray(node->pages.list, count, sizeof *list);
    if (!list) {
        memory_give(m, more);
        return -ENOMEM;
    }
    memset(list + node->pages.count, 0, more);
    node->pages.list = list;
    node->pages.count = count;
    return 0;
}

uint8_t *memory_page_at(struct memory *m, struct vfs_node *node, size_t index, int *rc)
{
    if (index >= node->pages.count)
        *rc = memory_lengthen(m, node, index + 1 + index / 4);
    if (*rc < 0)
        return NULL;
    if (node->pages.list[index])
        return node->pages.list[index];
    *rc = memory_take(m, MEMORY_PAGE);
    if (*rc < 0)
        return NULL;
    node->pages.list[index] = calloc(1, MEMORY_PAGE);
    if (!node->pages.list[index]) {
        memory_give(m, MEMORY_PAGE);
        *rc = -ENOMEM;
        return NULL;
    }
    node->attr.blocks += MEMORY_PAGE / 512;
    return node->pages.list[index];
}

bool memory_too_long(const struct memory *m, uint64_t end)
{
    return end / MEMORY_PAGE > m->size / sizeof(void *);
}

static void clear_range(struct memory *m, struct vfs_node *node, uint64_t offset, uint64_t end)
{
    while (offset < end && offset / MEMORY_PAGE < node->pages.count) {
        size_t index = offset / MEMORY_PAGE, start = offset % MEMORY_PAGE;
        size_t len = end - offset < MEMORY_PAGE - start ? (size_t)(end - offset) : MEMORY_PAGE - start;
        uint8_t *page = node->pages.list[index];
        if (page && len == MEMORY_PAGE) {
            free(page);
            node->pages.list[index] = NULL;
            node->attr.blocks -= MEMORY_PAGE / 512;
            memory_give(m, MEMORY_PAGE);
        } else if (page) {
            memset(page + start, 0, len);
        }
        offset += len;
    }
}

static int resize(struct memory *m, struct vfs_node *node, uint64_t size)
{
    if (!S_ISREG(node->attr.mode))
        return -EINVAL;
    if (memory_too_long(m, size))
        return -EFBIG;
    if (size < node->attr.size) {
        clear_range(m, node, size, (size + MEMORY_PAGE - 1) / MEMORY_PAGE * MEMORY_PAGE);
        drop_pages(m, node, (size_t)((size + MEMORY_PAGE - 1) / MEMORY_PAGE));
    }
    node->attr.size = size;
    memory_touch(node, true);
    return 0;
}

static void kill_suidgid(struct vfs_node *node)
{
    node->attr.mode &= ~(uint32_t)S_ISUID;
    if ((node->attr.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        node->attr.mode &= ~(uint32_t)S_ISGID;
}

static int file_new(struct memory *m, struct vfs_node *node, struct vfs_file **out)
{
    struct vfs_file *file = malloc(sizeof *file);
    if (!file)
        return -ENOMEM;
    *file = (struct vfs_file){.member.vfs = &m->vfs, .node = node};
    node->refs++;
    *out = file;
    return 0;
}

int memory_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = S_ISREG(node->attr.mode) ? 0 : -EOPNOTSUPP;
    if (rc == 0 && (flags & O_TRUNC))
        rc = resize(m, node, 0);
    if (rc == 0 && (how & VFS_KILL_SUIDGID))
        kill_suidgid(node);
    if (rc == 0)
        rc = file_new(m, node, file);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int memory_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    int rc = file_new(m, node, file);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static void memory_release(struct vfs *vfs, struct vfs_file *file)
{
    memory_forget(vfs, file->node);
    free(file);
}

static ssize_t memory_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    struct memory *m = memory_of(vfs);
    const struct vfs_node *node = file->node;
    size_t done = 0;
    (void)how;
    pthread_mutex_lock(&m->lock);
    uint64_t left = offset < node->attr.size ? node->attr.size - offset : 0;
    if (size > left)
        size = (size_t)left;
    while (done < size) {
        size_t index = (offset + done) / MEMORY_PAGE, start = (offset + done) % MEMORY_PAGE;
        size_t len = size - done < MEMORY_PAGE - start ? size - done : MEMORY_PAGE - start;
        const uint8_t *page = index < node->pages.count ? node->pages.list[index] : NULL;
        if (page)
            memcpy((uint8_t *)buf + done, page + start, len);
        else
            memset((uint8_t *)buf + done, 0, len);
        done += len;
    }
    pthread_mutex_unlock(&m->lock);
    return (ssize_t)done;
}

static ssize_t write_locked(struct memory *m, struct vfs_node *node, const uint8_t *buf, size_t size, uint64_t offset)
{
    size_t done = 0;
    int rc = memory_too_long(m, offset + size) ? -EFBIG : 0;
    while (rc == 0 && done < size) {
        size_t start = (offset + done) % MEMORY_PAGE;
        size_t len = size - done < MEMORY_PAGE - start ? size - done : MEMORY_PAGE - start;
        uint8_t *page = memory_page_at(m, node, (size_t)((offset + done) / MEMORY_PAGE), &rc);
        if (!page)
            break;
        memcpy(page + start, buf + done, len);
        done += len;
    }
    if (done > 0 && offset + done > node->attr.size)
        node->attr.size = offset + done;
    if (done > 0)
        memory_touch(node, true);
    return done > 0 ? (ssize_t)done : rc;
}

static ssize_t memory_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                            unsigned how)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    if (how & VFS_KILL_SUIDGID)
        kill_suidgid(file->node);
    ssize_t put = write_locked(m, file->node, buf, size, how & VFS_APPEND ? file->node->attr.size : offset);
    pthread_mutex_unlock(&m->lock);
    return put;
}

static int memory_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    (void)vfs, (void)file, (void)data_only;
    return 0;
}

static int allocate(struct memory *m, struct vfs_node *node, uint64_t offset, uint64_t end)
{
    int rc = memory_too_long(m, end) ? -EFBIG : 0;
    for (uint64_t at = offset / MEMORY_PAGE; rc == 0 && at * MEMORY_PAGE < end; at++)
        memory_page_at(m, node, (size_t)at, &rc);
    return rc;
}

static int memory_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    struct memory *m = memory_of(vfs);
    struct vfs_node *node = file->node;
    uint64_t end = offset + length;
    int rc = 0;
    if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    pthread_mutex_lock(&m->lock);
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        clear_range(m, node, offset, end);
    if (!(mode & FALLOC_FL_PUNCH_HOLE))
        rc = allocate(m, node, offset, end);
    if (rc == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && end > node->attr.size)
        node->attr.size = end;
    if (rc == 0)
        memory_touch(node, true);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int64_t memory_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence)
{
    struct memory *m = memory_of(vfs);
    const struct vfs_node *node = file->node;
    int64_t found = -ENXIO;
    pthread_mutex_lock(&m->lock);
    for (uint64_t at = offset; at < node->attr.size; at = (at / MEMORY_PAGE + 1) * MEMORY_PAGE) {
        bool data = at / MEMORY_PAGE < node->pages.count && node->pages.list[at / MEMORY_PAGE];
        if (data == (whence == SEEK_DATA)) {
            found = (int64_t)at;
            break;
        }
    }
    if (found < 0 && whence == SEEK_HOLE && offset < node->attr.size)
        found = (int64_t)node->attr.size;
    pthread_mutex_unlock(&m->lock);
    return found;
}

static ssize_t memory_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                           uint64_t offset_out, size_t length)
{
    uint8_t piece[MEMORY_PAGE];
    size_t done = 0;
    while (done < length) {
        size_t want = length - done < sizeof piece ? length - done : sizeof piece;
        ssize_t got = memory_read(vfs, in, piece, want, offset_in + done, 0);
        ssize_t put = got > 0 ? memory_write(vfs, out, piece, (size_t)got, offset_out + done, 0) : got;
        if (put <= 0)
            return done > 0 ? (ssize_t)done : put;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

static int memory_lock_open(struct vfs *vfs, struct vfs_node *node)
{
    struct memory *m = memory_of(vfs);
    char path[32];
    pthread_mutex_lock(&m->lock);
    if (node->lock_fd < 0)
        node->lock_fd = memfd_create("lock", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", node->lock_fd);
    int fd = node->lock_fd < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* ---- attributes ---- */

static int memory_getattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out)
{
    struct memory *m = memory_of(vfs);
    (void)file;
    pthread_mutex_lock(&m->lock);
    *out = node->attr;
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static void set_time(uint32_t valid, uint32_t given, uint32_t now, uint64_t sec, uint32_t nsec, uint64_t *out_sec,
                     uint32_t *out_nsec)
{
    struct timespec ts = {.tv_sec = (time_t)sec, .tv_nsec = nsec};
    if (!(valid & (given | now)))
        return;
    if (valid & now)
        clock_gettime(CLOCK_REALTIME, &ts);
    *out_sec = (uint64_t)ts.tv_sec;
    *out_nsec = (uint32_t)ts.tv_nsec;
}

static int set_locked(struct memory *m, struct vfs_node *node, const struct fuse_setattr_in *set)
{
    struct fuse_attr *attr = &node->attr;
    int rc = set->valid & FATTR_SIZE ? resize(m, node, set->size) : 0;
    if (rc < 0)
        return rc;
    if (set->valid & FATTR_UID)
        attr->uid = set->uid;
    if (set->valid & FATTR_GID)
        attr->gid = set->gid;
    if ((set->valid & FATTR_KILL_SUIDGID) || ((set->valid & (FATTR_UID | FATTR_GID)) && S_ISREG(attr->mode)))
        kill_suidgid(node);
    if (set->valid & FATTR_MODE)
        attr->mode = (attr->mode & S_IFMT) | set->mode;
    set_time(set->valid, FATTR_ATIME, FATTR_ATIME_NOW, set->atime, set->atimensec, &attr->atime, &attr->atimensec);
    set_time(set->valid, FATTR_MTIME, FATTR_MTIME_NOW, set->mtime, set->mtimensec, &attr->mtime, &attr->mtimensec);
    memory_touch(node, false);
    return 0;
}

static int memory_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                          const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    struct memory *m = memory_of(vfs);
    (void)file;
    pthread_mutex_lock(&m->lock);
    int rc = set_locked(m, node, set);
    *out = node->attr;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int memory_identify(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out)
{
    struct memory *m = memory_of(vfs);
    pthread_mutex_lock(&m->lock);
    *out = (struct vfs_identity){.ino = node->attr.ino,
                                 .born_sec = node->born_sec,
                                 .born_nsec = node->born_nsec,
                                 .type = node->attr.mode & S_IFMT};
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static ssize_t memory_readlink(struct vfs *vfs, struct vfs_node *node, char *target, size_t size)
{
    (void)vfs; /* a target never changes */
    size_t len = strlen(node->target);
    len = len < size ? len : size;
    memcpy(target, node->target, len);
    return (ssize_t)len;
}

static int memory_statfs(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out)
{
    struct memory *m = memory_of(vfs);
    (void)node;
    pthread_mutex_lock(&m->lock);
    uint64_t left = m->size - m->used;
    *out = (struct fuse_kstatfs){.blocks = m->size / MEMORY_PAGE, .bfree = left / MEMORY_PAGE,
                                 .bavail = left / MEMORY_PAGE, .files = m->inodes + left / MEMORY_INODE_COST,
                                 .ffree = left / MEMORY_INODE_COST, .bsize = MEMORY_PAGE, .frsize = MEMORY_PAGE,
                                 .namelen = 255};
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static const struct vfs_ops OPS = {
    .root = memory_root,
    .forget = memory_forget,
    .lookup = memory_lookup,
    .getattr = memory_getattr,
    .setattr = memory_setattr,
    .readlink = memory_readlink,
    .statfs = memory_statfs,
    .mknod = memory_mknod,
    .mkdir = memory_mkdir,
    .symlink = memory_symlink,
    .link = memory_link,
    .unlink = memory_unlink,
    .rmdir = memory_rmdir,
    .rename = memory_rename,
    .create = memory_create,
    .open = memory_open,
    .opendir = memory_opendir,
    .release = memory_release,
    .read = memory_read,
    .write = memory_write,
    .readdir = memory_readdir,
    .fsync = memory_fsync,
    .fallocate = memory_fallocate,
    .lseek = memory_lseek,
    .copy = memory_copy,
    .save = memory_save,
    .load = memory_load,
    .path = memory_path,
    .identify = memory_identify,
    .lock_open = memory_lock_open,
    .setxattr = memory_setxattr,
    .getxattr = memory_getxattr,
    .listxattr = memory_listxattr,
    .removexattr = memory_removexattr,
};

struct vfs *memory_new(uint64_t size)
{
    static const struct vfs_cred root = {0};
    struct memory *m = calloc(1, sizeof *m);
    int rc = -ENOMEM;
    if (!m)
        return NULL;
    m->vfs.ops = &OPS;
    m->size = size;
    m->last_ino = MEMORY_FIRST_INO;
    pthread_mutex_init(&m->lock, NULL);
    if (hash_init(&m->names) == 0)
        m->root = memory_node_new(m, &root, NULL, S_IFDIR | 01777, &rc);
    if (m->root) {
        m->root->attr.nlink = 2;
        return &m->vfs;
    }
    memory_free(&m->vfs);
    errno = -rc;
    return NULL;
}

void memory_free(struct vfs *vfs)
{
    if (!vfs)
        return;
    struct memory *m = memory_of(vfs);
    if (m->root) {
        memory_names_clear(m);
        m->root->attr.nlink = 0;
        memory_unref(m, m->root);
    }
    hash_fini(&m->names);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
