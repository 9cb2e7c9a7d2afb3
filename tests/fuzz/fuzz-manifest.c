/* SPDX-License-Identifier: Apache-2.0 */
/* manifest_parse on any bytes: what it accepts keeps the promises of images/manifest.h and survives being written and
 * read again.
 * SOURCES: images/manifest.c images/manifest_*.c images/json_members.c images/digest.c images/interrupt.c src/err.c -ljson-c -lcrypto */
#include <string.h>

#include "images/manifest.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct manifest *manifest)
{
    char id[DIGEST_HEX_SIZE];
    manifest_compute_build_id(manifest, id);
    fuzz_require(strcmp(id, manifest->build_id) == 0);
    fuzz_require(manifest->arch && manifest->created && manifest->source && manifest->kernel_release);
    fuzz_require(digest_is_hex(manifest->inputs) && digest_is_hex(manifest->agent_sha256));
    fuzz_require(manifest_find_file(manifest, IMAGE_KERNEL) && manifest_find_file(manifest, IMAGE_ROOTFS));
    for (size_t i = 0; i < manifest->file_count; i++) {
        fuzz_require(!strchr(manifest->files[i].name, '/') && manifest->files[i].name[0] != '.');
        fuzz_require(digest_is_hex(manifest->files[i].sha256));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest, again;
    struct err err = {0};

    if (manifest_parse((const char *)data, size, &manifest, &err) < 0) {
        fuzz_require(err.code != 0 && err.text[0] != '\0' && !manifest.arch);
        return 0;
    }
    check(&manifest);
    char *text = manifest_format(&manifest);
    fuzz_require(text && manifest_parse(text, strlen(text), &again, NULL) == 0);
    fuzz_require(strcmp(again.build_id, manifest.build_id) == 0 && again.memory == manifest.memory);
    free(text);
    manifest_free(&again);
    manifest_free(&manifest);
    return 0;
}
