/* SPDX-License-Identifier: Apache-2.0 */
#include "images/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <guestfs.h>

#include "images/files.h"
#include "images/store.h"
#include "src/cleanup.h"
#include "vmm/accel.h"

#define DEVICE "/dev/sda"

enum {
    APPLIANCE_MEMORY = 768,       /* MiB */
    APPLIANCE_SPACE = 384 << 20,  /* bytes in the cache, 275 MiB with Debian 12 */
};

struct disk {
    struct disk_job job;
    guestfs_h *g;
    int cache_lock; /* shared; or -1 */
    struct accel_verdict verdict;
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
    if (!reason)
        reason = "failed";
    /* The first line is the reason; the others are general advice. */
    return err_set(err, EIO, "%s: libguestfs: %.*s; to see more, run it again with LIBGUESTFS_DEBUG=1", what,
                   (int)strcspn(reason, "\n"), reason);
}

/* Which kernel the appliance boots, and whether the machine can accelerate it. A handle reads it when it is made. */
static int set_environment(const struct disk_job *job, struct accel_verdict *verdict, struct err *err)
{
    accel_decide(verdict);
    accel_apply_to_libguestfs(verdict);
    if (setenv("SUPERMIN_KERNEL", job->kernel->image, 1) < 0 ||
        setenv("SUPERMIN_KERNEL_VERSION", job->kernel->release, 1) < 0 ||
        setenv("SUPERMIN_MODULES", job->kernel->modules, 1) < 0)
        return err_errno(err, ENOMEM, "start appliance");
    if (!files_exists("/lib/modules"))
        return err_set(err, ENOENT, "start appliance: supermin needs the directory /lib/modules, even empty; make it with: "
                       "sudo mkdir /lib/modules");
    return 0;
}

/* supermin leaves half an appliance (of 300 MiB) behind when it is killed. Nobody is at it when the cache can be locked;
 * the lock, shared from then on, says that we are. A descriptor, or -1 (harmless). */
static int tidy_cache(const char *cache)
{
    cleanup_close int lock = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    glob_t half = {0};

    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
        cleanup_free char *pattern = files_format("%s/.guestfs-*/appliance.d.*", cache);
        if (pattern && glob(pattern, 0, NULL, &half) == 0)
            for (size_t i = 0; i < half.gl_pathc; i++)
                files_remove_tree(half.gl_pathv[i]);
        globfree(&half);
    }
    if (lock >= 0)
        flock(lock, LOCK_SH);
    return steal_fd(&lock);
}

/* supermin tidies up when it runs out of space, and does not say why it failed. */
static bool has_room_for_appliance(const struct disk_job *job, struct err *err)
{
    cleanup_free char *appliance = files_format("%s/cache/.guestfs-%u/appliance.d", job->store, (unsigned)geteuid());
    return (appliance && files_exists(appliance)) || store_has_room(job->store, APPLIANCE_SPACE, err);
}

static int configure(struct disk *disk)
{
    cleanup_free char *cache = files_format("%s/cache", disk->job.store);
    guestfs_h *g = disk->g;

    disk->cache_lock = cache ? tidy_cache(cache) : -1;
    if (!cache || guestfs_set_cachedir(g, cache) < 0 || guestfs_set_tmpdir(g, disk->job.work) < 0)
        return -1;
    if (guestfs_set_memsize(g, APPLIANCE_MEMORY) < 0 || guestfs_set_network(g, 0) < 0)
        return -1;
    /* By default QEMU would stop the machine when the host's disk is full, and we would wait for ever. */
    if (guestfs_config(g, "-global", "scsi-hd.werror=report") < 0)
        return -1;
#if defined(__x86_64__)
    /* QEMU 7.2's emulation of cmpxchg16b corrupts flags and may crash kernels. The last -cpu counts. */
    if (!disk->verdict.kvm && guestfs_config(g, "-cpu", "max,cx16=off") < 0)
        return -1;
#endif
    if (guestfs_set_event_callback(g, on_progress, GUESTFS_EVENT_PROGRESS, 0, disk) < 0)
        return -1;
    return 0;
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
    if (!has_room_for_appliance(&disk->job, err))
        return -ENOSPC;
    if (configure(disk) < 0)
        return failed(disk, "configure appliance", err);
    if (guestfs_disk_create(disk->g, disk->job.path, "qcow2", (int64_t)disk->job.size, -1) < 0)
        return failed(disk, "make root disk", err);
    /* The cache is unsafe only against a crash of the host: the file is synced before it is published. */
    if (guestfs_add_drive_opts(disk->g, disk->job.path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "qcow2",
                               GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "unsafe", -1) < 0)
        return failed(disk, "add root disk", err);
    begin_phase(disk, disk->job.quiet_start ? NULL : "starting the appliance");
    if (guestfs_launch(disk->g) < 0)
        return failed(disk, "start appliance", err);
    begin_phase(disk, disk->job.quiet_start ? NULL : "making the file system");
    return make_file_system(disk) < 0 ? failed(disk, "make file system", err) : 0;
}

int disk_open(const struct disk_job *job, struct disk **out, struct err *err)
{
    struct accel_verdict verdict;
    int code = set_environment(job, &verdict, err);
    if (code < 0)
        return code;
    struct disk *disk = calloc(1, sizeof *disk);
    guestfs_h *g = disk ? guestfs_create() : NULL;
    if (!g) {
        free(disk);
        return err_errno(err, ENOMEM, "start appliance");
    }
    *disk = (struct disk){.job = *job, .g = g, .cache_lock = -1, .verdict = verdict};
    guestfs_set_error_handler(g, NULL, NULL);
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
    guestfs_close(disk->g);
    if (disk->cache_lock >= 0)
        close(disk->cache_lock);
    free(disk);
}
