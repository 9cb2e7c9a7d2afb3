/* SPDX-License-Identifier: Apache-2.0 */
/* Completing a work directory: digests, the manifest last, everything synced, one rename. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "images/verified.h"
#include "src/cleanup.h"

struct publishing {
    bool durable; /* and not a cache */
    const struct interrupt *interrupt; /* may be NULL */
};

/* Adds a file of the work directory to the manifest. -ENOENT when it is not there. */
static int add_file(const char *directory, const char *name, const struct publishing *how,
                    struct checkpoint_manifest *manifest, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    char hex[DIGEST_HEX_SIZE];
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "%s/%s", directory, name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "%s: not a file", path);
    if (how->durable && fsync(fd) < 0)
        return err_errno(err, errno, "sync %s", path);
    int code = digest_sparse_fd(fd, how->interrupt, hex);
    if (code == 0)
        code = manifest_files_add(manifest->files, &manifest->file_count, name, (uint64_t)st.st_size, hex);
    return code < 0 ? err_errno(err, -code, "read %s", path) : 0;
}

static int add_disks(const char *directory, const struct publishing *how, struct checkpoint_manifest *manifest,
                     struct err *err)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    int code = 0;
    for (unsigned i = 0; code == 0; i++) {
        checkpoint_disk_name(i, name);
        code = add_file(directory, name, how, manifest, err);
        if (code == -ENOENT && i > 0)
            return 0;
    }
    return code;
}

static int add_files(const char *directory, const struct publishing *how, struct checkpoint_manifest *manifest,
                     struct err *err)
{
    int code = add_disks(directory, how, manifest, err);
    if (code == 0 && manifest->kind == CHECKPOINT_FULL)
        code = add_file(directory, CHECKPOINT_RAM, how, manifest, err);
    if (code == 0 && manifest->kind == CHECKPOINT_FULL)
        code = add_file(directory, CHECKPOINT_STATE, how, manifest, err);
    if (code < 0 || manifest->kind != CHECKPOINT_FULL)
        return code;
    static const char *const optional[] = {CHECKPOINT_OUTPUT, CHECKPOINT_MOUNTS};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        code = add_file(directory, optional[i], how, manifest, err);
        if (code < 0 && code != -ENOENT)
            return code;
    }
    return 0;
}

/* Whatever else is in the work directory would be published too. */
static int expect_nothing_else(const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    cleanup_closedir DIR *dir = opendir(directory);
    if (!dir)
        return err_errno(err, errno, "%s", directory);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, CHECKPOINT_DESCRIPTION) != 0 &&
            !checkpoint_file(manifest, name))
            return err_set(err, EINVAL, "%s: %.100s does not belong into a checkpoint", directory, name);
    }
    return 0;
}

static int set_created(struct checkpoint_manifest *manifest, struct err *err)
{
    char text[32];
    struct tm tm;
    time_t now = time(NULL);
    if (manifest->created)
        return 0;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    manifest->created = strdup(text);
    return manifest->created ? 0 : err_errno(err, ENOMEM, "manifest");
}

/* What could not be read again is not written. Returns the manifest's file, locked as its users lock it. */
static int write_manifest(const char *directory, bool durable, const struct checkpoint_manifest *manifest, struct err *err)
{
    struct checkpoint_manifest again;
    cleanup_free char *text = checkpoint_manifest_format(manifest);
    cleanup_free char *path = files_format("%s/%s", directory, MANIFEST_NAME);
    if (!text || !path)
        return err_errno(err, ENOMEM, "write manifest");
    int code = checkpoint_manifest_parse(text, strlen(text), &again, err);
    if (code < 0)
        return code;
    checkpoint_manifest_free(&again);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    code = fd < 0 ? -errno : files_write(fd, text, strlen(text));
    if (code == 0 && ((durable && fsync(fd) < 0) || flock(fd, LOCK_SH) < 0))
        code = -errno;
    if (code == 0)
        return steal_fd(&fd);
    if (fd >= 0)
        unlink(path);
    return err_errno(err, -code, "write %s", path);
}

static int visit_nothing(void *data, const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    (void)data, (void)directory, (void)manifest, (void)err;
    return 0;
}

/* Everything up to the rename. Returns the manifest's locked descriptor. What is not durable has its digests compared once
 * before it is used: a crash of the host may leave anything in its files. */
static int complete(const char *store, const char *directory, const struct publishing *how,
                    struct checkpoint_manifest *manifest, struct err *err)
{
    int code = checkpoint_each_below(store, directory, manifest, visit_nothing, NULL, err);
    if (code == 0)
        code = set_created(manifest, err);
    if (code == 0)
        code = add_files(directory, how, manifest, err);
    if (code == 0)
        code = expect_nothing_else(directory, manifest, err);
    if (code == 0)
        code = checkpoint_check_backing(directory, manifest, err);
    if (code < 0)
        return code;
    if (how->durable)
        verified_record(directory, manifest->files, manifest->file_count);
    return write_manifest(directory, how->durable, manifest, err);
}

static void undo(const struct store_work *work, struct checkpoint_manifest *manifest)
{
    cleanup_free char *path = work->path ? files_format("%s/%s", work->path, MANIFEST_NAME) : NULL;
    if (path)
        unlink(path);
    manifest_files_free(manifest->files, manifest->file_count);
    manifest->file_count = 0;
}

/* Nobody can remove the parent while we hold it. */
static int lock_parent(const char *store, const struct checkpoint_manifest *manifest, struct err *err)
{
    cleanup_free char *path = files_format("%s/" CHECKPOINT_PART "/%s", store, manifest->parent);
    int fd = path ? store_lock_manifest(path) : -ENOMEM;
    return fd < 0 ? err_errno(err, -fd, "the checkpoint %s below it", manifest->parent) : fd;
}

int checkpoint_publish_entry(const char *store, struct store_work *work, const char *part, const char *name,
                             struct checkpoint_manifest *manifest, const struct interrupt *interrupt, struct checkpoint *out,
                             struct err *err)
{
    cleanup_free char *directory = files_format("%s/%s/%s", store, part, name), *copy = strdup(name);
    if (!directory || !copy)
        return err_errno(err, ENOMEM, "publish");
    if (files_exists(directory))
        return err_set(err, EEXIST, "there is one of this name already");
    cleanup_close int parent = manifest->parent ? lock_parent(store, manifest, err) : -1;
    if (manifest->parent && parent < 0)
        return parent;
    const struct publishing how = {.durable = strcmp(part, CHECKPOINT_PART) == 0, .interrupt = interrupt};
    cleanup_close int fd = complete(store, work->path, &how, manifest, err);
    int code = fd < 0 ? fd : store_publish_entry(store, work, part, name, err);
    if (code == -EEXIST)
        err_set(err, EEXIST, "there is one of this name already");
    if (code < 0) {
        undo(work, manifest);
        return code;
    }
    *out = (struct checkpoint){.name = steal_pointer(&copy), .directory = steal_pointer(&directory),
                               .manifest = *manifest, .lock_fd = steal_fd(&fd)};
    *manifest = (struct checkpoint_manifest){0};
    return 0;
}

int checkpoint_publish(const char *store, struct store_work *work, const char *name, struct checkpoint_manifest *manifest,
                       struct checkpoint *out, struct err *err)
{
    return checkpoint_publish_until(store, work, name, manifest, NULL, out, err);
}

int checkpoint_publish_until(const char *store, struct store_work *work, const char *name,
                             struct checkpoint_manifest *manifest, const struct interrupt *interrupt, struct checkpoint *out,
                             struct err *err)
{
    struct err own = {0};
    *out = (struct checkpoint){.lock_fd = -1};
    int code = checkpoint_check_name(name, err);
    if (code < 0)
        return code;
    code = checkpoint_publish_entry(store, work, CHECKPOINT_PART, name, manifest, interrupt, out, &own);
    if ((code == -ENOSPC || code == -EIO) && !store_has_space(store, &own))
        code = -ENOSPC;
    return code < 0 ? err_set(err, -code, "checkpoint %s: %s", name, own.text) : 0;
}
