/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a checkpoint and what each has below it. The names in their headers are never followed: each is compared
 * with the one that the manifest gives. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"

char *checkpoint_backing_name(const struct checkpoint_manifest *manifest, unsigned i)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    if (i < checkpoint_layers(manifest)) {
        checkpoint_disk_name(i + 1, name);
        return strdup(name);
    }
    if (manifest->parent)
        return files_format("../%s/" CHECKPOINT_DISK, manifest->parent);
    if (manifest->root_disk)
        return strdup(manifest->root_disk);
    if (manifest->image)
        return files_format("%s/" IMAGE_ROOTFS, manifest->image);
    return files_format("../../images/%s/" IMAGE_ROOTFS, manifest->build_id);
}

static int check_one(const char *directory, const struct checkpoint_manifest *manifest, unsigned i, struct err *err)
{
    char name[CHECKPOINT_DISK_NAME_SIZE], found[QCOW2_BACKING_MAX + 1];
    checkpoint_disk_name(i, name);
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_free char *expected = checkpoint_backing_name(manifest, i);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd < 0 || !expected)
        return err_errno(err, !path || !expected ? ENOMEM : errno == ENOENT ? EBADMSG : errno, "%s/%s", directory, name);
    struct err own = {0};
    int code = qcow2_backing(fd, found, &own);
    if (code < 0)
        return err_set(err, code == -EINVAL ? EBADMSG : -code, "%s: %s", path, own.text);
    const char *plain = strncmp(found, "./", 2) == 0 ? found + 2 : found;
    if (strcmp(plain, expected) == 0)
        return 0;
    return err_set(err, EBADMSG, "%s: damaged or tampered with: it lies on \"%.200s\", and should lie on \"%.200s\"", path,
                   found, expected);
}

int checkpoint_check_backing(const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    unsigned layers = checkpoint_layers(manifest);
    int code = 0;
    for (unsigned i = 0; code == 0 && i <= layers; i++)
        code = check_one(directory, manifest, i, err);
    return code;
}

int checkpoint_each_below(const char *store, const char *directory, const struct checkpoint_manifest *manifest,
                          checkpoint_visit_fn *visit, void *data, struct err *err)
{
    int code = visit(data, directory, manifest, err);
    cleanup_free char *name = manifest->parent ? strdup(manifest->parent) : NULL;
    for (unsigned depth = 1; code == 0 && name; depth++) {
        struct checkpoint_manifest below;
        if (depth > CHECKPOINT_DEPTH_MAX)
            return err_set(err, ELOOP, "%s lies on more than %d checkpoints", directory, CHECKPOINT_DEPTH_MAX);
        cleanup_free char *path = files_format("%s/" CHECKPOINT_PART "/%s", store, name);
        code = path ? checkpoint_load(path, &below, err) : err_errno(err, ENOMEM, "%s", name);
        if (code == -ENOENT)
            return err_set(err, EBADMSG, "%s: damaged: the checkpoint %s below it is missing", directory, name);
        if (code < 0)
            return code;
        code = visit(data, path, &below, err);
        free(name);
        name = steal_pointer(&below.parent);
        checkpoint_manifest_free(&below);
    }
    return code;
}
