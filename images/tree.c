/* SPDX-License-Identifier: Apache-2.0 */
#include "images/tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <archive.h>
#include <archive_entry.h>

#include "src/cleanup.h"

enum { CHUNK = 128 * 1024 };

/* libarchive's errno is positive where it is one, 0 or negative where the fault is in the data. */
static void fail(struct tree *tree, struct archive *archive, const char *path)
{
    int code = archive_errno(archive) > 0 ? archive_errno(archive) : EIO;
    const char *reason = archive_error_string(archive);

    if (!tree->err.code)
        err_set(&tree->err, code, "%s: %s", path, reason ? reason : strerror(code));
}

static void write_header(struct tree *tree, struct archive_entry *entry)
{
    /* A warning: a name in no known character set, which is written as the bytes it is. */
    if (archive_write_header(tree->archive, entry) < ARCHIVE_WARN)
        fail(tree, tree->archive, archive_entry_pathname(entry));
}

static void write_data(struct tree *tree, const char *path, const void *bytes, size_t length)
{
    if (tree->err.code || length == 0)
        return;
    if (archive_write_data(tree->archive, bytes, length) != (la_ssize_t)length)
        fail(tree, tree->archive, path);
    else
        tree->bytes += length;
}

static struct archive_entry *new_entry(struct tree *tree, const char *path, mode_t mode)
{
    if (tree->err.code)
        return NULL;
    struct archive_entry *entry = archive_entry_new();
    if (!entry) {
        err_errno(&tree->err, ENOMEM, "%s", path);
        return NULL;
    }
    archive_entry_set_pathname(entry, path);
    archive_entry_set_mode(entry, mode);
    archive_entry_set_mtime(entry, tree->mtime, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_nlink(entry, S_ISDIR(mode) ? 2 : 1);
    archive_entry_set_size(entry, 0);
    return entry;
}

static void finish(struct tree *tree, struct archive_entry *entry)
{
    write_header(tree, entry);
    archive_entry_free(entry);
}

void tree_directory_of(struct tree *tree, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    struct archive_entry *entry = new_entry(tree, path, S_IFDIR | mode);
    if (!entry)
        return;
    archive_entry_set_uid(entry, uid);
    archive_entry_set_gid(entry, gid);
    finish(tree, entry);
}

void tree_directory(struct tree *tree, const char *path, mode_t mode)
{
    tree_directory_of(tree, path, mode, 0, 0);
}

void tree_symlink(struct tree *tree, const char *path, const char *target)
{
    struct archive_entry *entry = new_entry(tree, path, S_IFLNK | 0777);
    if (!entry)
        return;
    archive_entry_set_symlink(entry, target);
    finish(tree, entry);
}

void tree_character_device(struct tree *tree, const char *path, mode_t mode, unsigned major, unsigned minor)
{
    struct archive_entry *entry = new_entry(tree, path, S_IFCHR | mode);
    if (!entry)
        return;
    archive_entry_set_rdev(entry, makedev(major, minor));
    finish(tree, entry);
}

void tree_file(struct tree *tree, const char *path, mode_t mode, const void *bytes, size_t length)
{
    struct archive_entry *entry = new_entry(tree, path, S_IFREG | mode);
    if (!entry)
        return;
    archive_entry_set_size(entry, (la_int64_t)length);
    finish(tree, entry);
    write_data(tree, path, bytes, length);
}

void tree_text(struct tree *tree, const char *path, mode_t mode, const char *text)
{
    tree_file(tree, path, mode, text, strlen(text));
}

void tree_file_from_fd(struct tree *tree, const char *path, mode_t mode, int fd)
{
    struct archive_entry *entry = new_entry(tree, path, S_IFREG | mode);
    struct stat st;
    cleanup_free char *buffer = malloc(CHUNK);

    if (!entry)
        return;
    if (!buffer || fstat(fd, &st) < 0) {
        err_errno(&tree->err, buffer ? errno : ENOMEM, "%s", path);
        archive_entry_free(entry);
        return;
    }
    archive_entry_set_size(entry, st.st_size);
    finish(tree, entry);
    off_t offset = 0;
    ssize_t n = 0;
    while (offset < st.st_size && !tree->err.code) {
        size_t want = st.st_size - offset < CHUNK ? (size_t)(st.st_size - offset) : CHUNK;
        if ((n = pread(fd, buffer, want, offset)) <= 0)
            break;
        write_data(tree, path, buffer, (size_t)n);
        offset += n;
    }
    if (!tree->err.code && offset != st.st_size)
        err_errno(&tree->err, n < 0 ? errno : EIO, "%s: read", path);
}

void tree_file_from_path(struct tree *tree, const char *path, mode_t mode, const char *source)
{
    if (tree->err.code)
        return;
    cleanup_close int fd = open(source, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err_errno(&tree->err, errno, "%s", source);
    else
        tree_file_from_fd(tree, path, mode, fd);
}

void tree_copy(struct tree *tree, struct archive *from, struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    cleanup_free char *buffer = malloc(CHUNK);
    la_ssize_t n = 0;

    if (tree->err.code)
        return;
    if (!buffer) {
        err_errno(&tree->err, ENOMEM, "%s", path);
        return;
    }
    write_header(tree, entry);
    while (!tree->err.code && (n = archive_read_data(from, buffer, CHUNK)) > 0)
        write_data(tree, path, buffer, (size_t)n);
    if (n < 0)
        fail(tree, from, path);
}
