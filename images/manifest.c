/* SPDX-License-Identifier: Apache-2.0 */
#include "images/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "src/cleanup.h"

int manifest_add_file(struct manifest *manifest, const char *name, uint64_t size, const char *sha256)
{
    return manifest_files_add(manifest->files, &manifest->file_count, name, size, sha256);
}

int manifest_add_package(struct manifest *manifest, const char *name, const char *version)
{
    if (manifest->package_count == MANIFEST_MAX_PACKAGES)
        return -E2BIG;
    struct manifest_package *list = reallocarray(manifest->packages, manifest->package_count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    manifest->packages = list;
    struct manifest_package *package = &list[manifest->package_count];
    package->name = strdup(name);
    package->version = strdup(version);
    if (!package->name || !package->version) {
        free(package->name);
        free(package->version);
        return -ENOMEM;
    }
    manifest->package_count++;
    return 0;
}

const struct manifest_file *manifest_find_file(const struct manifest *manifest, const char *name)
{
    return manifest_files_find(manifest->files, manifest->file_count, name);
}

static int by_name(const void *a, const void *b)
{
    const struct manifest_file *const *one = a, *const *other = b;
    return strcmp((*one)->name, (*other)->name);
}

void manifest_compute_build_id(const struct manifest *manifest, char hex[DIGEST_HEX_SIZE])
{
    const struct manifest_file *sorted[MANIFEST_MAX_FILES];
    struct digest *digest = digest_new();
    if (!digest)
        abort();
    for (size_t i = 0; i < manifest->file_count; i++)
        sorted[i] = &manifest->files[i];
    qsort(sorted, manifest->file_count, sizeof *sorted, by_name);
    for (size_t i = 0; i < manifest->file_count; i++) {
        char size[24];
        snprintf(size, sizeof size, "%" PRIu64, sorted[i]->size);
        digest_add_string(digest, sorted[i]->name);
        digest_add_string(digest, size);
        digest_add_string(digest, sorted[i]->sha256);
    }
    digest_end(digest, hex);
}

void manifest_free(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->package_count; i++) {
        free(manifest->packages[i].name);
        free(manifest->packages[i].version);
    }
    free(manifest->packages);
    manifest_files_free(manifest->files, manifest->file_count);
    char *strings[] = {manifest->arch, manifest->created, manifest->source, manifest->suite, manifest->kernel_package,
                       manifest->kernel_package_version, manifest->kernel_release, manifest->agent_version,
                       manifest->kernel_append};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    *manifest = (struct manifest){0};
}

/* Members are added in pairs; NULL values are left out. */
static struct json_object *object_of(const char *const pairs[][2], size_t count)
{
    struct json_object *object = json_object_new_object();
    for (size_t i = 0; object && i < count; i++)
        if (pairs[i][1])
            json_object_object_add(object, pairs[i][0], json_object_new_string(pairs[i][1]));
    return object;
}

#define OBJECT_OF(...)                                                                             \
    object_of((const char *const[][2]){__VA_ARGS__}, sizeof((const char *const[][2]){__VA_ARGS__}) / sizeof(char *[2]))

static struct json_object *format_source(const struct manifest *manifest)
{
    struct json_object *source = OBJECT_OF({"name", manifest->source}, {"suite", manifest->suite});
    struct json_object *packages = json_object_new_array();
    for (size_t i = 0; i < manifest->package_count; i++)
        json_object_array_add(packages, OBJECT_OF({"name", manifest->packages[i].name},
                                                  {"version", manifest->packages[i].version}));
    json_object_object_add(source, "packages", packages);
    return source;
}

static struct json_object *format_defaults(const struct manifest *manifest)
{
    struct json_object *defaults = OBJECT_OF({"kernel_append", manifest->kernel_append});
    json_object_object_add(defaults, "memory", json_object_new_uint64(manifest->memory));
    return defaults;
}

char *manifest_format(const struct manifest *manifest)
{
    struct json_object *top = json_object_new_object();
    if (!top)
        return NULL;
    json_object_object_add(top, "schema", json_object_new_int(MANIFEST_SCHEMA));
    json_object_object_add(top, "build_id", json_object_new_string(manifest->build_id));
    json_object_object_add(top, "inputs", json_object_new_string(manifest->inputs));
    json_object_object_add(top, "arch", json_object_new_string(manifest->arch));
    json_object_object_add(top, "created", json_object_new_string(manifest->created));
    json_object_object_add(top, "source", format_source(manifest));
    json_object_object_add(top, "kernel", OBJECT_OF({"package", manifest->kernel_package},
                                                    {"version", manifest->kernel_package_version},
                                                    {"release", manifest->kernel_release}));
    json_object_object_add(top, "agent", OBJECT_OF({"version", manifest->agent_version},
                                                   {"sha256", manifest->agent_sha256}));
    json_object_object_add(top, "files", manifest_files_format(manifest->files, manifest->file_count));
    json_object_object_add(top, "defaults", format_defaults(manifest));
    const char *text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *copy = NULL;
    if (text && asprintf(&copy, "%s\n", text) < 0)
        copy = NULL;
    json_object_put(top);
    return copy;
}
