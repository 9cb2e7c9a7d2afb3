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
#include <stddef.h>
#include <stdint.h>

#include "src/err.h"

struct manifest;

#define IMAGE_DEFAULT_TAG "default"

struct image {
    char build_id[65]; /* lower-case hex, derived from the digests of the files */
    char *tag;         /* the name it was found under, or NULL */
    char *directory;
    char *arch;
    char *kernel, *initramfs, *rootfs; /* absolute paths */
    char *kernel_append;               /* may be NULL */
    uint64_t default_memory;           /* bytes; 0: gondolin's default */
    int lock_fd; /* a shared lock on the manifest: while it is open the image cannot be removed. Close-on-exec. */
};

/* Finds an image by tag, by build id or a unique prefix of one (at least 4 digits), or by directory (a reference with a
 * '/'), and checks that its manifest is well formed and its files have the recorded sizes and SHA-256 digests (the error
 * names the file and both). Without `verify` the digests are computed only when the files have been touched since that
 * was last done (images/verified.h). Errors: ENOENT (err names near matches and the command that builds it), EEXIST (a
 * prefix of several), EINVAL (damaged manifest), EPROTONOSUPPORT (made by another version), EBADMSG (size or digest
 * differs). *out is filled; free with image_close, which also lets go of the image. */
int image_open(const char *reference, bool verify, struct image *out, struct err *err);
void image_close(struct image *image);

/* Progress of a long operation: `phase` is a short noun phrase, `fraction` 0..1 or < 0 when unknown. */
typedef void image_progress_fn(void *data, const char *phase, double fraction);

struct image_recipe {
    const char *source;     /* "debian" or "busybox" */
    const char *suite;      /* debian: "bookworm" */
    const char **packages;  /* debian: NULL-terminated or NULL, added to the default list */
    bool only_packages;     /* do not add the default list */
    const char *tag;        /* name to give, NULL: source */
    uint64_t disk_size;     /* virtual size of the root disk in bytes, 0: the source's default */
    bool fresh;             /* do not take over the root disk of an image with the same inputs */
};

/* Builds an image and tags it. The root disk of an existing image is shared when everything that decides it is the same
 * (recipe, package lists, tools), so that a new guest agent or kernel costs no more than a second. Atomic: an
 * interruption at any point, kill -9 included, leaves no image under the name and no process; what is left in STORE/tmp
 * is removed by the next call of any image function that writes. Needs no root. *build_id (may be NULL) gets the id.
 * SIGINT, SIGTERM and SIGHUP end it with EINTR, cleaned up. Call it from the main thread. Errors: EINVAL (recipe), ENOENT
 * (a program or package is missing), ENOSPC, ENOTSUP, EIO (what the failing program said). */
int image_build(const struct image_recipe *recipe, image_progress_fn *progress, void *data, char build_id[65],
                struct err *err);

/* Fills *out (freed with manifest_free) with what the image's manifest says. */
int image_read_manifest(const struct image *image, struct manifest *out, struct err *err);

/* One image of the store, for lists. */
struct image_info {
    char build_id[65];
    char *tags;              /* separated by spaces, "" if there are none; malloc'd */
    struct manifest *manifest; /* malloc'd; NULL when it cannot be read */
    uint64_t disk_usage;     /* bytes that its files take, shared ones included */
};

/* All images, newest first; damaged ones are listed without a manifest. */
int image_list(struct image_info **out, size_t *count, struct err *err);
void image_list_free(struct image_info *images, size_t count);

/* A tag is taken away, and with the last tag the image; given a build id (or prefix), the image goes with all its tags.
 * *removed tells whether the image itself went. EBUSY: in use. ENOENT. */
int image_remove(const char *reference, bool *removed, struct err *err);

/* Gives the image another tag; a tag that exists is moved. EINVAL: not a tag. */
int image_tag(const char *reference, const char *tag, struct err *err);

/* The store's directory, which may not have been made yet. malloc'd, or NULL with *err set. */
char *image_store_path(struct err *err);

#endif
