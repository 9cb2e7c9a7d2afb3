/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/qcow2.h"
#include "vmm/qemu_internal.h"

/* The overlay is made in a descriptor, so it can neither follow nor replace a name. */
static int create_in(int fd, const char *base, const char *recorded, struct err *err)
{
    uint64_t size;
    cleanup_close int disk = open(base, O_RDONLY | O_CLOEXEC);
    int rc = disk < 0 ? err_errno(err, errno, "open") : qcow2_size(disk, &size, err);
    if (rc == 0)
        rc = qcow2_create_overlay(fd, recorded, size, err);
    return rc < 0 ? err_wrap(err, "%s", base) : 0;
}

static int create_file(const struct vmm_config *config, struct err *err)
{
    cleanup_close int fd = open(config->overlay, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "make the root disk's overlay %s", config->overlay);
    cleanup_free char *relative = qcow2_relative_name(config->overlay, config->root_disk);
    const char *recorded = config->backing ? config->backing : relative;
    int rc = recorded ? create_in(fd, config->root_disk, recorded, err)
                      : err_errno(err, errno, "%s", config->root_disk);
    if (rc < 0) {
        unlink(config->overlay);
        return err_wrap(err, "make the root disk's overlay %s", config->overlay);
    }
    return 0;
}

static int create_unlinked(const struct vmm_config *config, int *out, struct err *err)
{
    const char *directory = getenv("TMPDIR");
    if (!directory || !*directory)
        directory = "/var/tmp";
    cleanup_close int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "make the root disk's overlay in %s", directory);
    cleanup_free char *base = realpath(config->root_disk, NULL);
    int rc = base ? create_in(fd, base, base, err) : err_errno(err, errno, "%s", config->root_disk);
    if (rc < 0)
        return err_wrap(err, "make the root disk's overlay in %s", directory);
    *out = steal_fd(&fd);
    return 0;
}

int qemu_overlay_create(const struct vmm_config *config, int *fd, struct err *err)
{
    *fd = -1;
    if (!config->root_disk)
        return 0;
    switch (config->root_mode) {
    case VMM_ROOT_COW:
        return create_file(config, err);
    case VMM_ROOT_MEMORY:
        return create_unlinked(config, fd, err);
    case VMM_ROOT_READONLY:
    case VMM_ROOT_PERSISTENT:
        break;
    }
    return 0;
}
