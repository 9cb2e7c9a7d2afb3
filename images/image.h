/* SPDX-License-Identifier: Apache-2.0 */
/* The image store and its images; gondolin-build(1), gondolin-image(1).
 *
 * STORE/images/BUILD-ID/{manifest.json,vmlinux,initramfs.cpio,rootfs.qcow2}, STORE/tags/NAME -> ../images/BUILD-ID
 * (symlinks, replaced atomically), STORE/tmp/ for work in progress, each entry locked by its maker (flock) so that the
 * next run can tell an abandoned one and remove it. STORE is $GONDOLIN_STORE, else $XDG_DATA_HOME/gondolin, else
 * ~/.local/share/gondolin. */
#ifndef GONDOLIN_IMAGES_IMAGE_H
#define GONDOLIN_IMAGES_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "src/err.h"

#define IMAGE_DEFAULT_TAG "default"

struct image {
    char build_id[65]; /* lower-case hex, derived from the digests of the files */
    char *tag;         /* the name it was found under, or NULL */
    char *directory;
    char *arch;
    char *kernel, *initramfs, *rootfs; /* absolute paths */
    char *kernel_append;               /* may be NULL */
    uint64_t default_memory;           /* bytes; 0: gondolin's default */
};

/* Finds an image by tag, by build id or a unique prefix of one (at least 4 digits), or by directory (a reference with a
 * '/'), and checks that its manifest is well formed and its files have the recorded sizes. With `verify`, also checks
 * every SHA-256 (the error names the file and both digests). Errors: ENOENT (err names near matches and the command that
 * builds it), EINVAL (damaged manifest), EBADMSG (size or digest differs). *out is filled; free with image_close. */
int image_open(const char *reference, bool verify, struct image *out, struct err *err);
void image_close(struct image *image);

/* Progress of a long operation: `phase` is a short noun phrase, `fraction` 0..1 or < 0 when unknown. */
typedef void image_progress_fn(void *data, const char *phase, double fraction);

struct image_recipe {
    const char *source;     /* "debian" or "busybox" */
    const char *suite;      /* debian: "bookworm" */
    const char **packages;  /* debian: NULL-terminated, added to the default list */
    bool only_packages;     /* do not add the default list */
    const char *tag;        /* name to give, NULL: source */
    uint64_t disk_size;     /* virtual size of the root disk in bytes, 0: the source's default */
};

/* Builds an image and tags it. Atomic: an interruption at any point, kill -9 included, leaves no image under the name;
 * what is left in STORE/tmp is removed by the next call of any image function that writes. Needs no root. */
int image_build(const struct image_recipe *recipe, image_progress_fn *progress, void *data, struct err *err);

/* The store's directory, made if need be (0700). malloc'd, or NULL with *err set. */
char *image_store_path(struct err *err);

#endif
