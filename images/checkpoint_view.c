/* SPDX-License-Identifier: Apache-2.0 */
#include "images/checkpoint_view.h"

#include <errno.h>
#include <stdio.h>

static int add_disk(guestfs_h *g, const char *path)
{
    return guestfs_add_drive_opts(g, path, GUESTFS_ADD_DRIVE_OPTS_READONLY, 1, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "qcow2", -1);
}

/* The whole disk is one file system. */
static int mount_disk(guestfs_h *g, unsigned number, const char *where)
{
    char device[] = "/dev/sda";
    device[sizeof device - 2] = (char)('a' + number);
    return guestfs_mount_ro(g, device, where);
}

static int mount_all(guestfs_h *g, unsigned count)
{
    if (count == 1)
        return mount_disk(g, 0, "/");
    for (unsigned i = 0; i < count; i++) {
        char where[] = {'/', (char)('0' + i), '\0'};
        if (guestfs_mkmountpoint(g, where) < 0 || mount_disk(g, i, where) < 0)
            return -1;
    }
    return 0;
}

int checkpoint_view_open(const char *store, const char *work, const char *const *disks, unsigned count,
                         struct appliance *out, struct err *err)
{
    int code = appliance_open(store, work, NULL, out, err);
    if (code < 0)
        return code;
    for (unsigned i = 0; code == 0 && i < count; i++)
        if (add_disk(out->g, disks[i]) < 0)
            code = appliance_failed(out, disks[i], err);
    if (code == 0)
        code = appliance_launch(out, err);
    if (code == 0 && mount_all(out->g, count) < 0)
        code = appliance_failed(out, "look into the disk", err);
    if (code < 0)
        appliance_close(out);
    return code;
}
