/* SPDX-License-Identifier: Apache-2.0 */
#include "images/manifest_files.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"

enum { NAME_MAX_LENGTH = 64 };

int manifest_files_add(struct manifest_file *files, size_t *count, const char *name, uint64_t size, const char *sha256)
{
    if (*count == MANIFEST_MAX_FILES)
        return -E2BIG;
    struct manifest_file *file = &files[*count];
    file->name = strdup(name);
    if (!file->name)
        return -ENOMEM;
    file->size = size;
    snprintf(file->sha256, sizeof file->sha256, "%s", sha256);
    ++*count;
    return 0;
}

const struct manifest_file *manifest_files_find(const struct manifest_file *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

void manifest_files_free(struct manifest_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(files[i].name);
}

/* A name that stays in its directory and cannot be taken for an option. */
static bool is_plain_name(const char *name)
{
    if (!isalnum((unsigned char)name[0]) || strlen(name) > NAME_MAX_LENGTH)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
            return false;
    return true;
}

int manifest_files_read(struct json_reader *reader, struct json_object *value, struct manifest_file *files,
                        size_t *count)
{
    cleanup_free char *name = NULL;
    uint64_t size = 0;
    char sha256[DIGEST_HEX_SIZE] = "";
    const struct json_member members[] = {{.name = "name", .kind = JSON_WORD, .to = &name},
                                          {.name = "size", .kind = JSON_NUMBER, .to = &size},
                                          {.name = "sha256", .kind = JSON_DIGEST, .to = sha256}};
    int code = JSON_MEMBERS_READ(reader, "files", value, members);
    if (code < 0)
        return code;
    if (!is_plain_name(name) || manifest_files_find(files, *count, name))
        return json_members_wrong(reader, "files", "a name is given twice or is not a plain file name");
    code = manifest_files_add(files, count, name, size, sha256);
    return code < 0 ? err_errno(reader->err, -code, "%s", reader->what) : 0;
}

struct json_object *manifest_files_format(const struct manifest_file *files, size_t count)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        struct json_object *file = json_object_new_object();
        json_object_object_add(file, "name", json_object_new_string(files[i].name));
        json_object_object_add(file, "sha256", json_object_new_string(files[i].sha256));
        json_object_object_add(file, "size", json_object_new_uint64(files[i].size));
        json_object_array_add(array, file);
    }
    return array;
}
