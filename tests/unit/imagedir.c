/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/imagedir.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/files.h"
#include "images/manifest.h"
#include "images/store.h"
#include "src/cleanup.h"

static char directory[64];

const char *imagedir_begin(void)
{
    strcpy(directory, "/tmp/gondolin-test-store.XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    setenv("GONDOLIN_STORE", directory, 1);
    free(store_open(NULL));
    return directory;
}

void imagedir_end(void)
{
    cr_assert_eq(files_remove_tree(directory), 0);
}

static void put(const char *in, const char *name, const char *contents, struct manifest *manifest)
{
    cleanup_free char *path = files_format("%s/%s", in, name);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    char hex[DIGEST_HEX_SIZE];
    cr_assert_eq(files_write(fd, contents, strlen(contents)), 0);
    cr_assert_eq(digest_fd(fd, NULL, hex), 0);
    if (manifest)
        manifest_add_file(manifest, name, strlen(contents), hex);
}

void imagedir_add(const char *contents, char build_id[65])
{
    struct store_work work;
    struct err err = {0};
    struct manifest m = {.arch = strdup("x86_64"), .created = strdup("2026-01-31T12:00:00Z"), .source = strdup("busybox"),
                         .kernel_package = strdup("linux"), .kernel_package_version = strdup("1"),
                         .kernel_release = strdup("6.1"), .agent_version = strdup("0")};
    memset(m.inputs, '0', 64);
    memset(m.agent_sha256, '1', 64);
    cr_assert_eq(store_work_begin(directory, "test", &work, &err), 0, "%s", err.text);
    put(work.path, IMAGE_KERNEL, "kernel", &m);
    put(work.path, IMAGE_INITRAMFS, "initramfs", &m);
    put(work.path, IMAGE_ROOTFS, contents, &m);
    manifest_compute_build_id(&m, m.build_id);
    cleanup_free char *text = manifest_format(&m);
    put(work.path, MANIFEST_NAME, text, NULL);
    strcpy(build_id, m.build_id);
    cr_assert_eq(store_publish(directory, &work, build_id, &err), 0, "%s", err.text);
    store_work_end(&work);
    manifest_free(&m);
}
