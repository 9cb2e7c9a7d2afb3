/* SPDX-License-Identifier: Apache-2.0 */
/* Reads manifest.json. Each JSON object is described by a table of its members; one walker checks them all. */
#include "images/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "src/cleanup.h"

enum { MAX_DEPTH = 6, MAX_STRING = 256, MAX_APPEND = 2048, MAX_FILE_NAME = 64 };

/* What a member's value is and where it goes. */
enum kind {
    WORD,     /* printable ASCII without spaces, into a char * */
    TEXT,     /* printable ASCII, into a char * */
    DIGEST,   /* 64 hex digits, into a char[65] */
    NUMBER,   /* 0 .. INT64_MAX, into a uint64_t */
    CUSTOM,   /* checked by its own function */
};

struct reader {
    struct manifest *manifest;
    struct err *err;
};

struct member {
    const char *name;
    enum kind kind;
    bool optional;
    void *to;
    int (*read)(struct reader *reader, struct json_object *value);
};

static int wrong(const struct reader *reader, const char *name, const char *reason)
{
    return err_set(reader->err, EINVAL, "manifest: %.64s: %s", name, reason);
}

static bool is_printable(const char *text, size_t length, bool spaces)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] > 0x7e || (unsigned char)text[i] < (spaces ? 0x20 : 0x21))
            return false;
    return true;
}

static int read_string(const struct reader *reader, const struct member *member, struct json_object *value)
{
    char **to = member->to;
    const char *text = json_object_get_string(value);
    size_t length = (size_t)json_object_get_string_len(value);

    if (!json_object_is_type(value, json_type_string))
        return wrong(reader, member->name, "not a string");
    if (length == 0 || length > (member->kind == TEXT ? MAX_APPEND : MAX_STRING))
        return wrong(reader, member->name, "empty or too long");
    if (!is_printable(text, length, member->kind == TEXT))
        return wrong(reader, member->name, "has characters that do not belong there");
    if (member->kind == DIGEST) {
        if (!digest_is_hex(text))
            return wrong(reader, member->name, "not a SHA-256 digest in lower-case hex");
        memcpy(member->to, text, DIGEST_HEX_SIZE);
        return 0;
    }
    *to = strdup(text);
    return *to ? 0 : err_errno(reader->err, ENOMEM, "manifest");
}

static int read_number(const struct reader *reader, const struct member *member, struct json_object *value)
{
    uint64_t *to = member->to;
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
        return wrong(reader, member->name, "not a number of 0 or more");
    *to = (uint64_t)json_object_get_int64(value);
    return 0;
}

static int read_member(struct reader *reader, const struct member *member, struct json_object *value)
{
    if (member->kind == CUSTOM)
        return member->read(reader, value);
    return member->kind == NUMBER ? read_number(reader, member, value) : read_string(reader, member, value);
}

static bool is_member(const char *name, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].name, name) == 0)
            return true;
    return false;
}

static int read_object(struct reader *reader, const char *what, struct json_object *object, const struct member *members,
                       size_t count)
{
    if (!json_object_is_type(object, json_type_object))
        return wrong(reader, what, "not an object");
    json_object_object_foreach(object, name, ignored) {
        (void)ignored;
        if (!is_member(name, members, count))
            return wrong(reader, what, "has an unknown member");
    }
    for (size_t i = 0; i < count; i++) {
        struct json_object *value;
        if (!json_object_object_get_ex(object, members[i].name, &value)) {
            if (members[i].optional)
                continue;
            return wrong(reader, members[i].name, "is missing");
        }
        int code = read_member(reader, &members[i], value);
        if (code < 0)
            return code;
    }
    return 0;
}

#define READ_OBJECT(reader, what, object, members) read_object(reader, what, object, members, sizeof(members) / sizeof *(members))

static int read_array(struct reader *reader, const char *what, struct json_object *array, size_t max,
                      int (*element)(struct reader *reader, struct json_object *value))
{
    if (!json_object_is_type(array, json_type_array))
        return wrong(reader, what, "not an array");
    if (json_object_array_length(array) > max)
        return wrong(reader, what, "has too many elements");
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        int code = element(reader, json_object_array_get_idx(array, i));
        if (code < 0)
            return code;
    }
    return 0;
}

static int read_package(struct reader *reader, struct json_object *value)
{
    cleanup_free char *name = NULL, *version = NULL;
    const struct member members[] = {{.name = "name", .kind = WORD, .to = &name},
                                     {.name = "version", .kind = WORD, .to = &version}};
    int code = READ_OBJECT(reader, "source.packages", value, members);
    if (code == 0 && (code = manifest_add_package(reader->manifest, name, version)) < 0)
        err_errno(reader->err, -code, "manifest");
    return code;
}

static int read_packages(struct reader *reader, struct json_object *value)
{
    return read_array(reader, "source.packages", value, MANIFEST_MAX_PACKAGES, read_package);
}

/* A name that stays in the image's directory and cannot be taken for an option. */
static bool is_plain_name(const char *name)
{
    if (!isalnum((unsigned char)name[0]) || strlen(name) > MAX_FILE_NAME)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
            return false;
    return true;
}

static int read_file(struct reader *reader, struct json_object *value)
{
    cleanup_free char *name = NULL;
    uint64_t size = 0;
    char sha256[DIGEST_HEX_SIZE] = "";
    const struct member members[] = {{.name = "name", .kind = WORD, .to = &name},
                                     {.name = "size", .kind = NUMBER, .to = &size},
                                     {.name = "sha256", .kind = DIGEST, .to = sha256}};
    int code = READ_OBJECT(reader, "files", value, members);
    if (code < 0)
        return code;
    if (!is_plain_name(name) || manifest_find_file(reader->manifest, name))
        return wrong(reader, "files", "a name is given twice or is not a plain file name");
    code = manifest_add_file(reader->manifest, name, size, sha256);
    return code < 0 ? err_errno(reader->err, -code, "manifest") : 0;
}

static int read_files(struct reader *reader, struct json_object *value)
{
    static const char *const required[] = {IMAGE_KERNEL, IMAGE_INITRAMFS, IMAGE_ROOTFS};
    int code = read_array(reader, "files", value, MANIFEST_MAX_FILES, read_file);
    for (size_t i = 0; code == 0 && i < sizeof required / sizeof *required; i++)
        if (!manifest_find_file(reader->manifest, required[i]))
            code = err_set(reader->err, EINVAL, "manifest: files: %s is missing", required[i]);
    return code;
}

static int read_source(struct reader *reader, struct json_object *value)
{
    const struct member members[] = {
        {.name = "name", .kind = WORD, .to = &reader->manifest->source},
        {.name = "suite", .kind = WORD, .optional = true, .to = &reader->manifest->suite},
        {.name = "packages", .kind = CUSTOM, .read = read_packages},
    };
    return READ_OBJECT(reader, "source", value, members);
}

static int read_kernel(struct reader *reader, struct json_object *value)
{
    const struct member members[] = {
        {.name = "package", .kind = WORD, .to = &reader->manifest->kernel_package},
        {.name = "version", .kind = WORD, .to = &reader->manifest->kernel_package_version},
        {.name = "release", .kind = WORD, .to = &reader->manifest->kernel_release},
    };
    return READ_OBJECT(reader, "kernel", value, members);
}

static int read_agent(struct reader *reader, struct json_object *value)
{
    const struct member members[] = {{.name = "version", .kind = WORD, .to = &reader->manifest->agent_version},
                                     {.name = "sha256", .kind = DIGEST, .to = reader->manifest->agent_sha256}};
    return READ_OBJECT(reader, "agent", value, members);
}

static int read_defaults(struct reader *reader, struct json_object *value)
{
    const struct member members[] = {
        {.name = "memory", .kind = NUMBER, .to = &reader->manifest->memory},
        {.name = "kernel_append", .kind = TEXT, .optional = true, .to = &reader->manifest->kernel_append},
    };
    return READ_OBJECT(reader, "defaults", value, members);
}

/* Before anything else: another version's members would all look wrong. */
static int check_schema(const struct reader *reader, struct json_object *top)
{
    struct json_object *schema;
    if (!json_object_is_type(top, json_type_object) || !json_object_object_get_ex(top, "schema", &schema) ||
        !json_object_is_type(schema, json_type_int))
        return wrong(reader, "schema", "is missing or not a number");
    if (json_object_get_int64(schema) != MANIFEST_SCHEMA)
        return err_set(reader->err, EPROTONOSUPPORT,
                       "manifest: made by another version of gondolin (schema %lld, this one reads %d); build it again",
                       (long long)json_object_get_int64(schema), MANIFEST_SCHEMA);
    return 0;
}

static int read_top(struct reader *reader, struct json_object *top)
{
    struct manifest *manifest = reader->manifest;
    uint64_t schema;
    const struct member members[] = {
        {.name = "schema", .kind = NUMBER, .to = &schema},
        {.name = "build_id", .kind = DIGEST, .to = manifest->build_id},
        {.name = "inputs", .kind = DIGEST, .to = manifest->inputs},
        {.name = "arch", .kind = WORD, .to = &manifest->arch},
        {.name = "created", .kind = WORD, .to = &manifest->created},
        {.name = "source", .kind = CUSTOM, .read = read_source},
        {.name = "kernel", .kind = CUSTOM, .read = read_kernel},
        {.name = "agent", .kind = CUSTOM, .read = read_agent},
        {.name = "files", .kind = CUSTOM, .read = read_files},
        {.name = "defaults", .kind = CUSTOM, .read = read_defaults},
    };
    char expected[DIGEST_HEX_SIZE];

    int code = check_schema(reader, top);
    if (code == 0)
        code = READ_OBJECT(reader, "manifest", top, members);
    if (code < 0)
        return code;
    manifest_compute_build_id(manifest, expected);
    if (strcmp(expected, manifest->build_id) != 0)
        return wrong(reader, "build_id", "does not belong to the digests of the files");
    return 0;
}

int manifest_parse(const char *text, size_t length, struct manifest *out, struct err *err)
{
    struct err own = {0};
    struct reader reader = {.manifest = out, .err = err ? err : &own};

    *out = (struct manifest){0};
    if (length > MANIFEST_MAX_SIZE)
        return err_set(err, EINVAL, "manifest: longer than %d bytes", MANIFEST_MAX_SIZE);
    struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (!tokener)
        return err_errno(err, ENOMEM, "manifest");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *top = json_tokener_parse_ex(tokener, text, (int)length);
    size_t used = json_tokener_get_parse_end(tokener);
    while (used < length && isspace((unsigned char)text[used]))
        used++;
    int code;
    if (json_tokener_get_error(tokener) != json_tokener_success || used != length)
        code = err_set(err, EINVAL, "manifest: not one JSON object");
    else
        code = read_top(&reader, top);
    json_object_put(top);
    json_tokener_free(tokener);
    if (code < 0)
        manifest_free(out);
    return code;
}
