/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind images/checkpoint.h share. */
#ifndef GONDOLIN_IMAGES_CHECKPOINT_INTERNAL_H
#define GONDOLIN_IMAGES_CHECKPOINT_INTERNAL_H

#include <stdbool.h>

#include "images/checkpoint.h"
#include "src/err.h"

#define CHECKPOINT_PART "checkpoints" /* of the store */
#define TEMPLATE_PART "templates"

enum { CHECKPOINT_DEPTH_MAX = 48 }; /* below one that is read: more than are made, see CHECKPOINT_DISKS_MAX */

/* Reads and checks the manifest in a directory. */
int checkpoint_load(const char *directory, struct checkpoint_manifest *out, struct err *err);

const struct manifest_file *checkpoint_file(const struct checkpoint_manifest *manifest, const char *name);

/* Does it belong to the machine's memory, and not to its disk? */
bool checkpoint_is_of_memory(const char *name);
/* How many layer-N.qcow2 there are. */
unsigned checkpoint_layers(const struct checkpoint_manifest *manifest);

/* Does each disk in the directory name the one below it as it should, and no other file of this machine? EBADMSG. */
int checkpoint_check_backing(const char *directory, const struct checkpoint_manifest *manifest, struct err *err);

/* Compares the files in the directory with the manifest, as checkpoint_open does; with `disks_only` only the disks. `how`:
 * enum verified_how. */
int checkpoint_check_files(const char *directory, const struct checkpoint_manifest *manifest, bool disks_only, unsigned how,
                           struct err *err);

/* Calls `visit` for a checkpoint and each one below it, uppermost first, until it fails. ELOOP: more than
 * CHECKPOINT_DEPTH_MAX. */
typedef int checkpoint_visit_fn(void *data, const char *directory, const struct checkpoint_manifest *manifest,
                                struct err *err);
int checkpoint_each_below(const char *store, const char *directory, const struct checkpoint_manifest *manifest,
                          checkpoint_visit_fn *visit, void *data, struct err *err);

/* Opens the directory of a checkpoint or, with `name` NULL, a template. */
int checkpoint_open_directory(const char *store, const char *directory, const char *name, bool verify,
                              struct checkpoint *out, struct err *err);

/* As checkpoint_publish, until a signal arrives: EINTR. `interrupt` may be NULL. */
int checkpoint_publish_until(const char *store, struct store_work *work, const char *name,
                             struct checkpoint_manifest *manifest, const struct interrupt *interrupt, struct checkpoint *out,
                             struct err *err);
/* The same into a part of the store. */
int checkpoint_publish_entry(const char *store, struct store_work *work, const char *part, const char *name,
                             struct checkpoint_manifest *manifest, const struct interrupt *interrupt, struct checkpoint *out,
                             struct err *err);

/* Removes the templates of an image that has been removed. */
int template_drop_image(const char *store, const char *build_id, struct err *err);

#endif
