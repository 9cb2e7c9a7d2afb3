/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: full checkpoints that mount makes for itself. They can be made again at any time, so nobody is asked
 * before one goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "src/options.h"

#define LIMIT_VARIABLE "GONDOLIN_TEMPLATE_LIMIT"
#define DEFAULT_LIMIT (4ULL << 30)

static bool is_key(const char *key)
{
    size_t length = strlen(key);
    return length > 0 && length < DIGEST_HEX_SIZE && strspn(key, "0123456789abcdef") == length;
}

static char *path_of(const char *store, const char *key)
{
    return files_format("%s/" TEMPLATE_PART "/%s", store, key);
}

static int limit(uint64_t *bytes, struct err *err)
{
    const char *text = getenv(LIMIT_VARIABLE);
    unsigned long long value = DEFAULT_LIMIT;
    if (text && *text && options_size(text, &value) < 0)
        return err_set(err, EINVAL, LIMIT_VARIABLE "=%.40s: not a size; write bytes or for example 512M, 2G", text);
    *bytes = value;
    return 0;
}

int template_open(const char *store, const char *key, struct checkpoint *out, struct err *err)
{
    struct err own = {0};
    *out = (struct checkpoint){.lock_fd = -1};
    cleanup_free char *directory = is_key(key) ? path_of(store, key) : NULL;
    if (!directory)
        return err_set(err, is_key(key) ? ENOMEM : EINVAL, "template %.64s: not a template's key", key);
    if (!files_exists(directory))
        return err_set(err, ENOENT, "template %.12s: there is none", key);
    int code = checkpoint_open_directory(store, directory, NULL, false, out, &own);
    if (code == 0 && checkpoint_layers(&out->manifest) > 0) {
        checkpoint_close(out);
        code = err_set(&own, EBADMSG, "it has more than one disk");
    }
    if (code == -ENOENT && files_exists(directory)) /* something of it is missing, or the image where it was */
        code = -EBADMSG;
    if (code < 0)
        return err_set(err, -code, "template %.12s: %s", key, own.text);
    futimens(out->lock_fd, NULL); /* its manifest's time is when it was used last; a read-only store keeps the old one */
    return 0;
}

int template_publish(const char *store, struct store_work *work, const char *key, struct checkpoint_manifest *manifest,
                     struct checkpoint *out, struct err *err)
{
    struct err own = {0};
    uint64_t most = 0, freed;
    *out = (struct checkpoint){.lock_fd = -1};
    if (!is_key(key))
        return err_set(err, EINVAL, "template %.64s: not a template's key", key);
    int code = limit(&most, err);
    if (code < 0)
        return code;
    code = checkpoint_publish_entry(store, work, TEMPLATE_PART, key, manifest, NULL, out, &own);
    if (code == -EEXIST) {
        code = template_open(store, key, out, &own);
        if (code == 0)
            checkpoint_manifest_free(manifest);
    }
    if (code < 0)
        return err_set(err, -code, "template %.12s: %s", key, own.text);
    free(out->name);
    out->name = NULL;
    template_trim(store, most, &freed, NULL);
    return 0;
}

int template_drop(const char *store, const char *key, struct err *err)
{
    if (!is_key(key))
        return err_set(err, EINVAL, "template %.64s: not a template's key", key);
    int code = store_drop_entry(store, TEMPLATE_PART, key, err);
    return code == -ENOENT ? 0 : code;
}

static int describe(const char *store, const char *key, struct template_info *info)
{
    struct checkpoint_manifest manifest;
    struct stat st;
    cleanup_free char *directory = path_of(store, key);
    cleanup_free char *path = directory ? files_format("%s/%s", directory, MANIFEST_NAME) : NULL;
    if (!path)
        return -ENOMEM;
    snprintf(info->key, sizeof info->key, "%s", key);
    info->bytes = files_usage(directory);
    info->used_s = stat(path, &st) == 0 ? st.st_mtim.tv_sec : 0;
    info->in_use = store_is_locked(directory);
    if (checkpoint_load(directory, &manifest, NULL) == 0) {
        memcpy(info->build_id, manifest.build_id, sizeof info->build_id);
        checkpoint_manifest_free(&manifest);
    }
    return 0;
}

static int last_used_first(const void *a, const void *b)
{
    const struct template_info *one = a, *other = b;
    return (other->used_s > one->used_s) - (other->used_s < one->used_s);
}

int template_list(const char *store, struct template_info **out, size_t *count, struct err *err)
{
    struct names keys = {0};
    int code = store_list_part(store, TEMPLATE_PART, &keys);
    struct template_info *list = calloc(keys.count + 1, sizeof *list);
    *count = 0;
    if (!list)
        code = -ENOMEM;
    for (size_t i = 0; code == 0 && i < keys.count; i++) {
        if (!is_key(keys.list[i]))
            continue;
        code = describe(store, keys.list[i], &list[*count]);
        ++*count;
    }
    names_free(&keys);
    if (code < 0) {
        free(list);
        return err_errno(err, -code, "image store: list %s/" TEMPLATE_PART, store);
    }
    qsort(list, *count, sizeof *list, last_used_first);
    *out = list;
    return 0;
}

int template_trim(const char *store, uint64_t most, uint64_t *freed, struct err *err)
{
    struct template_info *list;
    size_t count;
    uint64_t taken = 0;
    *freed = 0;
    int code = template_list(store, &list, &count, err);
    if (code < 0)
        return code;
    for (size_t i = 0; i < count; i++)
        taken += list[i].bytes;
    for (size_t i = count; i > 0 && (taken > most || most == 0); i--) {
        const struct template_info *info = &list[i - 1];
        int removed = info->in_use ? -EBUSY : store_remove_entry(store, TEMPLATE_PART, info->key, NULL, err);
        if (removed == 0) {
            taken -= info->bytes;
            *freed += info->bytes;
        } else if (removed != -EBUSY && removed != -ENOENT) {
            code = removed;
        }
    }
    free(list);
    return code;
}

int template_drop_image(const char *store, const char *build_id, struct err *err)
{
    struct template_info *list;
    size_t count;
    int code = template_list(store, &list, &count, err);
    if (code < 0)
        return code;
    for (size_t i = 0; code == 0 && i < count; i++)
        if (strcmp(list[i].build_id, build_id) == 0)
            code = template_drop(store, list[i].key, err);
    free(list);
    return code;
}
