/* SPDX-License-Identifier: Apache-2.0 */
/* The list of files in a manifest, an image's or a checkpoint's: names, sizes, digests. */
#ifndef GONDOLIN_IMAGES_MANIFEST_FILES_H
#define GONDOLIN_IMAGES_MANIFEST_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"
#include "images/json_members.h"

enum { MANIFEST_MAX_FILES = 64 };

struct manifest_file {
    char *name;
    uint64_t size;
    char sha256[DIGEST_HEX_SIZE];
};

/* Appends a file (without checks) to an array of MANIFEST_MAX_FILES. -ENOMEM, or -E2BIG when it is full. */
int manifest_files_add(struct manifest_file *files, size_t *count, const char *name, uint64_t size, const char *sha256);

/* NULL if there is no such file. */
const struct manifest_file *manifest_files_find(const struct manifest_file *files, size_t count, const char *name);

void manifest_files_free(struct manifest_file *files, size_t count);

/* Reads one element of a "files" array. Names are plain (no '/', not beginning with '.') and given once. */
int manifest_files_read(struct json_reader *reader, struct json_object *value, struct manifest_file *files,
                        size_t *count);

/* As a JSON array. */
struct json_object *manifest_files_format(const struct manifest_file *files, size_t count);

#endif
