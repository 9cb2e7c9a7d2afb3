/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/archive_in.h"
#include "images/checkpoint_file.h"
#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "images/image_internal.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"
#include "vmm/vmm.h"

/* An image's files are digested with their holes: more would keep anybody busy for hours that a few bytes can ask for. */
#define IMAGE_FILE_MAX (UINT64_C(64) << 30)

struct import {
    const char *store;
    const struct interrupt *interrupt;
    struct archive_in *in;
    char *prefix; /* the directory in the archive: the name that the checkpoint had */
    struct checkpoint_manifest manifest;
    struct store_work work;
    struct names seen;

    bool has_image; /* in the store already: what the file has of it is passed over */
    struct manifest image;
    char *image_text;
    struct store_work image_work;
};

static int foreign(const char *name, struct err *err)
{
    return err_set(err, EBADMSG, "%.100s does not belong into a checkpoint: gondolin checkpoint export has not written this",
                   name);
}

/* Nothing in it may lead to a file of this machine: what is open of the host's files is looked for by paths, too. */
static int check_manifest(const struct checkpoint_manifest *m, struct err *err)
{
    if (m->parent || m->image || m->root_disk || m->mounts || checkpoint_file(m, CHECKPOINT_MOUNTS))
        return err_set(err, EBADMSG, "its manifest refers to what is not in the file");
    const struct vmm_backend *backend = vmm_backend_find(m->vmm, err);
    int code = backend ? backend->check_foreign(m->machine, m->cpu, err) : -err->code;
    return code < 0 ? err_wrap(err, "its manifest") : 0;
}

/* The first file is NAME/manifest.json. */
static int read_manifest(struct import *m, struct err *err)
{
    const char *path;
    uint64_t size;
    size_t length;
    int code = archive_in_next(m->in, &path, &size, err);
    if (code <= 0)
        return code < 0 ? code : err_set(err, EBADMSG, "it is empty");
    const char *slash = strchr(path, '/');
    if (!slash || strcmp(slash + 1, MANIFEST_NAME) != 0)
        return foreign(path, err);
    m->prefix = strndup(path, (size_t)(slash - path));
    if (!m->prefix)
        return err_errno(err, ENOMEM, "import");
    code = checkpoint_check_name(m->prefix, err);
    if (code < 0)
        return code;
    cleanup_free char *text = archive_in_text(m->in, CHECKPOINT_MANIFEST_MAX, &length, err);
    if (!text)
        return -err->code;
    code = checkpoint_manifest_parse(text, length, &m->manifest, err);
    if (code < 0)
        return code;
    code = check_manifest(&m->manifest, err);
    if (code < 0)
        return code;
    cleanup_free char *image = files_format("%s/images/%s", m->store, m->manifest.build_id);
    m->has_image = image && files_exists(image);
    return 0;
}

static int begin_image(struct import *m, struct err *err)
{
    size_t length;
    m->image_text = archive_in_text(m->in, MANIFEST_MAX_SIZE, &length, err);
    if (!m->image_text)
        return -err->code;
    int code = manifest_parse(m->image_text, length, &m->image, err);
    if (code < 0)
        return code;
    if (strcmp(m->image.build_id, m->manifest.build_id) != 0)
        return err_set(err, EBADMSG, "the image in it is not the one that the checkpoint lies on");
    return store_work_begin(m->store, "image", &m->image_work, err);
}

/* A root disk with another one below it would show files of this machine to the guest. */
static int check_rootfs(const struct import *m, int fd, struct err *err)
{
    char backing[QCOW2_BACKING_MAX + 1];
    int code = qcow2_check(fd, m->interrupt->fd, err);
    if (code == 0)
        code = qcow2_backing(fd, backing, err);
    if (code == 0 && *backing)
        code = err_set(err, EBADMSG, "it lies on another disk");
    return code;
}

static int check_image_file(const struct import *m, const char *path, const struct manifest_file *file, struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0 || fsync(fd) < 0 || fchmod(fd, 0444) < 0 ? -errno : digest_fd(fd, m->interrupt, hex);
    if (code < 0)
        return err_errno(err, -code, "%s", path);
    if (strcmp(hex, file->sha256) != 0)
        return err_set(err, EBADMSG, "damaged: its SHA-256 is %s, and should be %s", hex, file->sha256);
    return strcmp(file->name, IMAGE_ROOTFS) == 0 ? check_rootfs(m, fd, err) : 0;
}

static int save_image_file(struct import *m, const char *name, uint64_t size, struct err *err)
{
    const struct manifest_file *file = m->image_text ? manifest_find_file(&m->image, name) : NULL;
    if (!file)
        return foreign(name, err);
    if (file->size > IMAGE_FILE_MAX)
        return err_set(err, EFBIG, "it has %" PRIu64 " bytes; a file of an image that is imported has 64 GiB at most",
                       file->size);
    if (size != file->size)
        return err_set(err, EBADMSG, "damaged: it has %" PRIu64 " bytes, and should have %" PRIu64, size, file->size);
    cleanup_free char *path = files_format("%s/%s", m->image_work.path, name);
    int code = path ? archive_in_save(m->in, path, err) : err_errno(err, ENOMEM, "import");
    return code < 0 ? code : check_image_file(m, path, file, err);
}

static bool is_image_file(const char *name)
{
    static const char *const names[] = {MANIFEST_NAME, IMAGE_KERNEL, IMAGE_INITRAMFS, IMAGE_ROOTFS};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int take_image_file(struct import *m, const char *name, uint64_t size, struct err *err)
{
    if (!is_image_file(name))
        return foreign(name, err);
    if (m->has_image)
        return 0;
    if (strcmp(name, MANIFEST_NAME) == 0)
        return begin_image(m, err);
    return save_image_file(m, name, size, err);
}

static int publish_image(struct import *m, struct err *err)
{
    for (size_t i = 0; i < m->image.file_count; i++) {
        cleanup_free char *name = files_format(CHECKPOINT_FILE_IMAGE "%s", m->image.files[i].name);
        if (!name || !names_has(&m->seen, name))
            return err_set(err, EBADMSG, "cut short: %s of the image is missing", m->image.files[i].name);
    }
    cleanup_free char *path = files_format("%s/%s", m->image_work.path, MANIFEST_NAME);
    cleanup_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444) : -1;
    int code = fd < 0 ? -errno : files_write(fd, m->image_text, strlen(m->image_text));
    if (code == 0 && fsync(fd) < 0)
        code = -errno;
    if (code < 0)
        return err_errno(err, -code, "write the image's manifest");
    code = store_publish(m->store, &m->image_work, m->image.build_id, err);
    m->has_image = code == 0;
    return code;
}

/* Before the first file that lies on the image. */
static int require_image(struct import *m, struct err *err)
{
    if (m->has_image)
        return 0;
    if (m->image_text)
        return publish_image(m, err);
    return err_set(err, ENOENT, "its image %s is not in the store; export it --with-image, or build the image from the same "
                   "packages", m->manifest.build_id);
}

static int check_digest(const struct import *m, int fd, const struct manifest_file *file, struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    int code = digest_sparse_fd(fd, m->interrupt, hex);
    if (code < 0)
        return err_errno(err, -code, "read");
    return strcmp(hex, file->sha256) == 0 ? 0 : err_set(err, EBADMSG, "damaged or tampered with: its digest is %s, and should "
                                                        "be %s", hex, file->sha256);
}

/* The number of the disk that has this name, or -1. */
static int disk_number(const struct checkpoint_manifest *manifest, const char *name)
{
    unsigned layers = checkpoint_layers(manifest);
    for (unsigned i = 0; i <= layers; i++) {
        char disk[CHECKPOINT_DISK_NAME_SIZE];
        checkpoint_disk_name(i, disk);
        if (strcmp(disk, name) == 0)
            return (int)i;
    }
    return -1;
}

static int place_disk(const struct import *m, int fd, unsigned number, struct err *err)
{
    cleanup_free char *backing = checkpoint_backing_name(&m->manifest, number);
    if (!backing)
        return err_errno(err, ENOMEM, "import");
    int code = qcow2_check(fd, m->interrupt->fd, err);
    if (code == 0)
        code = qcow2_set_backing(fd, backing, err);
    return code;
}

static int take_file(struct import *m, const char *name, uint64_t size, struct err *err)
{
    const struct manifest_file *file = checkpoint_file(&m->manifest, name);
    bool described = strcmp(name, CHECKPOINT_DESCRIPTION) == 0;
    if (!file && !described)
        return foreign(name, err);
    if (described ? size > CHECKPOINT_DESCRIPTION_MAX : size != file->size)
        return err_set(err, EBADMSG, "damaged: it has %" PRIu64 " bytes, which is not as many as it should", size);
    int code = require_image(m, err);
    cleanup_free char *path = files_format("%s/%s", m->work.path, name);
    if (code == 0)
        code = path ? archive_in_save(m->in, path, err) : err_errno(err, ENOMEM, "import");
    if (code < 0 || described)
        return code;
    cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
    code = fd < 0 ? err_errno(err, errno, "%s", path) : check_digest(m, fd, file, err);
    int number = disk_number(&m->manifest, name);
    return code < 0 || number < 0 ? code : place_disk(m, fd, (unsigned)number, err);
}

static int take_entry(struct import *m, const char *path, uint64_t size, struct err *err)
{
    const size_t prefix = strlen(m->prefix), image = strlen(CHECKPOINT_FILE_IMAGE);
    if (strncmp(path, m->prefix, prefix) != 0 || path[prefix] != '/' || names_has(&m->seen, path + prefix + 1))
        return foreign(path, err);
    cleanup_free char *name = strdup(path + prefix + 1);
    if (!name)
        return err_errno(err, ENOMEM, "import");
    names_add(&m->seen, name);
    if (m->seen.failed)
        return err_errno(err, ENOMEM, "import");
    int code = strncmp(name, CHECKPOINT_FILE_IMAGE, image) == 0 ? take_image_file(m, name + image, size, err)
                                                                : take_file(m, name, size, err);
    return code < 0 && err->code != ENOENT && err->code != EINTR ? err_wrap(err, "%s", name) : code;
}

static int take_all(struct import *m, struct err *err)
{
    const char *path;
    uint64_t size;
    int code;
    while ((code = archive_in_next(m->in, &path, &size, err)) > 0) {
        code = take_entry(m, path, size, err);
        if (code < 0)
            break;
    }
    for (size_t i = 0; code == 0 && i < m->manifest.file_count; i++)
        if (!names_has(&m->seen, m->manifest.files[i].name))
            code = err_set(err, EBADMSG, "cut short: %s is missing", m->manifest.files[i].name);
    return code;
}

static int publish(struct import *m, const char *name, struct err *err)
{
    struct checkpoint c;
    manifest_files_free(m->manifest.files, m->manifest.file_count);
    m->manifest.file_count = 0;
    int code = checkpoint_publish_until(m->store, &m->work, name, &m->manifest, m->interrupt, &c, err);
    if (code == 0)
        checkpoint_close(&c);
    return code;
}

static int import_opened(struct import *m, const char *name, char **imported, struct err *err)
{
    int code = read_manifest(m, err);
    if (code < 0)
        return code;
    if (!name)
        name = m->prefix;
    if (checkpoint_exists(m->store, name))
        return err_set(err, EEXIST, "there is a checkpoint %s already; give another name", name);
    code = store_work_begin(m->store, "import", &m->work, err);
    if (code == 0)
        code = take_all(m, err);
    if (code == 0)
        code = publish(m, name, err);
    if (code == 0 && imported) {
        *imported = strdup(name);
        code = *imported ? 0 : err_errno(err, ENOMEM, "import");
    }
    return code;
}

static int import_from(const char *store, int fd, const struct interrupt *interrupt, const char *name, char **imported,
                       struct err *err)
{
    struct import m = {.store = store, .interrupt = interrupt, .work = {.lock = -1}, .image_work = {.lock = -1}};
    m.in = archive_in_open(fd, store, interrupt, err);
    int code = m.in ? import_opened(&m, name, imported, err) : -err->code;
    archive_in_close(m.in);
    store_work_end(&m.work);
    store_work_end(&m.image_work);
    checkpoint_manifest_free(&m.manifest);
    manifest_free(&m.image);
    names_free(&m.seen);
    free(m.image_text);
    free(m.prefix);
    return code;
}

int checkpoint_import(const char *store, const char *path, const char *name, char **imported, struct err *err)
{
    struct interrupt interrupt;
    struct err own = {0};
    int code = name ? checkpoint_check_name(name, err) : 0;
    if (code < 0)
        return code;
    bool is_stdin = strcmp(path, "-") == 0;
    cleanup_close int file = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (!is_stdin && file < 0)
        return err_errno(err, errno, "%s", path);
    image_clean_store(store);
    code = interrupt_begin(&interrupt);
    if (code < 0)
        return err_errno(err, -code, "import");
    code = import_from(store, is_stdin ? STDIN_FILENO : file, &interrupt, name, imported, &own);
    interrupt_end(&interrupt);
    return code < 0 ? err_set(err, -code, "%s: %s", is_stdin ? "standard input" : path, own.text) : 0;
}
