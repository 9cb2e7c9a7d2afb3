/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/mounts.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <mntent.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "guest/log.h"
#include "src/cleanup.h"

enum { RAMFS_MAGIC = 0x858458f6, TMPFS_MAGIC = 0x01021994, MOUNTS_MAX = 256 };

struct mount {
    const char *type, *target;
    unsigned long flags;
    const char *options;
};

/* In an order in which they can be moved. */
static const struct mount early[] = {
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
    {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
    {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
};

static const struct mount late[] = {
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
    {"cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
};

enum { EARLY_COUNT = sizeof early / sizeof *early, LATE_COUNT = sizeof late / sizeof *late };

int mounts_early(struct err *err)
{
    for (size_t i = 0; i < EARLY_COUNT; i++) {
        const struct mount *m = &early[i];
        mkdir(m->target, 0755);
        /* EBUSY: the kernel has mounted devtmpfs itself (CONFIG_DEVTMPFS_MOUNT). */
        if (mount(m->type, m->target, m->type, m->flags, m->options) < 0 && errno != EBUSY)
            return err_errno(err, errno, "mount %s", m->target);
    }
    return 0;
}

static void delete_contents(int dir_fd, dev_t device);

static void delete_entry(int dir_fd, const char *name, dev_t device)
{
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
        return;
    if (!S_ISDIR(st.st_mode)) {
        unlinkat(dir_fd, name, 0);
        return;
    }
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        delete_contents(fd, device);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* Takes over the fd. */
static void delete_contents(int dir_fd, dev_t device)
{
    cleanup_closedir DIR *dir = fdopendir(dir_fd);
    const struct dirent *entry;
    if (!dir) {
        close(dir_fd);
        return;
    }
    while ((entry = readdir(dir)))
        delete_entry(dirfd(dir), entry->d_name, device);
}

/* The initramfs cannot be unmounted; emptying it gives its memory back. */
static void delete_initramfs(int root_fd)
{
    struct statfs fs;
    struct stat st;
    if (fstatfs(root_fd, &fs) < 0 || fstat(root_fd, &st) < 0 ||
        (fs.f_type != RAMFS_MAGIC && fs.f_type != TMPFS_MAGIC)) {
        close(root_fd);
        return;
    }
    delete_contents(root_fd, st.st_dev);
}

static int move_mounts(const char *new_root, bool writable, struct err *err)
{
    for (size_t i = 0; i < EARLY_COUNT; i++) {
        char target[128];
        snprintf(target, sizeof target, "%s%s", new_root, early[i].target);
        if (writable)
            mkdir(target, 0755);
        if (mount(early[i].target, target, NULL, MS_MOVE, NULL) < 0)
            return err_errno(err, errno, "move %s to the root file system; make that directory in the image",
                             early[i].target);
    }
    return 0;
}

int mounts_switch_root(const char *new_root, bool writable, struct err *err)
{
    int old_root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old_root < 0)
        return err_errno(err, errno, "open the initramfs");
    int rc = move_mounts(new_root, writable, err);
    if (rc == 0 && (chdir(new_root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
                    chdir("/") < 0))
        rc = err_errno(err, errno, "switch to the root file system");
    if (rc < 0)
        close(old_root);
    else
        delete_initramfs(old_root);
    return rc;
}

static void mount_late(const struct mount *m)
{
    mkdir(m->target, 0755);
    if (mount(m->type, m->target, m->type, m->flags, m->options) < 0)
        log_line(LOG_LEVEL_WARNING, "mount %s: %s", m->target, strerror(errno));
}

static void make_tmp(bool root_writable)
{
    static const struct mount in_memory = {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"};
    struct stat st;
    if (!root_writable)
        mount_late(&in_memory);
    else if (stat("/tmp", &st) < 0 && (mkdir("/tmp", 0700) < 0 || chmod("/tmp", 01777) < 0))
        log_line(LOG_LEVEL_WARNING, "make /tmp: %s", strerror(errno));
}

/* What udev would make in /dev. */
static void make_dev_links(void)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "/dev/fd"},
        {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"},
        {"/proc/self/fd/2", "/dev/stderr"},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
            log_line(LOG_LEVEL_WARNING, "make %s: %s", links[i][1], strerror(errno));
    }
}

void mounts_late(bool root_writable)
{
    for (size_t i = 0; i < LATE_COUNT; i++)
        mount_late(&late[i]);
    if (mkdir("/run/lock", 0755) == 0 && chmod("/run/lock", 01777) < 0)
        log_line(LOG_LEVEL_WARNING, "make /run/lock: %s", strerror(errno));
    make_tmp(root_writable);
    make_dev_links();
}

/* The last mounted goes first. /proc and /dev stay: the agent needs them. */
static void unmount_all(void)
{
    char *targets[MOUNTS_MAX];
    size_t count = 0;
    FILE *file = setmntent("/proc/self/mounts", "re");
    const struct mntent *entry;
    while (file && count < MOUNTS_MAX && (entry = getmntent(file))) {
        const char *dir = entry->mnt_dir;
        if (strcmp(dir, "/") == 0 || strcmp(dir, "/proc") == 0 || strcmp(dir, "/dev") == 0 || strcmp(dir, "/sys") == 0)
            continue;
        char *copy = strdup(dir);
        if (copy)
            targets[count++] = copy;
    }
    if (file)
        endmntent(file);
    while (count > 0) {
        umount2(targets[--count], UMOUNT_NOFOLLOW);
        free(targets[count]);
    }
}

int mounts_freeze_root(bool frozen)
{
    cleanup_close int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, frozen ? FIFREEZE : FITHAW, 0) < 0)
        return -errno;
    return 0;
}

void mounts_finish(void)
{
    sync();
    unmount_all();
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0)
        return;
    int saved = errno;
    int rc = mounts_freeze_root(true);
    if (rc < 0 && rc != -EBUSY)
        log_line(LOG_LEVEL_ERROR, "make / read-only: %s; freeze it: %s", strerror(saved), strerror(-rc));
}
