/* SPDX-License-Identifier: Apache-2.0 */
/* Reading host directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"

enum { ENTRIES_SIZE = 32 * 1024 };

int hostdir_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file)
{
    int fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hostdir_error();
    int rc = hostdir_file_new(vfs, fd, node->dev, file);
    if (rc < 0)
        return rc;
    (*file)->own_ino = node->ino;
    (*file)->is_root = node == ((struct hostdir *)vfs)->root;
    return 0;
}

/* Moves to another place than where the last call ended. From the start the directory is always read anew, as
 * rewinddir promises. */
static int go_to(struct vfs_file *dir, uint64_t offset)
{
    if (offset == dir->offset && offset != 0)
        return 0;
    dir->used = dir->at = 0;
    dir->offset = offset;
    return lseek(dir->fd, (off_t)offset, SEEK_SET) < 0 ? hostdir_error() : 0;
}

/* Returns the number of bytes read; 0 at the end. */
static ssize_t refill(struct vfs_file *dir)
{
    if (!dir->entries && !(dir->entries = malloc(ENTRIES_SIZE)))
        return -ENOMEM;
    ssize_t got = getdents64(dir->fd, dir->entries, ENTRIES_SIZE);
    dir->at = 0;
    dir->used = got > 0 ? (size_t)got : 0;
    return got < 0 ? hostdir_error() : got;
}

static struct vfs_dirent describe(struct hostdir *hostdir, const struct vfs_file *dir, const struct dirent64 *raw)
{
    ino_t ino = raw->d_ino;
    if (dir->is_root && !strcmp(raw->d_name, "..")) /* what lies above is not the peer's business */
        ino = dir->own_ino;
    return (struct vfs_dirent){
        .name = raw->d_name,
        .len = strlen(raw->d_name),
        .ino = hostdir_ino(hostdir, dir->dev, ino),
        .next = (uint64_t)raw->d_off,
        .type = hostdir_listed_type(hostdir, dir->fd, raw->d_name, raw->d_type),
    };
}

static int read_entries(struct hostdir *hostdir, struct vfs_file *dir, vfs_dirent_fn *emit, void *data)
{
    for (;;) {
        ssize_t left = dir->at < dir->used ? 1 : refill(dir);
        if (left <= 0)
            return (int)left;
        const struct dirent64 *raw = (const struct dirent64 *)(const void *)(dir->entries + dir->at);
        struct vfs_dirent entry = describe(hostdir, dir, raw);
        if (emit(data, &entry))
            return 0;
        dir->at += raw->d_reclen;
        dir->offset = entry.next;
    }
}

int hostdir_readdir(struct vfs *vfs, struct vfs_file *dir, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    pthread_mutex_lock(&dir->lock);
    int rc = go_to(dir, offset);
    if (rc == 0)
        rc = read_entries((struct hostdir *)vfs, dir, emit, data);
    pthread_mutex_unlock(&dir->lock);
    return rc;
}
