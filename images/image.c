/* SPDX-License-Identifier: Apache-2.0 */
#include "images/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/digest.h"
#include "images/files.h"
#include "images/image_internal.h"
#include "images/manifest.h"
#include "images/store.h"
#include "images/verified.h"
#include "src/cleanup.h"
#include "src/nearest.h"

char *image_store_path(struct err *err)
{
    return store_path(err);
}

int image_load_manifest(const char *directory, struct manifest *manifest, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s", directory, MANIFEST_NAME);
    size_t length;
    cleanup_free char *text = path ? files_read(path, MANIFEST_MAX_SIZE, &length) : NULL;
    if (!text)
        return err_errno(err, errno, "image: read %s/%s", directory, MANIFEST_NAME);
    struct err own = {0};
    int code = manifest_parse(text, length, manifest, &own);
    return code < 0 ? err_set(err, -code, "image: %s: %s", path, own.text) : 0;
}

int image_read_manifest(const struct image *image, struct manifest *out, struct err *err)
{
    return image_load_manifest(image->directory, out, err);
}

/* Compares one file with what the manifest says of it. */
static int check_file(const char *directory, const struct manifest_file *file, bool verify, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s", directory, file->name);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct stat st;
    char hex[DIGEST_HEX_SIZE];

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno == ENOENT ? EBADMSG : errno, "image: %s/%s", directory, file->name);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->size)
        return err_set(err, EBADMSG, "image: %s: damaged: it has %jd bytes, and should have %" PRIu64
                       "; build the image again with: gondolin build --fresh", path, (intmax_t)st.st_size, file->size);
    if (!verify)
        return 0;
    int code = digest_fd(fd, NULL, hex);
    if (code < 0)
        return err_errno(err, -code, "image: read %s", path);
    if (strcmp(hex, file->sha256) != 0)
        return err_set(err, EBADMSG, "image: %s: damaged or tampered with: its SHA-256 is %s, and should be %s; build the "
                       "image again with: gondolin build --fresh", path, hex, file->sha256);
    return 0;
}

static int compare_file(void *data, const struct manifest_file *file, struct err *err)
{
    return check_file(data, file, true, err);
}

/* Once the digests have been right they are computed again only after something has touched the files. */
static int check_once(const char *directory, const struct manifest *manifest, bool verify, struct err *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < manifest->file_count; i++)
        code = check_file(directory, &manifest->files[i], false, err);
    if (code < 0)
        return code;
    return verified_check(directory, manifest->files, manifest->file_count, verify ? VERIFIED_ALL : 0, compare_file,
                          (void *)directory, err);
}

static int not_found(const char *store, const char *reference, struct err *err)
{
    struct names tags = {0};
    int code;
    store_list_tags(store, &tags, NULL);
    const char *near = tags.count ? nearest_match(reference, (const char *const *)tags.list) : NULL;
    if (near)
        code = err_set(err, ENOENT, "image %.80s: there is none; did you mean %s?", reference, near);
    else if (tags.count == 0)
        code = err_set(err, ENOENT, "image %.80s: there is none yet; build one with: gondolin build", reference);
    else
        code = err_set(err, ENOENT, "image %.80s: there is none; see: gondolin image ls", reference);
    names_free(&tags);
    return code;
}

int image_find(const char *store, const char *reference, char build_id[DIGEST_HEX_SIZE], bool *is_tag, struct err *err)
{
    *is_tag = store_read_tag(store, reference, build_id) == 0;
    if (*is_tag)
        return 0;
    int code = store_find_prefix(store, reference, build_id);
    if (code == -EEXIST)
        return err_set(err, EEXIST, "image %.80s: several build ids begin so; give more digits", reference);
    if (code == -ENOENT)
        return not_found(store, reference, err);
    return code < 0 ? err_errno(err, -code, "image %.80s", reference) : 0;
}

/* Fills directory, and the tag when the reference is one. */
static int locate(const char *reference, struct image *out, struct err *err)
{
    char build_id[DIGEST_HEX_SIZE];
    bool is_tag;

    if (strchr(reference, '/')) {
        out->directory = realpath(reference, NULL);
        return out->directory ? 0 : err_errno(err, errno, "image %.200s", reference);
    }
    cleanup_free char *store = store_find(err);
    if (!store)
        return -err->code;
    int code = image_find(store, reference, build_id, &is_tag, err);
    if (code < 0)
        return code;
    out->directory = files_format("%s/images/%s", store, build_id);
    out->tag = is_tag ? strdup(reference) : NULL;
    return out->directory && (out->tag || !is_tag) ? 0 : err_errno(err, ENOMEM, "image %s", reference);
}

static int fill(struct image *out, const struct manifest *manifest, struct err *err)
{
    memcpy(out->build_id, manifest->build_id, sizeof out->build_id);
    out->arch = strdup(manifest->arch);
    out->kernel = files_format("%s/%s", out->directory, IMAGE_KERNEL);
    out->initramfs = files_format("%s/%s", out->directory, IMAGE_INITRAMFS);
    out->rootfs = files_format("%s/%s", out->directory, IMAGE_ROOTFS);
    out->kernel_append = manifest->kernel_append ? strdup(manifest->kernel_append) : NULL;
    out->default_memory = manifest->memory;
    if (!out->arch || !out->kernel || !out->initramfs || !out->rootfs || (manifest->kernel_append && !out->kernel_append))
        return err_errno(err, ENOMEM, "image");
    return 0;
}

static int open_located(const char *reference, bool verify, struct image *out, struct err *err)
{
    struct manifest manifest;

    out->lock_fd = store_lock_manifest(out->directory);
    if (out->lock_fd < 0)
        return err_errno(err, -out->lock_fd, "image %.200s: %s/%s", reference, out->directory, MANIFEST_NAME);
    int code = image_load_manifest(out->directory, &manifest, err);
    if (code < 0)
        return code;
    code = check_once(out->directory, &manifest, verify, err);
    if (code == 0)
        code = fill(out, &manifest, err);
    manifest_free(&manifest);
    return code;
}

int image_open(const char *reference, bool verify, struct image *out, struct err *err)
{
    struct err own = {0};

    *out = (struct image){.lock_fd = -1};
    int code = locate(reference, out, &own);
    if (code == 0)
        code = open_located(reference, verify, out, &own);
    if (code < 0) {
        image_close(out);
        return err_set(err, -code, "%s", own.text);
    }
    return 0;
}

void image_close(struct image *image)
{
    char *strings[] = {image->tag, image->directory, image->arch, image->kernel, image->initramfs, image->rootfs,
                       image->kernel_append};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    if (image->lock_fd >= 0)
        close(image->lock_fd);
    *image = (struct image){.lock_fd = -1};
}
