/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the entries of a file tree into an archive that libarchive has open for writing (tar, cpio). Errors stick: after
 * the first one the other calls do nothing, so that a list of entries reads as a list. */
#ifndef GONDOLIN_IMAGES_TREE_H
#define GONDOLIN_IMAGES_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/err.h"

struct archive;
struct archive_entry;

struct tree {
    struct archive *archive; /* borrowed */
    int64_t mtime;           /* of every entry made here, in seconds of the epoch */
    uint64_t bytes;          /* file contents written so far */
    struct err err;          /* err.code is 0 while all went well */
};

/* Entries are owned by uid and gid 0. `mode` is the permission bits. Paths are relative to the tree's root. */
void tree_directory(struct tree *tree, const char *path, mode_t mode);
void tree_symlink(struct tree *tree, const char *path, const char *target);
void tree_file(struct tree *tree, const char *path, mode_t mode, const void *bytes, size_t length);
void tree_text(struct tree *tree, const char *path, mode_t mode, const char *text);
void tree_character_device(struct tree *tree, const char *path, mode_t mode, unsigned major, unsigned minor);

/* A regular file with the contents of `fd` (from its beginning; the file offset is not used). */
void tree_file_from_fd(struct tree *tree, const char *path, mode_t mode, int fd);
void tree_file_from_path(struct tree *tree, const char *path, mode_t mode, const char *source);

/* As tree_directory, for a directory that does not belong to root. */
void tree_directory_of(struct tree *tree, const char *path, mode_t mode, uid_t uid, gid_t gid);

/* Copies an entry just read from `from`, data included. */
void tree_copy(struct tree *tree, struct archive *from, struct archive_entry *entry);

#endif
