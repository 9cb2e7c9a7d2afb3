/* SPDX-License-Identifier: Apache-2.0 */
#include "images/archive_in.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "images/store.h"
#include "src/cleanup.h"

enum {
    CHUNK = 256 * 1024,
    BLOCK = 64 * 1024, /* zeros that fill one are left out, where they lie on its borders */
    LOOK_EVERY = 16 * 1024 * 1024, /* bytes written between two looks at the free space */
};

struct archive_in {
    struct archive *archive;
    struct archive_entry *entry; /* libarchive's own */
    int fd;
    const char *store;
    const struct interrupt *interrupt;
    char *buffer;
    int error;        /* of reading: an errno, which libarchive does not pass on */
    uint64_t written; /* since the last look at the free space */
};

static la_ssize_t read_in(struct archive *a, void *data, const void **bytes)
{
    struct archive_in *in = data;
    int code = interrupt_wait(in->interrupt, in->fd, POLLIN);
    ssize_t n = code < 0 ? -1 : read(in->fd, in->buffer, CHUNK);
    if (n < 0) {
        in->error = code < 0 ? -code : errno;
        archive_set_error(a, in->error, "read");
    }
    *bytes = in->buffer;
    return n;
}

static int failed(const struct archive_in *in, struct err *err)
{
    const char *reason = archive_error_string(in->archive);
    if (in->error)
        return err_errno(err, in->error, "read");
    return err_set(err, EBADMSG, "damaged, or not a file that gondolin checkpoint export has written: %.100s",
                   reason ? reason : "not an archive");
}

struct archive_in *archive_in_open(int fd, const char *store, const struct interrupt *interrupt, struct err *err)
{
    struct archive_in *in = calloc(1, sizeof *in);
    if (in)
        *in = (struct archive_in){.archive = archive_read_new(), .fd = fd, .store = store, .interrupt = interrupt,
                                  .buffer = malloc(CHUNK)};
    if (!in || !in->archive || !in->buffer) {
        archive_in_close(in);
        err_errno(err, ENOMEM, "import");
        return NULL;
    }
    if (archive_read_support_filter_zstd(in->archive) != ARCHIVE_OK) {
        archive_in_close(in);
        err_set(err, ENOTSUP, "libarchive was built without zstd");
        return NULL;
    }
    archive_read_support_format_tar(in->archive);
    if (archive_read_open(in->archive, in, NULL, read_in, NULL) != ARCHIVE_OK) {
        failed(in, err);
        archive_in_close(in);
        return NULL;
    }
    return in;
}

int archive_in_next(struct archive_in *in, const char **name, uint64_t *size, struct err *err)
{
    int rc = archive_read_next_header(in->archive, &in->entry);
    if (rc == ARCHIVE_EOF)
        return 0;
    if (rc != ARCHIVE_OK)
        return failed(in, err);
    *name = archive_entry_pathname(in->entry);
    int64_t length = archive_entry_size(in->entry);
    if (!*name || archive_entry_filetype(in->entry) != AE_IFREG || archive_entry_hardlink(in->entry) ||
        archive_entry_symlink(in->entry) || !archive_entry_size_is_set(in->entry) || length < 0)
        return err_set(err, EBADMSG, "%.100s: not a regular file: gondolin checkpoint export has not written this",
                       *name ? *name : "?");
    *size = (uint64_t)length;
    return 1;
}

char *archive_in_text(struct archive_in *in, size_t max, size_t *length, struct err *err)
{
    int64_t size = archive_entry_size(in->entry);
    if (size < 0 || (uint64_t)size > max) {
        err_set(err, EBADMSG, "%.100s: longer than %zu bytes", archive_entry_pathname(in->entry), max);
        return NULL;
    }
    cleanup_free char *text = calloc(1, (size_t)size + 1);
    if (!text) {
        err_errno(err, ENOMEM, "import");
        return NULL;
    }
    if (archive_read_data(in->archive, text, (size_t)size) != (la_ssize_t)size) {
        failed(in, err);
        return NULL;
    }
    *length = (size_t)size;
    return steal_pointer(&text);
}

static bool is_zero(const char *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static int look_at_space(struct archive_in *in, size_t length, struct err *err)
{
    in->written += length;
    if (in->written < LOOK_EVERY)
        return 0;
    in->written = 0;
    return store_has_space(in->store, err) ? 0 : -ENOSPC;
}

static int write_block(struct archive_in *in, int fd, const char *bytes, size_t length, off_t offset, struct err *err)
{
    while (length > 0) {
        size_t piece = BLOCK - (size_t)(offset % BLOCK);
        if (piece > length)
            piece = length;
        if (!is_zero(bytes, piece)) {
            ssize_t n = pwrite(fd, bytes, piece, offset);
            int reason = n < 0 ? errno : ENOSPC;
            if (n != (ssize_t)piece)
                return reason == ENOSPC && !store_has_space(in->store, err) ? -ENOSPC : err_errno(err, reason, "write");
            int code = look_at_space(in, piece, err);
            if (code < 0)
                return code;
        }
        bytes += piece;
        length -= piece;
        offset += (off_t)piece;
    }
    return 0;
}

int archive_in_save(struct archive_in *in, const char *path, struct err *err)
{
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    off_t size = archive_entry_size(in->entry);
    if (fd < 0 || ftruncate(fd, size) < 0)
        return err_errno(err, errno, "write %s", path);
    for (;;) {
        const void *bytes;
        size_t length;
        la_int64_t offset;
        int rc = archive_read_data_block(in->archive, &bytes, &length, &offset);
        if (rc == ARCHIVE_EOF)
            return 0;
        if (rc != ARCHIVE_OK)
            return failed(in, err);
        if (offset < 0 || length > (uint64_t)size || offset > size - (off_t)length)
            return err_set(err, EBADMSG, "%s: longer than it should be", archive_entry_pathname(in->entry));
        int code = interrupt_look(in->interrupt);
        code = code < 0 ? err_errno(err, -code, "import") : write_block(in, fd, bytes, length, offset, err);
        if (code < 0)
            return code;
    }
}

void archive_in_close(struct archive_in *in)
{
    if (!in)
        return;
    archive_read_free(in->archive);
    free(in->buffer);
    free(in);
}
