/* SPDX-License-Identifier: Apache-2.0 */
/* Large pieces that lengthen a file, on their way to the disk past the page cache. A processor that is emulated takes 75 us
 * to put one page into the cache of ext4 and out again; the disk takes 128 pages in 2 ms. Nothing can be cached beyond the
 * end of a file, so nothing has to be kept in step; writes in the middle would throw out what the guest works with. Reads
 * gain nothing: to find out what is cached, without asking the disk for it, costs as much. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"
#include "fs/wire.h"

enum {
    ALIGNMENT = 4096, /* of memory, offset and size: enough for every disk */
    WORTH_IT = 128 * 1024,
    HUGE_PAGE = 2 * 1024 * 1024,
    MOST_FILES = 64, /* at a time: nobody has counted on their descriptors */
};

static_assert((int)HUGE_PAGE >= (int)WIRE_IO_LIMIT, "a request fits one page");

bool hostdir_writes_direct(const struct hostdir *hostdir, const struct vfs_file *file, size_t size, uint64_t offset,
                           unsigned how)
{
    struct stat st;
    return hostdir->direct && !(how & (VFS_APPEND | VFS_DSYNC | VFS_SYNC)) && size >= WORTH_IT &&
           size <= WIRE_IO_LIMIT && size % ALIGNMENT == 0 && offset % ALIGNMENT == 0 &&
           file->direct_fd != HOSTDIR_NO_DIRECT && fstat(file->fd, &st) == 0 && (uint64_t)st.st_size <= offset;
}

/* Under the lock. A descriptor of its own: all else goes through the cache. Negative where there is none to be had. */
static int direct_fd(struct hostdir *hostdir, struct vfs_file *file)
{
    if (file->direct_fd != HOSTDIR_DIRECT_UNKNOWN || hostdir->direct_files == MOST_FILES)
        return file->direct_fd;
    int fd = open(hostdir_proc_path(file->fd).text, O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY);
    hostdir->direct_files += fd >= 0;
    file->direct_fd = fd >= 0 ? fd : HOSTDIR_NO_DIRECT;
    return file->direct_fd;
}

/* One page where the kernel has those (since Linux 6.1, whatever is set for programs): the disk is then given one address
 * instead of 256. Only what has been touched can become one. */
static void *bounce_memory(void)
{
    void *memory;
    if (posix_memalign(&memory, HUGE_PAGE, HUGE_PAGE) != 0)
        return NULL;
    *(volatile char *)memory = 0;
    madvise(memory, HUGE_PAGE, MADV_COLLAPSE);
    return memory;
}

/* Under the lock. The peer's memory may be a device's, which no other device can fetch from (fs/window.h). */
static const void *aligned_copy(struct hostdir *hostdir, const void *buf, size_t size)
{
    if (!hostdir->bounce)
        hostdir->bounce = bounce_memory();
    return hostdir->bounce ? memcpy(hostdir->bounce, buf, size) : NULL;
}

size_t hostdir_write_direct(struct hostdir *hostdir, struct vfs_file *file, const void *buf, size_t size,
                            uint64_t offset)
{
    pthread_mutex_lock(&hostdir->direct_lock);
    int fd = direct_fd(hostdir, file);
    const void *copy = fd >= 0 ? aligned_copy(hostdir, buf, size) : NULL;
    ssize_t put = copy ? pwrite(fd, copy, size, (off_t)offset) : 0;
    pthread_mutex_unlock(&hostdir->direct_lock);
    return put > 0 ? (size_t)put : 0;
}

void hostdir_release_direct(struct hostdir *hostdir, struct vfs_file *file)
{
    if (file->direct_fd < 0)
        return;
    close(file->direct_fd);
    pthread_mutex_lock(&hostdir->direct_lock);
    hostdir->direct_files--;
    pthread_mutex_unlock(&hostdir->direct_lock);
}
