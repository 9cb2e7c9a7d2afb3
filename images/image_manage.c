/* SPDX-License-Identifier: Apache-2.0 */
/* Listing, tagging and removing images. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "images/checkpoint.h"
#include "images/checkpoint_internal.h"
#include "images/contain.h"
#include "images/files.h"
#include "images/image_internal.h"
#include "images/store.h"
#include "src/cleanup.h"

static int clean_contained(void *data, struct contained *contained, struct err *err)
{
    (void)contained;
    int code = store_clean(data);
    return code < 0 ? err_errno(err, -code, "clean the image store") : 0;
}

void image_clean_store(const char *store)
{
    int code = store_clean(store);
    /* The half-made root of a killed build belongs to ids that only a namespace gives power over. */
    if (code == -EACCES || code == -EPERM)
        contain_run(&(struct contain){.work = clean_contained, .data = (void *)store, .keep = store}, NULL);
}

/* The tags of one image, separated by spaces. */
static char *tags_of(const char *store, const struct names *tags, const char *build_id)
{
    char *text = strdup("");
    for (size_t i = 0; text && i < tags->count; i++) {
        char target[DIGEST_HEX_SIZE];
        if (store_read_tag(store, tags->list[i], target) < 0 || strcmp(target, build_id) != 0)
            continue;
        char *longer = files_format("%s%s%s", text, *text ? " " : "", tags->list[i]);
        free(text);
        text = longer;
    }
    return text;
}

static uint64_t disk_usage(const char *directory, const struct manifest *manifest)
{
    uint64_t total = 0;
    for (size_t i = 0; i < manifest->file_count; i++) {
        cleanup_free char *path = files_format("%s/%s", directory, manifest->files[i].name);
        struct stat st;
        if (path && stat(path, &st) == 0)
            total += (uint64_t)st.st_blocks * 512;
    }
    return total;
}

static int describe(const char *store, const struct names *tags, const char *build_id, struct image_info *info)
{
    cleanup_free char *directory = files_format("%s/images/%s", store, build_id);

    snprintf(info->build_id, sizeof info->build_id, "%s", build_id);
    info->tags = tags_of(store, tags, build_id);
    info->manifest = malloc(sizeof *info->manifest);
    if (!directory || !info->tags || !info->manifest)
        return -ENOMEM;
    if (image_load_manifest(directory, info->manifest, NULL) < 0) {
        free(info->manifest);
        info->manifest = NULL;
        return 0;
    }
    info->disk_usage = disk_usage(directory, info->manifest);
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct image_info *one = a, *other = b;
    return strcmp(other->manifest ? other->manifest->created : "", one->manifest ? one->manifest->created : "");
}

int image_list(struct image_info **out, size_t *count, struct err *err)
{
    struct names ids = {0}, tags = {0};
    struct image_info *list = NULL;
    struct err own = {0};
    cleanup_free char *store = store_find(&own);
    int code = store ? store_list_images(store, &ids, &own) : -own.code;

    if (code == 0)
        code = store_list_tags(store, &tags, &own);
    if (code == 0 && !(list = calloc(ids.count + 1, sizeof *list)))
        code = err_errno(&own, ENOMEM, "list images");
    for (size_t i = 0; code == 0 && i < ids.count; i++)
        if ((code = describe(store, &tags, ids.list[i], &list[i])) < 0)
            err_errno(&own, -code, "list images");
    if (code < 0) {
        image_list_free(list, list ? ids.count : 0);
        err_set(err, -code, "%s", own.text);
    } else {
        qsort(list, ids.count, sizeof *list, newest_first);
        *out = list;
        *count = ids.count;
    }
    names_free(&ids);
    names_free(&tags);
    return code;
}

void image_list_free(struct image_info *images, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(images[i].tags);
        if (images[i].manifest)
            manifest_free(images[i].manifest);
        free(images[i].manifest);
    }
    free(images);
}

/* The tags that stand for an image. */
static int find_tags(const char *store, const char *build_id, struct names *found, struct err *err)
{
    struct names tags = {0};
    int code = store_list_tags(store, &tags, err);
    for (size_t i = 0; code == 0 && i < tags.count; i++) {
        char target[DIGEST_HEX_SIZE];
        if (store_read_tag(store, tags.list[i], target) == 0 && strcmp(target, build_id) == 0)
            names_add(found, tags.list[i]);
    }
    names_free(&tags);
    return found->failed ? err_errno(err, ENOMEM, "list tags") : code;
}

static int nothing_lies_on_it(const char *store, const char *build_id, struct err *err)
{
    struct names users = {0};
    int code = checkpoint_users_of_image(store, build_id, &users, err);
    if (code == 0 && users.count > 0) {
        cleanup_free char *list = names_join(&users);
        code = err_set(err, EBUSY, "image %.12s: it is what checkpoints lie on: %.400s; remove those first (gondolin "
                       "checkpoint rm)", build_id, list ? list : "some");
    }
    names_free(&users);
    return code;
}

/* The image before its tags: when it is in use, they stay too. */
static int remove_whole(const char *store, const char *build_id, const struct names *tags, struct err *err)
{
    int code = nothing_lies_on_it(store, build_id, err); /* the better reason, where it is in use besides */
    if (code == 0)
        code = store_remove_entry(store, "images", build_id, nothing_lies_on_it, err);
    if (code == -ENOENT) /* tags of an image that is gone already */
        code = 0;
    if (code == 0)
        code = template_drop_image(store, build_id, err);
    for (size_t i = 0; code == 0 && i < tags->count; i++)
        code = store_remove_tag(store, tags->list[i], err);
    return code;
}

static int remove_found(const char *store, const char *reference, bool *removed, struct err *err)
{
    char build_id[DIGEST_HEX_SIZE];
    struct names tags = {0};
    bool is_tag;

    int code = image_find(store, reference, build_id, &is_tag, err);
    if (code < 0)
        return code;
    image_clean_store(store);
    code = find_tags(store, build_id, &tags, err);
    if (code == 0 && is_tag && tags.count > 1) {
        code = store_remove_tag(store, reference, err);
    } else if (code == 0) {
        code = remove_whole(store, build_id, &tags, err);
        *removed = code == 0;
    }
    names_free(&tags);
    return code;
}

/* For who changes a store that should be there: with all its parts. */
static char *open_store(struct err *err)
{
    cleanup_free char *store = store_find(err);
    return store ? store_open(err) : NULL;
}

int image_remove(const char *reference, bool *removed, struct err *err)
{
    struct err own = {0};
    cleanup_free char *store = open_store(&own);

    *removed = false;
    int code = store ? remove_found(store, reference, removed, &own) : -own.code;
    return code < 0 ? err_set(err, -code, "%s", own.text) : 0;
}

int image_tag(const char *reference, const char *tag, struct err *err)
{
    struct err own = {0};
    struct image image;
    int code = store_check_tag(tag, &own);
    if (code == 0 && strchr(reference, '/'))
        code = err_set(&own, EINVAL, "tag %s: only images of the store can have tags, %.200s is a directory", tag, reference);
    if (code == 0)
        code = image_open(reference, false, &image, &own);
    if (code == 0) {
        cleanup_free char *store = open_store(&own);
        code = store ? store_set_tag(store, tag, image.build_id, &own) : -own.code;
        image_close(&image);
    }
    return code < 0 ? err_set(err, -code, "%s", own.text) : 0;
}
