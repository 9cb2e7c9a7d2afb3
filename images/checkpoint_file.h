/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint as one file, to be taken to another store: a tar archive (pax, holes kept) compressed with zstd.
 *
 *   NAME/manifest.json          first; the checkpoint's own, without a parent: the digests are those of the disks as they
 *                               are in the store
 *   NAME/image/FILE             only with the image: its manifest first
 *   NAME/disk.qcow2, layer-N.qcow2   its disk and all below it down to the image, those of other checkpoints too; which each
 *                               lies on is said by their order alone, the names in their headers are written anew on import
 *   NAME/ram, state             full ones
 *   NAME/output                 where its jobs have such; "mounts" stays behind, which is about files of this host
 *   NAME/description            may be absent
 *
 * Nothing in such a file is trusted. */
#ifndef GONDOLIN_IMAGES_CHECKPOINT_FILE_H
#define GONDOLIN_IMAGES_CHECKPOINT_FILE_H

#include <stdbool.h>

#include "src/err.h"

#define CHECKPOINT_FILE_IMAGE "image/"

/* Writes a checkpoint to a new file, which appears when it is complete and synced, or to standard output ("-"). Errors:
 * EEXIST (the file), ENOENT and EBADMSG as checkpoint_open, EOPNOTSUPP (its lowest disk is not an image's), E2BIG (it
 * lies on too many others), EPIPE, ENOSPC, EINTR. */
int checkpoint_export(const char *store, const char *name, const char *path, bool with_image, struct err *err);

/* Reads such a file ("-": standard input) into the store, as `name`, or as it is called there (NULL). Every name, size,
 * digest and disk is checked first; on failure nothing is left. *imported (may be NULL) gets the name, malloc'd.
 * Errors: EEXIST (the name is taken), ENOENT (its image is not in the store nor in the file), EBADMSG (damaged, or not
 * such a file), EFBIG (a file of its image is too large), EINVAL, EPROTONOSUPPORT, ENOSPC, EINTR. */
int checkpoint_import(const char *store, const char *path, const char *name, char **imported, struct err *err);

#endif
