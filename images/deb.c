/* SPDX-License-Identifier: Apache-2.0 */
#include "images/deb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "images/files.h"
#include "src/cleanup.h"

enum { MAX_MEMBER = 512 << 20, CHUNK = 256 * 1024 };

static void free_archive(struct archive **archive)
{
    archive_read_free(*archive); /* NULL is fine */
}

#define cleanup_archive __attribute__((cleanup(free_archive)))

/* Feeds an archive with the data of the member that another one is positioned at. */
static la_ssize_t read_member(struct archive *inner, void *data, const void **buffer)
{
    struct archive *outer = data;
    size_t size = 0;
    la_int64_t offset;
    int result = archive_read_data_block(outer, buffer, &size, &offset);

    if (result == ARCHIVE_EOF)
        return 0;
    if (result < ARCHIVE_WARN) {
        archive_set_error(inner, archive_errno(outer), "%s", archive_error_string(outer));
        return -1;
    }
    return (la_ssize_t)size;
}

static int damaged(struct err *err, const char *what, struct archive *archive)
{
    const char *reason = archive_error_string(archive);
    return err_set(err, EINVAL, "read package: %s: %s", what, reason ? reason : "damaged");
}

static const char *plain_path(const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    return path;
}

static int read_data_tar(struct archive *outer, const char *path, deb_member_fn *member, void *data, struct err *err)
{
    cleanup_archive struct archive *inner = archive_read_new();
    struct archive_entry *entry;
    int result;

    if (!inner)
        return err_errno(err, ENOMEM, "read package: %s", path);
    archive_read_support_filter_all(inner);
    archive_read_support_format_tar(inner);
    archive_read_set_options(inner, "hdrcharset=BINARY");
    if (archive_read_open(inner, outer, NULL, read_member, NULL) != ARCHIVE_OK)
        return damaged(err, path, inner);
    while ((result = archive_read_next_header(inner, &entry)) == ARCHIVE_OK) {
        int code = member(data, plain_path(archive_entry_pathname(entry)), inner, entry, err);
        if (code < 0)
            return code;
    }
    return result == ARCHIVE_EOF ? 0 : damaged(err, path, inner);
}

int deb_read(const char *path, deb_member_fn *member, void *data, struct err *err)
{
    cleanup_archive struct archive *outer = archive_read_new();
    struct archive_entry *entry;
    int result;

    if (!outer)
        return err_errno(err, ENOMEM, "read package: %s", path);
    archive_read_support_format_ar(outer);
    if (archive_read_open_filename(outer, path, CHUNK) != ARCHIVE_OK)
        return archive_errno(outer) > 0 ? err_errno(err, archive_errno(outer), "read package: %s", path)
                                        : damaged(err, path, outer);
    while ((result = archive_read_next_header(outer, &entry)) == ARCHIVE_OK)
        if (strncmp(archive_entry_pathname(entry), "data.tar", 8) == 0)
            return read_data_tar(outer, path, member, data, err);
    return result == ARCHIVE_EOF ? err_set(err, EINVAL, "read package: %s: it has no data.tar", path)
                                 : damaged(err, path, outer);
}

static bool is_compressed(const char *name)
{
    static const char *const endings[] = {".xz", ".zst", ".gz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t name_length = strlen(name), length = strlen(endings[i]);
        if (name_length > length && strcmp(name + name_length - length, endings[i]) == 0)
            return true;
    }
    return false;
}

static int copy_data(struct archive *from, const char *to, struct err *err)
{
    cleanup_close int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    cleanup_free char *buffer = malloc(CHUNK);
    uint64_t total = 0;
    la_ssize_t n;

    if (fd < 0 || !buffer)
        return err_errno(err, fd < 0 ? errno : ENOMEM, "write %s", to);
    while ((n = archive_read_data(from, buffer, CHUNK)) > 0) {
        total += (uint64_t)n;
        if (total > MAX_MEMBER)
            return err_errno(err, E2BIG, "write %s", to);
        int code = files_write(fd, buffer, (size_t)n);
        if (code < 0)
            return err_errno(err, -code, "write %s", to);
    }
    return n == 0 ? 0 : damaged(err, to, from);
}

int deb_save(struct archive *archive, struct archive_entry *entry, const char *to, struct err *err)
{
    if (!is_compressed(archive_entry_pathname(entry)))
        return copy_data(archive, to, err);

    cleanup_archive struct archive *plain = archive_read_new();
    struct archive_entry *only;
    if (!plain)
        return err_errno(err, ENOMEM, "write %s", to);
    archive_read_support_filter_all(plain);
    archive_read_support_format_raw(plain);
    if (archive_read_open(plain, archive, NULL, read_member, NULL) != ARCHIVE_OK ||
        archive_read_next_header(plain, &only) != ARCHIVE_OK)
        return damaged(err, to, plain);
    return copy_data(plain, to, err);
}
