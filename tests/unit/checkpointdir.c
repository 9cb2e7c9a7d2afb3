/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/checkpointdir.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"

static void put_disk(const char *directory, const char *name, const char *backing)
{
    struct err err = {0};
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_eq(qcow2_create_overlay(fd, backing, 64 << 20, &err), 0, "%s", err.text);
}

static void put_memory(const char *directory, const char *name, off_t size)
{
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_eq(ftruncate(fd, size), 0);
    cr_assert_eq(pwrite(fd, name, strlen(name), size / 2), (ssize_t)strlen(name));
}

void checkpointdir_work(const char *store, enum checkpoint_kind kind, const char *build_id, const char *parent, bool layer,
                        struct store_work *work, struct checkpoint_manifest *manifest)
{
    struct err err = {0};
    cr_assert_eq(store_work_begin(store, "checkpoint", work, &err), 0, "%s", err.text);
    cleanup_free char *below = parent ? files_format("../%s/disk.qcow2", parent)
                                      : files_format("../../images/%s/rootfs.qcow2", build_id);
    put_disk(work->path, "disk.qcow2", layer ? "layer-1.qcow2" : below);
    if (layer)
        put_disk(work->path, "layer-1.qcow2", below);
    if (kind == CHECKPOINT_FULL) {
        put_memory(work->path, "ram", 8 << 20);
        put_memory(work->path, "state", 5000);
    }
    *manifest = (struct checkpoint_manifest){.kind = kind, .sandbox = strdup("sb"), .memory = 8 << 20, .cpus = 1,
                                             .parent = parent ? strdup(parent) : NULL};
    if (kind == CHECKPOINT_FULL)
        manifest->shape = strdup("vmm qemu\nversion 7.2\n");
    strcpy(manifest->build_id, build_id);
}

void checkpointdir_add(const char *store, const char *name, enum checkpoint_kind kind, const char *build_id,
                       const char *parent)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint checkpoint;
    struct err err = {0};
    checkpointdir_work(store, kind, build_id, parent, false, &work, &manifest);
    cr_assert_eq(checkpoint_publish(store, &work, name, &manifest, &checkpoint, &err), 0, "%s", err.text);
    store_work_end(&work);
    checkpoint_close(&checkpoint);
}
