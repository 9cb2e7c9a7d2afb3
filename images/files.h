/* SPDX-License-Identifier: Apache-2.0 */
/* Small operations on files that the standard library leaves to its callers. All return 0 or -errno unless said. */
#ifndef GONDOLIN_IMAGES_FILES_H
#define GONDOLIN_IMAGES_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Writes all of it, or fails. */
int files_write(int fd, const void *bytes, size_t length);

/* The whole of a file of at most `max` bytes, malloc'd, with a NUL added; *length may be NULL. NULL with errno: E2BIG
 * when it is longer. */
char *files_read(const char *path, size_t max, size_t *length);

/* Makes `path` and its missing parents. An existing directory is fine. */
int files_make_directories(const char *path, mode_t mode);

/* Removes a file or a whole tree; links in it are not followed, other mounts not entered. A missing path is fine. */
int files_remove_tree(const char *path);

/* Gives a file that is never written again a second name, or copies it where the file system has no hard links. */
int files_link_or_copy(const char *from, const char *to);

/* Copies a regular file into a new one of mode `mode`. */
int files_copy(int from, const char *to, mode_t mode);

/* Forces the contents of a file, or the names in a directory, to the disk. */
int files_sync(const char *path);

/* Bytes that removing a file or a tree would free: files that have another name elsewhere do not count. */
uint64_t files_usage(const char *path);

/* Bytes free for this user on the file system of `path`; UINT64_MAX when that cannot be told. */
uint64_t files_free_space(const char *path);

bool files_exists(const char *path);

/* What shows that a file has been written to or is another one: inode, size, times. One line, malloc'd; NULL on ENOMEM. */
char *files_state(const struct stat *st);

/* A formatted string (a path, as a rule), malloc'd; NULL with errno ENOMEM. */
char *files_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
