/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a tar archive from somebody else: only regular files, each into a place that the caller names. */
#ifndef GONDOLIN_IMAGES_ARCHIVE_IN_H
#define GONDOLIN_IMAGES_ARCHIVE_IN_H

#include <stddef.h>
#include <stdint.h>

#include "images/interrupt.h"
#include "src/err.h"

struct archive_in;

/* Reads from `fd`, which is borrowed, as is `interrupt`. `store`: where the files go, which has to keep some space
 * free. NULL with *err set. */
struct archive_in *archive_in_open(int fd, const char *store, const struct interrupt *interrupt, struct err *err);

/* The next regular file: 1, or 0 at the end, or -errno: EBADMSG for anything that is no well-formed archive of regular
 * files. *name is valid until the next call; *size is the file's, holes included. */
int archive_in_next(struct archive_in *in, const char **name, uint64_t *size, struct err *err);

/* The whole of a file of at most `max` bytes, malloc'd with a NUL behind it. */
char *archive_in_text(struct archive_in *in, size_t max, size_t *length, struct err *err);

/* Writes the file to a new one at `path` (read and write for the user only), holes and blocks of zeros as holes. ENOSPC
 * also when little would be left. */
int archive_in_save(struct archive_in *in, const char *path, struct err *err);

void archive_in_close(struct archive_in *in);

#endif
