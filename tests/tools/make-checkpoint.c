/* SPDX-License-Identifier: Apache-2.0 */
/* make-checkpoint NAME BUILD-ID PARENT KIND [DISK]: puts a checkpoint into the store without a sandbox. KIND is "full"
 * or "disk"; PARENT is "-" for none; DISK is an overlay whose name of the disk below is changed, else an empty one is
 * made. What is taken for memory can be loaded by no machine, and a job has output there that nobody has read. "template" as
 * PARENT: NAME is a key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "images/checkpoint.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"

enum { MEMORY = 256 << 20, TOUCHED = 3 << 20 };

static int put_memory(const char *directory, const char *name, off_t size)
{
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cleanup_close int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || random < 0 || ftruncate(fd, size) < 0)
        return -errno;
    for (off_t at = 0; at < TOUCHED && at < size; at += 4096) {
        char bytes[4096];
        off_t place = at * (size / TOUCHED > 0 ? size / TOUCHED : 1); /* spread all over */
        if (read(random, bytes, sizeof bytes) < 0 || pwrite(fd, bytes, sizeof bytes, place / 4096 * 4096) < 0)
            return -errno;
    }
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

static int put_output(const char *directory)
{
    cleanup_free char *path = files_format("%s/" CHECKPOINT_OUTPUT, directory);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : files_write(fd, "unread", strlen("unread"));
}

static int put_disk(const char *store, const char *directory, const char *build_id, const char *backing, const char *from,
                    struct err *err)
{
    cleanup_free char *path = files_format("%s/" CHECKPOINT_DISK, directory);
    cleanup_free char *base = files_format("%s/images/%s/" IMAGE_ROOTFS, store, build_id);
    uint64_t size;
    cleanup_close int source = open(from ? from : base, O_RDONLY | O_CLOEXEC);
    if (from && (source < 0 || files_copy(source, path, 0600) < 0))
        return err_errno(err, errno, "copy %s", from);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (from)
        return qcow2_set_backing(fd, backing, err);
    int code = qcow2_size(source, &size, err);
    return code < 0 ? code : qcow2_create_overlay(fd, backing, size, err);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct store_work work;
    struct checkpoint c;
    cleanup_free char *store = store_open(&err);
    if (argc < 5 || !store || store_work_begin(store, "made", &work, &err) < 0)
        return fprintf(stderr, "make-checkpoint: %s\n", err.text), 1;
    const char *name = argv[1], *build_id = argv[2];
    bool template = strcmp(argv[3], "template") == 0, full = strcmp(argv[4], "full") == 0;
    const char *parent = template || strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    struct checkpoint_manifest m = {.kind = full ? CHECKPOINT_FULL : CHECKPOINT_DISK_ONLY, .sandbox = strdup("made"),
                                    .parent = parent ? strdup(parent) : NULL, .shape = full ? strdup("vmm none\n") : NULL,
                                    .memory = MEMORY, .cpus = 1};
    m.jobs = full ? json_tokener_parse("[{\"stdout\":{\"held\":6}}]") : NULL;
    snprintf(m.build_id, sizeof m.build_id, "%s", build_id);
    cleanup_free char *backing = parent ? files_format("../%s/" CHECKPOINT_DISK, parent)
                                        : files_format("../../images/%s/" IMAGE_ROOTFS, build_id);
    int code = put_disk(store, work.path, build_id, backing, argc > 5 ? argv[5] : NULL, &err);
    if (code == 0 && full && (put_memory(work.path, CHECKPOINT_RAM, MEMORY) < 0 ||
                              put_memory(work.path, CHECKPOINT_STATE, 70000) < 0 || put_output(work.path) < 0))
        code = err_errno(&err, errno, "write memory");
    if (code == 0)
        code = template ? template_publish(store, &work, name, &m, &c, &err)
                        : checkpoint_publish(store, &work, name, &m, &c, &err);
    if (code == 0)
        checkpoint_close(&c);
    checkpoint_manifest_free(&m);
    store_work_end(&work);
    if (code < 0)
        fprintf(stderr, "make-checkpoint: %s\n", err.text);
    return code < 0;
}
