/* SPDX-License-Identifier: Apache-2.0 */
/* Where the contents of a root disk come from. One file per source exports one `const struct image_source`; everything
 * else in it is static. */
#ifndef GONDOLIN_IMAGES_SOURCE_H
#define GONDOLIN_IMAGES_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "images/apt.h"
#include "images/contain.h"
#include "images/digest.h"
#include "images/image.h"
#include "images/manifest.h"
#include "images/tree.h"
#include "src/err.h"

struct source_job {
    const struct image_recipe *recipe;
    const char *suite; /* the recipe's or the source's default; NULL: the source has none */
    const struct apt *apt;
    const struct contained *contained;
    const char *work; /* a directory for temporary files, removed by the caller */
};

struct image_source {
    const char *name;
    const char *summary;       /* a few words for help texts */
    const char *default_suite; /* NULL: suites and packages mean nothing to it */
    uint64_t disk_size;        /* default virtual size, bytes */
    uint64_t memory;           /* default of sandboxes, bytes; 0: gondolin's */
    bool needs_many_ids;       /* making the tree needs more user ids than one's own */
    bool reports_phases;       /* write_tree takes long and tells how it goes on */

    /* Adds everything that decides the tree, besides the recipe: digests of inputs, the state of package lists. */
    int (*add_inputs)(const struct source_job *job, struct digest *inputs, struct err *err);
    /* Writes the whole tree. Runs in a process of its own, at the same time as the appliance starts. */
    int (*write_tree)(const struct source_job *job, struct tree *tree, struct err *err);
    /* Tells, after write_tree, what the manifest shall say of the packages asked for. May be NULL. */
    int (*describe)(const struct source_job *job, struct manifest *manifest, struct err *err);
};

extern const struct image_source source_busybox, source_debian;

/* NULL-terminated. */
extern const struct image_source *const image_sources[];

/* The source of that name, or NULL with the known ones (and the nearest match) in *err. */
const struct image_source *image_source_find(const char *name, struct err *err);

#endif
