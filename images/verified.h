/* SPDX-License-Identifier: Apache-2.0 */
/* The file `verified` of an image directory: the state (device, inode, size, times) that the image's files had when their
 * digests were found right. The digests of an image of a gigabyte take seconds; as long as this state is unchanged they
 * need not be computed again. No protection from who can write there, who could as well replace the manifest. */
#ifndef GONDOLIN_IMAGES_VERIFIED_H
#define GONDOLIN_IMAGES_VERIFIED_H

#include <stdbool.h>

#include "images/manifest.h"

/* The state of the files now, as text, malloc'd. NULL when one is missing. */
char *verified_state(const char *directory, const struct manifest *manifest);

/* Is `state` what was recorded? */
bool verified_is_recorded(const char *directory, const char *state);

/* Records a state taken before the digests were computed, provided that the files have it still and that a change since
 * then would show: not within the grain of time stamps. Best effort: without the record they are computed again. */
void verified_record(const char *directory, const struct manifest *manifest, const char *state);

#endif
