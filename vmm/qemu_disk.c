/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/child.h"
#include "vmm/qemu_internal.h"

enum { QEMU_IMG_TIMEOUT_MS = 10000 };

/* The overlay is made in a descriptor: whatever qemu-img does, it can neither follow nor replace a name. */
static int create_in(int fd, const char *base, struct err *err)
{
    cleanup_free char *absolute = realpath(base, NULL); /* qcow2 takes a relative name as relative to the overlay */
    if (!absolute)
        return err_errno(err, errno, "%s", base);
    char target[32];
    snprintf(target, sizeof target, "/proc/self/fd/%d", CHILD_FIRST_FD);
    char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", absolute, target, NULL};
    return child_run(argv, &fd, 1, QEMU_IMG_TIMEOUT_MS, NULL, 0, err);
}

static int create_file(const struct vmm_config *config, struct err *err)
{
    cleanup_close int fd = open(config->overlay, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "make the root disk's overlay %s", config->overlay);
    int rc = create_in(fd, config->root_disk, err);
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
    if (create_in(fd, config->root_disk, err) < 0)
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
