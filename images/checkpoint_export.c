/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "images/checkpoint_file.h"
#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "images/image.h"
#include "images/interrupt.h"
#include "src/cleanup.h"

enum { CHUNK = 1024 * 1024 };

struct export {
    const char *name;
    const struct interrupt *interrupt;
    int to;
    struct archive *archive;
    char *buffer; /* of CHUNK bytes */
    const char *zeros;
    int error; /* of writing: an errno, which libarchive does not pass on */
    struct checkpoint_manifest flat; /* the strings are the checkpoint's, but not the files' names */
    struct names disks; /* their paths, uppermost first */
};

static la_ssize_t write_out(struct archive *a, void *data, const void *bytes, size_t length)
{
    struct export *x = data;
    (void)a;
    int code = interrupt_wait(x->interrupt, x->to, POLLOUT);
    ssize_t n = code < 0 ? -1 : write(x->to, bytes, length);
    if (n < 0)
        x->error = code < 0 ? -code : errno;
    return n;
}

static int failed(const struct export *x, const char *path, struct err *err)
{
    const char *reason = archive_error_string(x->archive);
    if (x->error)
        return err_errno(err, x->error, "write");
    return err_set(err, EIO, "%s: %s", path, reason ? reason : "cannot be written");
}

/* Tells the archive where the file has data. */
static int add_map(struct archive_entry *entry, int fd, off_t size)
{
    off_t end = 0;
    bool holes = false;
    while (end < size) {
        off_t begin = lseek(fd, end, SEEK_DATA);
        if (begin < 0 && errno != ENXIO)
            return -errno;
        holes = holes || begin != end;
        if (begin < 0)
            break;
        end = lseek(fd, begin, SEEK_HOLE);
        if (end < 0)
            return -errno;
        archive_entry_sparse_add_entry(entry, begin, end - begin);
    }
    if (!holes)
        archive_entry_sparse_clear(entry);
    else if (archive_entry_sparse_count(entry) == 0)
        archive_entry_sparse_add_entry(entry, 0, 0); /* all of it is one */
    return 0;
}

/* The archive is given holes as zeros, which it leaves out. */
static int write_range(struct export *x, const char *path, int fd, off_t begin, off_t end, struct err *err)
{
    while (begin < end) {
        size_t length = end - begin < CHUNK ? (size_t)(end - begin) : CHUNK;
        ssize_t n = fd < 0 ? (ssize_t)length : pread(fd, x->buffer, length, begin);
        if (n <= 0)
            return err_errno(err, n < 0 ? errno : EIO, "read %s", path);
        if (archive_write_data(x->archive, fd < 0 ? x->zeros : x->buffer, (size_t)n) != n)
            return failed(x, path, err);
        begin += n;
    }
    return 0;
}

static int write_contents(struct export *x, const char *path, int fd, off_t size, struct err *err)
{
    int code = 0;
    for (off_t end = 0; code == 0 && end < size;) {
        off_t begin = lseek(fd, end, SEEK_DATA);
        if (begin < 0)
            begin = size;
        code = write_range(x, path, -1, end, begin, err);
        end = begin < size ? lseek(fd, begin, SEEK_HOLE) : size;
        if (code == 0)
            code = write_range(x, path, fd, begin, end, err);
    }
    return code;
}

static struct archive_entry *new_entry(const struct export *x, const char *name, off_t size)
{
    struct archive_entry *entry = archive_entry_new();
    cleanup_free char *path = files_format("%s/%s", x->name, name);
    if (!entry || !path)
        return NULL;
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, size);
    return entry;
}

static int add_text(struct export *x, const char *name, const char *text, struct err *err)
{
    size_t length = strlen(text);
    struct archive_entry *entry = new_entry(x, name, (off_t)length);
    if (!entry)
        return err_errno(err, ENOMEM, "export");
    int code = archive_write_header(x->archive, entry) == ARCHIVE_OK &&
                       archive_write_data(x->archive, text, length) == (ssize_t)length ? 0 : failed(x, name, err);
    archive_entry_free(entry);
    return code;
}

static int add_file(struct export *x, const char *name, const char *path, struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "%s", path);
    struct archive_entry *entry = new_entry(x, name, st.st_size);
    if (!entry)
        return err_errno(err, ENOMEM, "export");
    int code = add_map(entry, fd, st.st_size);
    if (code < 0)
        err_errno(err, -code, "read %s", path);
    else if (archive_write_header(x->archive, entry) != ARCHIVE_OK)
        code = failed(x, path, err);
    archive_entry_free(entry);
    return code < 0 ? code : write_contents(x, path, fd, st.st_size, err);
}

static int too_many(int code, struct err *err)
{
    if (code != E2BIG)
        return err_errno(err, code, "export");
    return err_set(err, E2BIG, "its disks are too many for one file; start a sandbox from it and take a checkpoint there, "
                   "which has one disk");
}

/* Adds the disks of one checkpoint to those of the ones above it. */
static int flatten(void *data, const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    struct export *x = data;
    unsigned layers = checkpoint_layers(manifest);
    for (unsigned i = 0; i <= layers; i++) {
        char name[CHECKPOINT_DISK_NAME_SIZE], flat[CHECKPOINT_DISK_NAME_SIZE];
        checkpoint_disk_name(i, name);
        checkpoint_disk_name((unsigned)x->disks.count, flat);
        const struct manifest_file *file = checkpoint_file(manifest, name);
        names_addf(&x->disks, "%s/%s", directory, name);
        int code = manifest_files_add(x->flat.files, &x->flat.file_count, flat, file->size, file->sha256);
        if (code < 0 || x->disks.failed)
            return too_many(code < 0 ? -code : ENOMEM, err);
    }
    return 0;
}

static int add_memory(struct export *x, const struct checkpoint *c, struct err *err)
{
    static const char *const names[] = {CHECKPOINT_RAM, CHECKPOINT_STATE, CHECKPOINT_OUTPUT};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct manifest_file *file = checkpoint_file(&c->manifest, names[i]);
        int code = file ? manifest_files_add(x->flat.files, &x->flat.file_count, names[i], file->size, file->sha256) : 0;
        if (code < 0)
            return too_many(-code, err);
    }
    return 0;
}

static int write_manifest(struct export *x, const char *store, const struct checkpoint *c, struct err *err)
{
    x->flat = c->manifest;
    x->flat.parent = x->flat.image = NULL;
    x->flat.mounts = NULL; /* they are this host's */
    x->flat.file_count = 0;
    int code = checkpoint_each_below(store, c->directory, &c->manifest, flatten, x, err);
    if (code == 0)
        code = add_memory(x, c, err);
    if (code < 0)
        return code;
    cleanup_free char *text = checkpoint_manifest_format(&x->flat);
    return text ? add_text(x, MANIFEST_NAME, text, err) : err_errno(err, ENOMEM, "export");
}

static int write_image(struct export *x, const char *store, const struct checkpoint *c, struct err *err)
{
    static const char *const names[] = {MANIFEST_NAME, IMAGE_KERNEL, IMAGE_INITRAMFS, IMAGE_ROOTFS};
    struct image image;
    cleanup_free char *reference = c->manifest.image ? strdup(c->manifest.image)
                                                     : files_format("%s/images/%s", store, c->manifest.build_id);
    int code = reference ? image_open(reference, false, &image, err) : err_errno(err, ENOMEM, "export");
    if (code < 0)
        return code;
    for (size_t i = 0; code == 0 && i < sizeof names / sizeof *names; i++) {
        cleanup_free char *path = files_format("%s/%s", image.directory, names[i]);
        cleanup_free char *name = files_format(CHECKPOINT_FILE_IMAGE "%s", names[i]);
        code = path && name ? add_file(x, name, path, err) : err_errno(err, ENOMEM, "export");
    }
    image_close(&image);
    return code;
}

static int write_files(struct export *x, const char *store, const struct checkpoint *c, struct err *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < x->flat.file_count; i++) {
        const char *name = x->flat.files[i].name;
        cleanup_free char *own = files_format("%s/%s", c->directory, name);
        const char *path = i < x->disks.count ? x->disks.list[i] : own;
        code = path ? add_file(x, name, path, err) : err_errno(err, ENOMEM, "export");
    }
    cleanup_free char *description = code == 0 ? checkpoint_description(store, c->name) : NULL;
    return description && *description ? add_text(x, CHECKPOINT_DESCRIPTION, description, err) : code;
}

static int write_all(struct export *x, const char *store, const struct checkpoint *c, bool with_image, struct err *err)
{
    cleanup_free char *buffer = malloc(CHUNK), *zeros = calloc(1, CHUNK);
    x->buffer = buffer;
    x->zeros = zeros;
    x->archive = archive_write_new();
    if (!buffer || !zeros || !x->archive)
        return err_errno(err, ENOMEM, "export");
    archive_write_set_format_pax_restricted(x->archive);
    archive_write_set_bytes_in_last_block(x->archive, 1);
    int code = 0;
    if (archive_write_add_filter_zstd(x->archive) != ARCHIVE_OK)
        code = err_set(err, ENOTSUP, "libarchive was built without zstd");
    archive_write_set_filter_option(x->archive, "zstd", "threads", "0"); /* older ones have no such option */
    if (code == 0 && archive_write_open(x->archive, x, NULL, write_out, NULL) != ARCHIVE_OK)
        code = failed(x, "export", err);
    if (code == 0)
        code = write_manifest(x, store, c, err);
    if (code == 0 && with_image)
        code = write_image(x, store, c, err);
    if (code == 0)
        code = write_files(x, store, c, err);
    if (code == 0 && archive_write_close(x->archive) != ARCHIVE_OK)
        code = failed(x, "export", err);
    if (code < 0)
        archive_write_fail(x->archive);
    archive_write_free(x->archive);
    manifest_files_free(x->flat.files, x->flat.file_count);
    names_free(&x->disks);
    return code;
}

/* A file without a name leaves nothing, whatever ends us. Where there are none, one with a name is removed on failure.
 */
struct output {
    int fd;
    char *temporary; /* NULL: the file has no name yet */
};

static int open_output(const char *path, struct output *out, struct err *err)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    *out = (struct output){.fd = -1};
    if (files_exists(path))
        return err_set(err, EEXIST, "%s: exists already; remove it, or give another name", path);
    if (!directory)
        return err_errno(err, ENOMEM, "%s", path);
    out->fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (out->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        out->temporary = files_format("%s.XXXXXX", path);
        out->fd = out->temporary ? mkostemp(out->temporary, O_CLOEXEC) : -1;
    }
    return out->fd < 0 ? err_errno(err, errno, "make %s", path) : 0;
}

static int name_output(const struct output *out, const char *path)
{
    char link[64];
    if (fsync(out->fd) < 0)
        return -errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", out->fd);
    if (out->temporary ? rename(out->temporary, path) < 0
                       : linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    cleanup_free char *directory = strdup(path);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    if (slash)
        slash[slash == directory ? 1 : 0] = '\0';
    return files_sync(slash ? directory : ".");
}

static int export_to_file(struct export *x, const char *store, const struct checkpoint *c, const char *path, bool with_image,
                          struct err *err)
{
    struct output out;
    int code = open_output(path, &out, err);
    if (code == 0) {
        x->to = out.fd;
        code = write_all(x, store, c, with_image, err);
        if (code == 0 && (code = name_output(&out, path)) < 0)
            err_errno(err, -code, "make %s", path);
    }
    if (code < 0 && out.temporary)
        unlink(out.temporary);
    free(out.temporary);
    if (out.fd >= 0)
        close(out.fd);
    return code;
}

static int export_opened(const char *store, const struct checkpoint *c, const char *path, bool with_image, struct err *err)
{
    struct interrupt interrupt;
    struct export x = {.name = c->name, .interrupt = &interrupt, .to = STDOUT_FILENO};
    if (c->manifest.root_disk)
        return err_set(err, EOPNOTSUPP, "it lies on %s, which is not an image's disk: that file cannot be taken along",
                       c->manifest.root_disk);
    int code = interrupt_begin(&interrupt);
    if (code < 0)
        return err_errno(err, -code, "export");
    if (strcmp(path, "-") != 0)
        code = export_to_file(&x, store, c, path, with_image, err);
    else if (isatty(STDOUT_FILENO))
        code = err_set(err, EINVAL, "standard output is a terminal; give the name of a file");
    else
        code = write_all(&x, store, c, with_image, err);
    interrupt_end(&interrupt);
    return code;
}

int checkpoint_export(const char *store, const char *name, const char *path, bool with_image, struct err *err)
{
    struct checkpoint c;
    struct err own = {0};
    int code = checkpoint_open(store, name, false, &c, err);
    if (code < 0)
        return code;
    code = export_opened(store, &c, path, with_image, &own);
    checkpoint_close(&c);
    return code < 0 ? err_set(err, -code, "checkpoint %s: %s", name, own.text) : 0;
}
