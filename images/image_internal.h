/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind images/image.h share. */
#ifndef GONDOLIN_IMAGES_IMAGE_INTERNAL_H
#define GONDOLIN_IMAGES_IMAGE_INTERNAL_H

#include <stdbool.h>

#include "images/digest.h"
#include "images/image.h"
#include "images/manifest.h"
#include "src/err.h"

/* The manifest in an image's directory, checked. Freed with manifest_free. */
int image_load_manifest(const char *directory, struct manifest *manifest, struct err *err);

/* The build id of a tag or a prefix. ENOENT (with near matches), EEXIST. */
int image_find(const char *store, const char *reference, char build_id[DIGEST_HEX_SIZE], bool *is_tag, struct err *err);

/* Removes what dead makers have left in STORE/tmp, in a namespace where need be. */
void image_clean_store(const char *store);

#endif
