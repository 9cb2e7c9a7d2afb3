/* SPDX-License-Identifier: Apache-2.0 */
#include "images/disk.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/appliance.h"
#include "images/store.h"

#define DEVICE "/dev/sda"

struct disk {
    struct disk_job job;
    struct appliance appliance;
    guestfs_h *g; /* the appliance's */
    const char *phase; /* NULL: progress is not reported */
};

static void on_progress(guestfs_h *g, void *data, uint64_t event, int handle, int flags, const char *text, size_t length,
                        const uint64_t *numbers, size_t count)
{
    const struct disk *disk = data;
    (void)g, (void)event, (void)handle, (void)flags, (void)text, (void)length;
    if (disk->phase && count >= 4 && numbers[3] > 0)
        contained_progress(disk->job.contained, disk->phase, (double)numbers[2] / (double)numbers[3]);
}

static void begin_phase(struct disk *disk, const char *phase)
{
    disk->phase = phase;
    if (phase)
        contained_progress(disk->job.contained, phase, -1);
}

/* The sentence for the call that failed last. */
static int failed(const struct disk *disk, const char *what, struct err *err)
{
    const char *reason = guestfs_last_error(disk->g);

    if (!store_has_space(disk->job.store, err))
        return -ENOSPC;
    if (guestfs_last_errno(disk->g) == ENOSPC || (reason && strstr(reason, "No space left on device")))
        return err_set(err, ENOSPC, "%s: the tree does not fit into the disk of %llu MiB; give a larger --size", what,
                       (unsigned long long)(disk->job.size >> 20));
    return appliance_failed(&disk->appliance, what, err);
}

/* Nothing is left for the kernel to initialise lazily: that would be written again into every sandbox's overlay. */
static int make_file_system(struct disk *disk)
{
    int64_t journal = disk->job.size > (2ULL << 30) ? 64 : 16; /* MiB */
    if (guestfs_mke2fs(disk->g, DEVICE, GUESTFS_MKE2FS_FSTYPE, "ext4", GUESTFS_MKE2FS_LABEL, "gondolin-root",
                       GUESTFS_MKE2FS_JOURNALSIZE, journal, GUESTFS_MKE2FS_LAZYITABLEINIT, 0,
                       GUESTFS_MKE2FS_RESERVEDBLOCKSPERCENTAGE, 1, -1) < 0)
        return -1;
    return guestfs_mount_options(disk->g, "noatime,nobarrier", DEVICE, "/");
}

static int launch(struct disk *disk, struct err *err)
{
    if (guestfs_set_event_callback(disk->g, on_progress, GUESTFS_EVENT_PROGRESS, 0, disk) < 0)
        return failed(disk, "configure appliance", err);
    if (guestfs_disk_create(disk->g, disk->job.path, "qcow2", (int64_t)disk->job.size, -1) < 0)
        return failed(disk, "make root disk", err);
    /* The cache is unsafe only against a crash of the host: the file is synced before it is published. */
    if (guestfs_add_drive_opts(disk->g, disk->job.path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "qcow2",
                               GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "unsafe", -1) < 0)
        return failed(disk, "add root disk", err);
    begin_phase(disk, disk->job.quiet_start ? NULL : "starting the appliance");
    int code = appliance_launch(&disk->appliance, err);
    if (code < 0)
        return code;
    begin_phase(disk, disk->job.quiet_start ? NULL : "making the file system");
    return make_file_system(disk) < 0 ? failed(disk, "make file system", err) : 0;
}

int disk_open(const struct disk_job *job, struct disk **out, struct err *err)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return err_errno(err, ENOMEM, "start appliance");
    disk->job = *job;
    int code = appliance_open(job->store, job->work, job->kernel, &disk->appliance, err);
    disk->g = disk->appliance.g;
    if (code < 0) {
        free(disk);
        return code;
    }
    code = launch(disk, err);
    if (code < 0) {
        disk_abandon(disk);
        return code;
    }
    *out = disk;
    return 0;
}

int disk_fill(struct disk *disk, int fd, struct err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1); /* the tree may still be in the making */
    begin_phase(disk, "copying files");
    if (guestfs_tar_in_opts(disk->g, path, "/", GUESTFS_TAR_IN_OPTS_XATTRS, 1, GUESTFS_TAR_IN_OPTS_ACLS, 1, -1) < 0)
        return failed(disk, "copy files", err);
    return 0;
}

int disk_close(struct disk *disk, struct err *err)
{
    int code = 0;
    begin_phase(disk, "writing the disk");
    if (guestfs_umount_all(disk->g) < 0 || guestfs_sync(disk->g) < 0 || guestfs_shutdown(disk->g) < 0)
        code = failed(disk, "write disk", err);
    disk_abandon(disk);
    return code;
}

void disk_abandon(struct disk *disk)
{
    if (!disk)
        return;
    appliance_close(&disk->appliance);
    free(disk);
}
