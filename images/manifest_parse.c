/* SPDX-License-Identifier: Apache-2.0 */
/* Reads manifest.json. */
#include "images/manifest.h"

#include <errno.h>
#include <string.h>

#include "images/json_members.h"
#include "src/cleanup.h"

enum { MAX_DEPTH = 6 };

static int read_package(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    cleanup_free char *name = NULL, *version = NULL;
    const struct json_member members[] = {{.name = "name", .kind = JSON_WORD, .to = &name},
                                          {.name = "version", .kind = JSON_WORD, .to = &version}};
    int code = JSON_MEMBERS_READ(reader, "source.packages", value, members);
    if (code == 0 && (code = manifest_add_package(manifest, name, version)) < 0)
        err_errno(reader->err, -code, "manifest");
    return code;
}

static int read_packages(struct json_reader *reader, struct json_object *value)
{
    return json_members_array(reader, "source.packages", value, MANIFEST_MAX_PACKAGES, read_package);
}

static int read_file(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    return manifest_files_read(reader, value, manifest->files, &manifest->file_count);
}

static int read_files(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    static const char *const required[] = {IMAGE_KERNEL, IMAGE_INITRAMFS, IMAGE_ROOTFS};
    int code = json_members_array(reader, "files", value, MANIFEST_MAX_FILES, read_file);
    for (size_t i = 0; code == 0 && i < sizeof required / sizeof *required; i++)
        if (!manifest_find_file(manifest, required[i]))
            code = err_set(reader->err, EINVAL, "manifest: files: %s is missing", required[i]);
    return code;
}

static int read_source(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    const struct json_member members[] = {
        {.name = "name", .kind = JSON_WORD, .to = &manifest->source},
        {.name = "suite", .kind = JSON_WORD, .optional = true, .to = &manifest->suite},
        {.name = "packages", .kind = JSON_CUSTOM, .read = read_packages},
    };
    return JSON_MEMBERS_READ(reader, "source", value, members);
}

static int read_kernel(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    const struct json_member members[] = {
        {.name = "package", .kind = JSON_WORD, .to = &manifest->kernel_package},
        {.name = "version", .kind = JSON_WORD, .to = &manifest->kernel_package_version},
        {.name = "release", .kind = JSON_WORD, .to = &manifest->kernel_release},
    };
    return JSON_MEMBERS_READ(reader, "kernel", value, members);
}

static int read_agent(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    const struct json_member members[] = {{.name = "version", .kind = JSON_WORD, .to = &manifest->agent_version},
                                          {.name = "sha256", .kind = JSON_DIGEST, .to = manifest->agent_sha256}};
    return JSON_MEMBERS_READ(reader, "agent", value, members);
}

static int read_defaults(struct json_reader *reader, struct json_object *value)
{
    struct manifest *manifest = reader->data;
    const struct json_member members[] = {
        {.name = "memory", .kind = JSON_NUMBER, .to = &manifest->memory},
        {.name = "kernel_append", .kind = JSON_TEXT, .optional = true, .to = &manifest->kernel_append},
    };
    return JSON_MEMBERS_READ(reader, "defaults", value, members);
}

static int read_top(struct json_reader *reader, struct json_object *top)
{
    struct manifest *manifest = reader->data;
    uint64_t schema;
    const struct json_member members[] = {
        {.name = "schema", .kind = JSON_NUMBER, .to = &schema},
        {.name = "build_id", .kind = JSON_DIGEST, .to = manifest->build_id},
        {.name = "inputs", .kind = JSON_DIGEST, .to = manifest->inputs},
        {.name = "arch", .kind = JSON_WORD, .to = &manifest->arch},
        {.name = "created", .kind = JSON_WORD, .to = &manifest->created},
        {.name = "source", .kind = JSON_CUSTOM, .read = read_source},
        {.name = "kernel", .kind = JSON_CUSTOM, .read = read_kernel},
        {.name = "agent", .kind = JSON_CUSTOM, .read = read_agent},
        {.name = "files", .kind = JSON_CUSTOM, .read = read_files},
        {.name = "defaults", .kind = JSON_CUSTOM, .read = read_defaults},
    };
    char expected[DIGEST_HEX_SIZE];

    int code = JSON_MEMBERS_READ(reader, "manifest", top, members);
    if (code < 0)
        return code;
    manifest_compute_build_id(manifest, expected);
    if (strcmp(expected, manifest->build_id) != 0)
        return json_members_wrong(reader, "build_id", "does not belong to the digests of the files");
    return 0;
}

int manifest_parse(const char *text, size_t length, struct manifest *out, struct err *err)
{
    struct err own = {0};
    struct json_reader reader = {.what = "manifest", .data = out, .err = err ? err : &own};

    *out = (struct manifest){0};
    if (length > MANIFEST_MAX_SIZE)
        return err_set(err, EINVAL, "manifest: longer than %d bytes", MANIFEST_MAX_SIZE);
    struct json_object *top = json_members_parse(&reader, text, length, MAX_DEPTH, MANIFEST_SCHEMA);
    int code = top ? read_top(&reader, top) : -reader.err->code;
    json_object_put(top);
    if (code < 0)
        manifest_free(out);
    return code;
}
