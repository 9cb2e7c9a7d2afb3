/* SPDX-License-Identifier: Apache-2.0 */
#include "images/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "src/cleanup.h"

enum { CHUNK = 256 * 1024, OPEN_DIRECTORIES = 64 };

int files_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

char *files_read(const char *path, size_t max, size_t *length)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    if ((uintmax_t)st.st_size > max) {
        errno = E2BIG;
        return NULL;
    }
    /* One byte more than its size shows whether it grew, or is one of those (in /proc) that do not know theirs. */
    size_t room = st.st_size > 0 ? (size_t)st.st_size + 1 : max + 1, have = 0;
    cleanup_free char *text = malloc(room + 1);
    ssize_t n = 0;
    while (text && have < room && (n = read(fd, text + have, room - have)) > 0)
        have += (size_t)n;
    if (!text || n < 0)
        return NULL;
    if (have == room) {
        errno = E2BIG;
        return NULL;
    }
    text[have] = '\0';
    if (length)
        *length = have;
    return steal_pointer(&text);
}

static int make_directory(const char *path, mode_t mode)
{
    struct stat st;
    if (mkdir(path, mode) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return -errno;
}

int files_make_directories(const char *path, mode_t mode)
{
    cleanup_free char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int code = make_directory(copy, mode);
        if (code < 0)
            return code;
        *slash = '/';
    }
    return make_directory(path, mode);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (remove(path) == 0 || errno == ENOENT)
        return 0;
    /* An unreadable directory is reported before its contents could be visited. */
    if (type == FTW_DNR)
        errno = EACCES;
    return -1;
}

int files_remove_tree(const char *path)
{
    if (nftw(path, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
        return 0;
    return -errno;
}

int files_copy(int from, const char *to, mode_t mode)
{
    cleanup_close int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    cleanup_free char *buffer = malloc(CHUNK);
    off_t offset = 0;
    ssize_t n;
    int code = 0;

    if (fd < 0 || !buffer)
        return -errno;
    while (code == 0 && (n = pread(from, buffer, CHUNK, offset)) != 0) {
        code = n < 0 ? -errno : files_write(fd, buffer, (size_t)n);
        offset += n;
    }
    return code;
}

int files_link_or_copy(const char *from, const char *to)
{
    if (link(from, to) == 0)
        return 0;
    if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
        return -errno;
    cleanup_close int fd = open(from, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : files_copy(fd, to, 0644);
}

int files_sync(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

uint64_t files_usage(const char *path)
{
    char *const roots[] = {(char *)path, NULL};
    uint64_t total = 0;
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    for (const FTSENT *entry; fts && (entry = fts_read(fts));)
        if (entry->fts_info == FTS_F && entry->fts_statp->st_nlink == 1)
            total += (uint64_t)entry->fts_statp->st_blocks * 512;
    if (fts)
        fts_close(fts);
    return total;
}

uint64_t files_free_space(const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

bool files_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *files_state(const struct stat *st)
{
    return files_format("%ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)st->st_ino, (intmax_t)st->st_size,
                        (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

char *files_format(const char *format, ...)
{
    va_list ap;
    char *text;

    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        errno = ENOMEM;
    return n < 0 ? NULL : text;
}
