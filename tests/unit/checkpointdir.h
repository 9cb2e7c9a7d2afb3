/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints for tests: real overlays over an image that no machine could boot. */
#ifndef GONDOLIN_TESTS_UNIT_CHECKPOINTDIR_H
#define GONDOLIN_TESTS_UNIT_CHECKPOINTDIR_H

#include "images/checkpoint.h"

/* A work directory with a disk over the parent's (NULL: the image's) or, with `layer`, over a layer that lies there,
 * and memory and devices for a full one; and the manifest for it. */
void checkpointdir_work(const char *store, enum checkpoint_kind kind, const char *build_id, const char *parent, bool layer,
                        struct store_work *work, struct checkpoint_manifest *manifest);

/* Publishes one and closes it. */
void checkpointdir_add(const char *store, const char *name, enum checkpoint_kind kind, const char *build_id,
                       const char *parent);

#endif
