/* SPDX-License-Identifier: Apache-2.0 */
/* The file `verified` in the directory of an image or a checkpoint: the state (device, inode, size, times) that files
 * had when their digests were found right, one line for each. The digests of a gigabyte take seconds; as long as this
 * state is unchanged they need not be computed again. No protection from who can write there, who could as well replace
 * the manifest. */
#ifndef GONDOLIN_IMAGES_VERIFIED_H
#define GONDOLIN_IMAGES_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>

#include "images/manifest_files.h"
#include "src/err.h"

/* Compares one file with what the manifest says of it: 0, or -errno with *err. */
typedef int verified_compare_fn(void *data, const struct manifest_file *file, struct err *err);

enum verified_how {
    VERIFIED_ALL = 1,      /* compare them whatever has been recorded */
    VERIFIED_UNSYNCED = 2, /* nothing has forced them to the disk: a record holds until the host boots again */
};

/* Calls `compare` for each file whose state has not been recorded, until one fails. Those found right are recorded,
 * provided that they have not changed meanwhile and that a change since then would show: not within the grain of time
 * stamps. Recording is best effort: without it they are compared again. What else is recorded stays.
 */
int verified_check(const char *directory, const struct manifest_file *files, size_t count, unsigned how,
                   verified_compare_fn *compare, void *data, struct err *err);

/* Records files whose digests the caller has just computed, of which it knows that they are synced and nobody writes
 * them. Best effort. */
void verified_record(const char *directory, const struct manifest_file *files, size_t count);

/* Removes `other`, which is another name of a file in the directory: its ctime changes, and a record of it that was right
 * until then is made right again. Best effort. */
void verified_unlink(const char *directory, const struct manifest_file *file, const char *other);

#endif
