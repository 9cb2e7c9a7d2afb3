/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of an image: what it is made of, and the digests that its build id is derived from. */
#ifndef GONDOLIN_IMAGES_MANIFEST_H
#define GONDOLIN_IMAGES_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"
#include "images/manifest_files.h"
#include "src/err.h"

#define MANIFEST_NAME "manifest.json"
#define IMAGE_KERNEL "vmlinux"
#define IMAGE_INITRAMFS "initramfs.cpio"
#define IMAGE_ROOTFS "rootfs.qcow2"

enum {
    MANIFEST_SCHEMA = 1,
    MANIFEST_MAX_SIZE = 64 * 1024,
    MANIFEST_MAX_PACKAGES = 512,
};

struct manifest_package {
    char *name, *version;
};

/* Strings are malloc'd and owned; those that may be NULL say so. */
struct manifest {
    char *arch;    /* as uname -m: "x86_64" */
    char *created; /* UTC, "2026-01-31T12:00:00Z" */
    char build_id[DIGEST_HEX_SIZE];
    char inputs[DIGEST_HEX_SIZE]; /* digest of everything that decided the contents of the root disk */

    char *source;                     /* "debian", "busybox" */
    char *suite;                      /* may be NULL */
    struct manifest_package *packages; /* those asked for by name */
    size_t package_count;

    char *kernel_package, *kernel_package_version, *kernel_release;
    char *agent_version;
    char agent_sha256[DIGEST_HEX_SIZE];

    struct manifest_file files[MANIFEST_MAX_FILES];
    size_t file_count;

    uint64_t memory;     /* bytes; 0: gondolin's default */
    char *kernel_append; /* may be NULL */
};

/* Reads JSON text from anywhere: every member's type, length and characters are checked, an unknown or missing one is an
 * error, file names are plain, and build_id has to be the one that the digests give. EINVAL with the member's name, or
 * EPROTONOSUPPORT for another schema version. On failure *out holds nothing. */
int manifest_parse(const char *text, size_t length, struct manifest *out, struct err *err);

/* As JSON text, malloc'd; NULL on ENOMEM. */
char *manifest_format(const struct manifest *manifest);

/* Appends a file (without checks). -ENOMEM, or -E2BIG when there are too many. */
int manifest_add_file(struct manifest *manifest, const char *name, uint64_t size, const char *sha256);
int manifest_add_package(struct manifest *manifest, const char *name, const char *version);

/* NULL if there is no such file. */
const struct manifest_file *manifest_find_file(const struct manifest *manifest, const char *name);

/* SHA-256 over "NAME\0SIZE\0SHA256\0" of all files, sorted by name. */
void manifest_compute_build_id(const struct manifest *manifest, char hex[DIGEST_HEX_SIZE]);

void manifest_free(struct manifest *manifest);

#endif
