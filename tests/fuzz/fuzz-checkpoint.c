/* SPDX-License-Identifier: Apache-2.0 */
/* What an imported checkpoint consists of: a manifest (input that begins with '{') or a disk. What
 * checkpoint_manifest_parse accepts survives being written and read again; qcow2_check and the functions that look at a
 * header end on any bytes, and what passed the check passes it with another disk below.
 * SOURCES: images/checkpoint_manifest.c images/store.c images/files.c images/names.c images/json_members.c images/manifest_files.c images/digest.c images/interrupt.c vmm/qcow2*.c src/err.c -ljson-c -lcrypto */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/checkpoint.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/qcow2.h"

static void check(const struct checkpoint_manifest *m)
{
    fuzz_require(m->created && m->sandbox && digest_is_hex(m->build_id));
    fuzz_require(!m->parent || checkpoint_check_name(m->parent, NULL) == 0);
    fuzz_require(m->kind == CHECKPOINT_DISK_ONLY || m->shape);
    fuzz_require(manifest_files_find(m->files, m->file_count, CHECKPOINT_DISK));
    for (size_t i = 0; i < m->file_count; i++)
        fuzz_require(!strchr(m->files[i].name, '/') && m->files[i].name[0] != '.' && digest_is_hex(m->files[i].sha256));
}

static void try_manifest(const char *text, size_t size)
{
    struct checkpoint_manifest manifest, again;
    struct err err = {0};
    if (checkpoint_manifest_parse(text, size, &manifest, &err) < 0) {
        fuzz_require(err.code != 0 && err.text[0] != '\0' && !manifest.created);
        return;
    }
    check(&manifest);
    char *written = checkpoint_manifest_format(&manifest);
    fuzz_require(written && checkpoint_manifest_parse(written, strlen(written), &again, NULL) == 0);
    char *rewritten = checkpoint_manifest_format(&again);
    fuzz_require(rewritten && strcmp(written, rewritten) == 0);
    free(written);
    free(rewritten);
    checkpoint_manifest_free(&again);
    checkpoint_manifest_free(&manifest);
}

/* Inputs are short: a file of clusters of 64 KiB is made of them by what follows the header being put at each cluster.
 */
static void spread(int fd, const uint8_t *data, size_t size)
{
    enum { HEADER = 512, PIECE = 64, CLUSTER = 64 * 1024 };
    size_t header = size < HEADER ? size : HEADER;
    fuzz_require(pwrite(fd, data, header, 0) == (ssize_t)header);
    for (size_t at = header, i = 1; at < size; at += PIECE, i++) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        fuzz_require(pwrite(fd, data + at, n, (off_t)i * CLUSTER) == (ssize_t)n);
    }
}

static void try_disk(int fd)
{
    char name[QCOW2_BACKING_MAX + 1];
    struct err err = {0};
    int checked = qcow2_check(fd, -1, &err);
    fuzz_require(checked == 0 || err.text[0] != '\0');
    int named = qcow2_backing(fd, name, &err);
    fuzz_require(strlen(name) <= QCOW2_BACKING_MAX);
    fuzz_require(checked < 0 || named == 0);
    if (qcow2_set_backing(fd, "../a/disk.qcow2", &err) < 0)
        return;
    fuzz_require(qcow2_backing(fd, name, &err) == 0 && strcmp(name, "../a/disk.qcow2") == 0);
    fuzz_require(checked < 0 || qcow2_check(fd, -1, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == '{') {
        try_manifest((const char *)data, size);
        return 0;
    }
    for (int spaced = 0; spaced < 2; spaced++) {
        int fd = memfd_create("disk", MFD_CLOEXEC);
        fuzz_require(fd >= 0);
        if (spaced)
            spread(fd, data, size);
        else
            fuzz_require(pwrite(fd, data, size, 0) == (ssize_t)size);
        try_disk(fd);
        close(fd);
    }
    return 0;
}
