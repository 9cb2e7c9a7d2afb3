/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mounttable.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/vfs.h"

/* A mount's place in the upper bits of inode numbers: two mounts of different file systems would otherwise show the same
 * number for two files, and programs would take them for one. (fs/hostdir uses bits 48 to 55 itself.) */
enum { INO_SHIFT = 56, TABLE_INO = 1, NAME_SIZE = 12, DOTS = 2 };

struct vfs_node {
    struct vfs_member member; /* first */
};

struct vfs_file {
    struct vfs_member member; /* first */
};

struct mount {
    char name[NAME_SIZE]; /* "": taken out, or never used */
    struct vfs *stack;    /* NULL: never used */
    uint64_t ino_bits;
    struct mount_counters *counters;
};

struct mounttable {
    struct vfs vfs; /* first */
    struct vfs_node root;
    struct timespec made;
    pthread_mutex_t lock; /* for all below */
    struct mount mounts[MOUNTTABLE_MAX];
};

/* ---- counting ---- */

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void count(const struct mount *mount, uint64_t began, int64_t result)
{
    uint64_t us = now_us() - began;
    unsigned bucket = 0;
    while (bucket < MOUNTTABLE_BUCKETS - 1 && us >= UINT64_C(1) << bucket)
        bucket++;
    add(&mount->counters->requests, 1);
    add(&mount->counters->total_us, us);
    add(&mount->counters->latency[bucket], 1);
    /* EAGAIN: the same request comes again where it may wait */
    if (result < 0 && result != -ENOENT && result != -ENODATA && result != -EAGAIN)
        add(&mount->counters->errors, 1);
}

/* Whose request it is, and the provider to call; only for what does not belong to the table itself. */
#define MOUNT_OF(member) ((const struct mount *)vfs_top(member)->mounted)
#define COUNTED(mount, call)                                                                        \
    __extension__({                                                                                 \
        uint64_t began_ = now_us();                                                                 \
        __typeof__(call) result_ = (call);                                                          \
        count(mount, began_, (int64_t)result_);                                                     \
        result_;                                                                                    \
    })
/* The operation on the stack that a node or a file belongs to, counted. */
#define PASS(op, member, ...)                                                                       \
    COUNTED(MOUNT_OF(member), vfs_top(member)->ops->op(vfs_top(member), member, __VA_ARGS__))

static bool is_own(const struct vfs *vfs, const void *member)
{
    return ((const struct vfs_member *)member)->vfs == vfs;
}

static bool same_mount(const void *a, const void *b)
{
    return vfs_top(a) == vfs_top(b);
}

static int shown(const struct mount *mount, int rc, struct fuse_attr *attr)
{
    if (rc >= 0)
        attr->ino ^= mount->ino_bits;
    return rc;
}

/* ---- the table's own directory ---- */

static void own_attr(const struct mounttable *table, struct fuse_attr *attr)
{
    *attr = (struct fuse_attr){.ino = TABLE_INO, .mode = S_IFDIR | 0700, .nlink = 2, .blksize = 4096,
                               .ctime = (uint64_t)table->made.tv_sec, .mtime = (uint64_t)table->made.tv_sec,
                               .atime = (uint64_t)table->made.tv_sec};
}

static int table_root(struct vfs *vfs, struct vfs_entry *out)
{
    struct mounttable *table = (struct mounttable *)vfs;
    out->node = &table->root;
    own_attr(table, &out->attr);
    return 0;
}

static void table_forget(struct vfs *vfs, struct vfs_node *node)
{
    if (!is_own(vfs, node))
        vfs_top(node)->ops->forget(vfs_top(node), node);
}

static struct mount *find(struct mounttable *table, const char *name)
{
    for (size_t i = 0; *name && i < MOUNTTABLE_MAX; i++)
        if (strcmp(table->mounts[i].name, name) == 0)
            return &table->mounts[i];
    return NULL;
}

static int lookup_mount(struct mounttable *table, const char *name, struct vfs_entry *out)
{
    pthread_mutex_lock(&table->lock);
    const struct mount *mount = find(table, name);
    pthread_mutex_unlock(&table->lock);
    if (!mount)
        return -ENOENT;
    return shown(mount, COUNTED(mount, mount->stack->ops->root(mount->stack, out)), &out->attr);
}

static int table_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    if (is_own(vfs, dir))
        return lookup_mount((struct mounttable *)vfs, name, out);
    return shown(MOUNT_OF(dir), PASS(lookup, dir, name, out), &out->attr);
}

static int table_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file)
{
    if (!is_own(vfs, node))
        return PASS(opendir, node, file);
    *file = calloc(1, sizeof **file);
    if (!*file)
        return -ENOMEM;
    (*file)->member.vfs = vfs;
    return 0;
}

static void table_release(struct vfs *vfs, struct vfs_file *file)
{
    if (is_own(vfs, file))
        free(file);
    else
        vfs_top(file)->ops->release(vfs_top(file), file);
}

/* Offset N stands before the Nth of ".", "..", and the places of the table. */
static int read_own(struct mounttable *table, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    for (uint64_t at = offset; at < DOTS + MOUNTTABLE_MAX; at++) {
        char name[NAME_SIZE] = "..";
        if (at < DOTS) {
            name[at + 1] = '\0';
        } else {
            pthread_mutex_lock(&table->lock);
            memcpy(name, table->mounts[at - DOTS].name, sizeof name);
            pthread_mutex_unlock(&table->lock);
        }
        const struct vfs_dirent entry = {.name = name, .len = strlen(name), .ino = TABLE_INO, .next = at + 1,
                                         .type = at < DOTS ? S_IFDIR >> 12 : 0};
        if (entry.len && emit(data, &entry))
            break;
    }
    return 0;
}

struct listing {
    uint64_t ino_bits;
    vfs_dirent_fn *emit;
    void *data;
};

static int emit_shown(void *data, const struct vfs_dirent *entry)
{
    const struct listing *listing = data;
    struct vfs_dirent changed = *entry;
    changed.ino ^= listing->ino_bits;
    return listing->emit(listing->data, &changed);
}

static int table_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    if (is_own(vfs, dir))
        return read_own((struct mounttable *)vfs, offset, emit, data);
    struct listing listing = {.ino_bits = MOUNT_OF(dir)->ino_bits, .emit = emit, .data = data};
    return PASS(readdir, dir, offset, emit_shown, &listing);
}

/* ---- attributes ---- */

static int table_getattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file, struct fuse_attr *out)
{
    if (is_own(vfs, node)) {
        own_attr((struct mounttable *)vfs, out);
        return 0;
    }
    return shown(MOUNT_OF(node), PASS(getattr, node, file, out), out);
}

static int table_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                         const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    if (is_own(vfs, node))
        return -EROFS;
    return shown(MOUNT_OF(node), PASS(setattr, node, file, set, out), out);
}

static ssize_t table_readlink(struct vfs *vfs, struct vfs_node *node, char *target, size_t size)
{
    return is_own(vfs, node) ? -EINVAL : PASS(readlink, node, target, size);
}

static int table_statfs(struct vfs *vfs, struct vfs_node *node, struct fuse_kstatfs *out)
{
    if (is_own(vfs, node)) {
        *out = (struct fuse_kstatfs){.bsize = 4096, .frsize = 4096, .namelen = 255};
        return 0;
    }
    return PASS(statfs, node, out);
}

static int table_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                          int flags)
{
    return is_own(vfs, node) ? -EROFS : PASS(setxattr, node, name, value, size, flags);
}

static ssize_t table_getxattr(struct vfs *vfs, struct vfs_node *node, const char *name, void *value, size_t size)
{
    return is_own(vfs, node) ? -ENODATA : PASS(getxattr, node, name, value, size);
}

static ssize_t table_listxattr(struct vfs *vfs, struct vfs_node *node, char *list, size_t size)
{
    return is_own(vfs, node) ? 0 : PASS(listxattr, node, list, size);
}

static int table_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    return is_own(vfs, node) ? -EROFS : PASS(removexattr, node, name);
}

/* ---- names ---- */

#define MAKE(op, dir, ...)                                                                          \
    (is_own(vfs, dir) ? -EROFS                                                                      \
                      : shown(MOUNT_OF(dir),                                                        \
                              COUNTED(MOUNT_OF(dir), vfs_top(dir)->ops->op(vfs_top(dir), cred, dir, __VA_ARGS__)),      \
                              &out->attr))

static int table_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                       uint32_t mode, uint32_t rdev, struct vfs_entry *out)
{
    return MAKE(mknod, dir, name, mode, rdev, out);
}

static int table_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                       uint32_t mode, struct vfs_entry *out)
{
    return MAKE(mkdir, dir, name, mode, out);
}

static int table_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                         const char *target, struct vfs_entry *out)
{
    return MAKE(symlink, dir, name, target, out);
}

static int table_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    return MAKE(create, dir, name, mode, flags, how, out, file);
}

static int table_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name,
                      struct vfs_entry *out)
{
    if (is_own(vfs, dir))
        return -EROFS;
    if (!same_mount(node, dir))
        return -EXDEV;
    return shown(MOUNT_OF(dir), PASS(link, node, dir, name, out), &out->attr);
}

static int table_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return is_own(vfs, dir) ? -EROFS : PASS(unlink, dir, name);
}

static int table_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    return is_own(vfs, dir) ? -EROFS : PASS(rmdir, dir, name);
}

static int table_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                        const char *new_name, uint32_t flags)
{
    if (is_own(vfs, dir))
        return -EROFS;
    return same_mount(dir, new_dir) ? PASS(rename, dir, name, new_dir, new_name, flags) : -EXDEV;
}

/* ---- files: the table itself has none ---- */

static int table_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    return is_own(vfs, node) ? -EISDIR : PASS(open, node, flags, how, file);
}

static ssize_t table_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    (void)vfs;
    ssize_t got = PASS(read, file, buf, size, offset, how);
    if (got > 0)
        add(&MOUNT_OF(file)->counters->bytes_read, (uint64_t)got);
    return got;
}

static ssize_t table_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                           unsigned how)
{
    (void)vfs;
    ssize_t put = PASS(write, file, buf, size, offset, how);
    if (put > 0)
        add(&MOUNT_OF(file)->counters->bytes_written, (uint64_t)put);
    return put;
}

static int table_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    return is_own(vfs, file) ? 0 : PASS(fsync, file, data_only);
}

static int table_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    (void)vfs;
    return PASS(fallocate, file, mode, offset, length);
}

static int64_t table_lseek(struct vfs *vfs, struct vfs_file *file, uint64_t offset, uint32_t whence)
{
    (void)vfs;
    return PASS(lseek, file, offset, whence);
}

static ssize_t table_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                          uint64_t offset_out, size_t length)
{
    (void)vfs;
    return same_mount(in, out) ? PASS(copy, in, offset_in, out, offset_out, length) : -EXDEV;
}

/* The name of a mount that has been taken out leads nowhere. */
static int table_path(struct vfs *vfs, struct vfs_node *node, char *path, size_t size)
{
    struct mounttable *table = (struct mounttable *)vfs;
    if (is_own(vfs, node))
        return -ENOENT;
    struct vfs *stack = vfs_top(node);
    const struct mount *mount = stack->mounted;
    pthread_mutex_lock(&table->lock);
    int len = snprintf(path, size, "%s%s", mount->name, mount->name[0] ? "/" : "");
    pthread_mutex_unlock(&table->lock);
    if (len == 0 || !stack->ops->path)
        return -ENOENT;
    return (size_t)len < size ? stack->ops->path(stack, node, path + len, size - (size_t)len) : -ENAMETOOLONG;
}

static int table_identify(struct vfs *vfs, struct vfs_node *node, struct vfs_identity *out)
{
    struct vfs *stack = vfs_top(node);
    return !is_own(vfs, node) && stack->ops->identify ? stack->ops->identify(stack, node, out) : -ENOENT;
}

static int table_lock_open(struct vfs *vfs, struct vfs_node *node)
{
    (void)vfs;
    return vfs_top(node)->ops->lock_open(vfs_top(node), node);
}

static const struct vfs_ops OPS = {
    .root = table_root,
    .forget = table_forget,
    .lookup = table_lookup,
    .getattr = table_getattr,
    .setattr = table_setattr,
    .readlink = table_readlink,
    .statfs = table_statfs,
    .mknod = table_mknod,
    .mkdir = table_mkdir,
    .symlink = table_symlink,
    .link = table_link,
    .unlink = table_unlink,
    .rmdir = table_rmdir,
    .rename = table_rename,
    .create = table_create,
    .open = table_open,
    .opendir = table_opendir,
    .release = table_release,
    .read = table_read,
    .write = table_write,
    .readdir = table_readdir,
    .fsync = table_fsync,
    .fallocate = table_fallocate,
    .lseek = table_lseek,
    .copy = table_copy,
    .path = table_path,
    .identify = table_identify,
    .lock_open = table_lock_open,
    .setxattr = table_setxattr,
    .getxattr = table_getxattr,
    .listxattr = table_listxattr,
    .removexattr = table_removexattr,
};

struct vfs *mounttable_new(void)
{
    struct mounttable *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->vfs.ops = &OPS;
    table->root.member.vfs = &table->vfs;
    clock_gettime(CLOCK_REALTIME, &table->made);
    pthread_mutex_init(&table->lock, NULL);
    return &table->vfs;
}

int mounttable_add(struct vfs *vfs, uint32_t id, struct vfs *stack, struct mount_counters *counters)
{
    struct mounttable *table = (struct mounttable *)vfs;
    char name[NAME_SIZE];
    int rc = -ENOSPC;
    snprintf(name, sizeof name, "%u", id);
    pthread_mutex_lock(&table->lock);
    if (find(table, name))
        rc = -EEXIST;
    for (size_t i = 0; rc == -ENOSPC && i < MOUNTTABLE_MAX; i++) {
        struct mount *mount = &table->mounts[i];
        if (mount->stack)
            continue;
        *mount = (struct mount){.stack = stack, .ino_bits = (uint64_t)i << INO_SHIFT, .counters = counters};
        memcpy(mount->name, name, sizeof name);
        stack->mounted = mount;
        rc = 0;
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

int mounttable_remove(struct vfs *vfs, uint32_t id)
{
    struct mounttable *table = (struct mounttable *)vfs;
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%u", id);
    pthread_mutex_lock(&table->lock);
    struct mount *mount = find(table, name);
    if (mount)
        mount->name[0] = '\0';
    pthread_mutex_unlock(&table->lock);
    return mount ? 0 : -ENOENT;
}

struct vfs_node *mounttable_root(struct vfs *vfs)
{
    return &((struct mounttable *)vfs)->root;
}

void mounttable_free(struct vfs *vfs)
{
    if (!vfs)
        return;
    pthread_mutex_destroy(&((struct mounttable *)vfs)->lock);
    free(vfs);
}
