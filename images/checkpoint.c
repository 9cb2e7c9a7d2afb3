/* SPDX-License-Identifier: Apache-2.0 */
/* Opening checkpoints: nothing of one is used before all of it has been compared with its manifest. */
#include "images/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "images/image.h"
#include "images/verified.h"
#include "src/cleanup.h"
#include "src/nearest.h"

int checkpoint_load(const char *directory, struct checkpoint_manifest *out, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s", directory, MANIFEST_NAME);
    size_t length;
    *out = (struct checkpoint_manifest){0};
    cleanup_free char *text = path ? files_read(path, CHECKPOINT_MANIFEST_MAX, &length) : NULL;
    if (!text)
        return err_errno(err, errno, "read %s/%s", directory, MANIFEST_NAME);
    struct err own = {0};
    int code = checkpoint_manifest_parse(text, length, out, &own);
    return code < 0 ? err_set(err, -code, "%s: %s", path, own.text) : 0;
}

int checkpoint_read_manifest(const char *store, const char *name, struct checkpoint_manifest *out, struct err *err)
{
    *out = (struct checkpoint_manifest){0};
    int code = checkpoint_check_name(name, err);
    if (code < 0)
        return code;
    cleanup_free char *directory = files_format("%s/" CHECKPOINT_PART "/%s", store, name);
    return directory ? checkpoint_load(directory, out, err) : err_errno(err, ENOMEM, "checkpoint %s", name);
}

struct comparison {
    const char *directory;
    bool digests;
};

static int compare_file(void *data, const struct manifest_file *file, struct err *err)
{
    const struct comparison *comparison = data;
    cleanup_free char *path = files_format("%s/%s", comparison->directory, file->name);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    struct stat st;
    char hex[DIGEST_HEX_SIZE];

    if (fd < 0 && errno == ENOENT)
        return err_set(err, EBADMSG, "%s/%s: damaged: it is missing", comparison->directory, file->name);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "%s/%s", comparison->directory, file->name);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->size)
        return err_set(err, EBADMSG, "%s: damaged: it has %jd bytes, and should have %" PRIu64, path, (intmax_t)st.st_size,
                       file->size);
    if (!comparison->digests)
        return 0;
    int code = digest_sparse_fd(fd, NULL, hex);
    if (code < 0)
        return err_errno(err, -code, "read %s", path);
    if (strcmp(hex, file->sha256) != 0)
        return err_set(err, EBADMSG, "%s: damaged or tampered with: its digest is %s, and should be %s", path, hex,
                       file->sha256);
    return 0;
}

static int compare_sizes(const char *directory, const struct checkpoint_manifest *manifest, bool disks_only, struct err *err)
{
    struct comparison sizes = {.directory = directory};
    int code = 0;
    for (size_t i = 0; code == 0 && i < manifest->file_count; i++)
        if (!disks_only || !checkpoint_is_of_memory(manifest->files[i].name))
            code = compare_file(&sizes, &manifest->files[i], err);
    return code;
}

int checkpoint_look(const char *store, const char *name, struct checkpoint_manifest *out, struct err *err)
{
    cleanup_free char *directory = files_format("%s/" CHECKPOINT_PART "/%s", store, name);
    int code = checkpoint_read_manifest(store, name, out, err);
    if (code < 0)
        return code;
    return directory ? compare_sizes(directory, out, false, err) : err_errno(err, ENOMEM, "checkpoint %s", name);
}

int checkpoint_check_files(const char *directory, const struct checkpoint_manifest *manifest, bool disks_only, unsigned how,
                           struct err *err)
{
    struct comparison digests = {.directory = directory, .digests = true};
    struct manifest_file files[MANIFEST_MAX_FILES]; /* the names are the manifest's */
    size_t count = 0;
    for (size_t i = 0; i < manifest->file_count; i++)
        if (!disks_only || !checkpoint_is_of_memory(manifest->files[i].name))
            files[count++] = manifest->files[i];
    int code = compare_sizes(directory, manifest, disks_only, err);
    if (code == 0)
        code = verified_check(directory, files, count, how, compare_file, &digests, err);
    return code;
}

char *checkpoint_root_disk_state(const char *root_disk)
{
    struct stat st;
    return stat(root_disk, &st) < 0 ? NULL : files_state(&st);
}

int checkpoint_check_root_disk(const char *root_disk, const char *state, struct err *err)
{
    cleanup_free char *now = checkpoint_root_disk_state(root_disk);
    if (!now || access(root_disk, R_OK) < 0)
        return err_errno(err, errno, "its root disk %s", root_disk);
    return !state || strcmp(now, state) == 0 ? 0 : err_set(err, EBADMSG, "its root disk %s has been written to or replaced "
                                                           "since", root_disk);
}

static int check_image(const char *store, const struct checkpoint_manifest *manifest, bool verify, struct err *err)
{
    struct image image;
    int code = manifest->root_disk ? checkpoint_check_root_disk(manifest->root_disk, manifest->root_disk_state, err) : 0;
    if (code < 0)
        return code;
    cleanup_free char *path = manifest->image ? strdup(manifest->image)
                                              : files_format("%s/images/%s", store, manifest->build_id);
    if (!path)
        return err_errno(err, ENOMEM, "find its image");
    if (!files_exists(path))
        return err_set(err, ENOENT, "its image %s is not %s; build it again from the same packages, or import the "
                       "checkpoint from a file that was exported --with-image", manifest->build_id,
                       manifest->image ? "there any more" : "in the store");
    code = image_open(path, verify, &image, err);
    if (code < 0)
        return code;
    if (strcmp(image.build_id, manifest->build_id) != 0)
        code = err_set(err, EBADMSG, "the image in %s is another one now (%.12s, not %.12s)", path, image.build_id,
                       manifest->build_id);
    image_close(&image);
    return code;
}

struct opening {
    const struct checkpoint *checkpoint;
    bool verify;
};

static int check_disks(void *data, const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    const struct opening *opening = data;
    bool below = manifest != &opening->checkpoint->manifest;
    if (strcmp(manifest->build_id, opening->checkpoint->manifest.build_id) != 0)
        return err_set(err, EBADMSG, "%s: damaged: it lies on another image than what lies on it", directory);
    bool template = !opening->checkpoint->name;
    unsigned how = (opening->verify ? VERIFIED_ALL : 0) | (template ? VERIFIED_UNSYNCED : 0);
    int code = checkpoint_check_files(directory, manifest, below, how, err);
    return code < 0 ? code : checkpoint_check_backing(directory, manifest, err);
}

static int check_whole(const char *store, const struct checkpoint *c, bool verify, struct err *err)
{
    struct opening opening = {.checkpoint = c, .verify = verify};
    int code = checkpoint_each_below(store, c->directory, &c->manifest, check_disks, &opening, err);
    return code < 0 ? code : check_image(store, &c->manifest, verify, err);
}

int checkpoint_open_directory(const char *store, const char *directory, const char *name, bool verify,
                              struct checkpoint *out, struct err *err)
{
    *out = (struct checkpoint){.lock_fd = -1};
    out->directory = strdup(directory);
    out->name = name ? strdup(name) : NULL;
    int code = 0;
    if (!out->directory || (name && !out->name))
        code = err_errno(err, ENOMEM, "%s", directory);
    if (code == 0 && (out->lock_fd = store_lock_manifest(directory)) < 0)
        code = err_errno(err, -out->lock_fd, "%s/%s", directory, MANIFEST_NAME);
    if (code == 0)
        code = checkpoint_load(directory, &out->manifest, err);
    if (code == 0)
        code = check_whole(store, out, verify, err);
    if (code < 0)
        checkpoint_close(out);
    return code;
}

static int missing(const char *store, const char *name, struct err *err)
{
    struct names all = {0};
    int code;
    checkpoint_list(store, &all, NULL);
    const char *near = all.count ? nearest_match(name, (const char *const *)all.list) : NULL;
    if (near)
        code = err_set(err, ENOENT, "checkpoint %s: there is none; did you mean %s?", name, near);
    else
        code = err_set(err, ENOENT, "checkpoint %s: there is none; see: gondolin checkpoint ls", name);
    names_free(&all);
    return code;
}

int checkpoint_require(const char *store, const char *name, struct err *err)
{
    int code = checkpoint_check_name(name, err);
    return code < 0 || checkpoint_exists(store, name) ? code : missing(store, name, err);
}

int checkpoint_open(const char *store, const char *name, bool verify, struct checkpoint *out, struct err *err)
{
    struct err own = {0};
    *out = (struct checkpoint){.lock_fd = -1};
    int code = checkpoint_require(store, name, err);
    if (code < 0)
        return code;
    cleanup_free char *directory = files_format("%s/" CHECKPOINT_PART "/%s", store, name);
    if (!directory)
        return err_errno(err, ENOMEM, "checkpoint %s", name);
    code = checkpoint_open_directory(store, directory, name, verify, out, &own);
    return code < 0 ? err_set(err, -code, "checkpoint %s: %s", name, own.text) : 0;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    free(checkpoint->name);
    free(checkpoint->directory);
    checkpoint_manifest_free(&checkpoint->manifest);
    if (checkpoint->lock_fd >= 0)
        close(checkpoint->lock_fd);
    *checkpoint = (struct checkpoint){.lock_fd = -1};
}
