/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/boot.h"

#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "guest/cmdline.h"
#include "guest/log.h"
#include "guest/modules.h"
#include "guest/mounts.h"
#include "guest/uevent.h"
#include "src/cleanup.h"

#define NEW_ROOT "/newroot"

enum { ROOT_DEVICE_WAIT_MS = 10000, PARTITION_WAIT_MS = 1000, AGENT_NOFILE = 1024 * 1024 };

uint64_t boot_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Standard streams on the console, or at least open, so that no other file gets their numbers. */
static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    if (fd < 0)
        fd = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && fd >= 0; i++) {
        if (fd != i)
            dup2(fd, i);
    }
    if (fd > 2)
        close(fd);
}

static int read_cmdline(struct cmdline *cmdline, struct err *err)
{
    char text[4096];
    cleanup_close int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n < 0)
        return err_errno(err, errno, "read /proc/cmdline");
    text[n] = '\0';
    return cmdline_parse(text, cmdline, err);
}

static int mount_device(const char *device, const struct cmdline *c)
{
    return mount(device, NEW_ROOT, c->fstype, c->read_only ? MS_RDONLY : 0, NULL) < 0 ? -errno : 0;
}

/* The device itself or, if it holds no file system but partitions, the first of them. -ENOENT: not there yet. */
static int try_mount_root(const struct cmdline *c)
{
    char partition[sizeof c->root + 1];
    int rc = mount_device(c->root, c);
    if (rc != -EINVAL)
        return rc;
    snprintf(partition, sizeof partition, "%s1", c->root);
    rc = mount_device(partition, c);
    return rc == -ENOENT ? -EINVAL : rc;
}

static int mount_root(const struct cmdline *c, int uevents, struct err *err)
{
    mkdir(NEW_ROOT, 0755);
    uint64_t deadline = loop_now_ms() + ROOT_DEVICE_WAIT_MS;
    bool disk_seen = false;
    int rc;
    while ((rc = try_mount_root(c)) == -ENOENT || rc == -EINVAL) {
        /* A disk without a file system: its partitions, if any, are announced at once. */
        if (rc == -EINVAL && !disk_seen) {
            disk_seen = true;
            deadline = loop_now_ms() + PARTITION_WAIT_MS;
        }
        if (!uevent_wait(uevents, deadline))
            break;
    }
    if (rc == -ENOENT)
        return err_set(err, ENODEV, "mount root: %s did not appear in %d s; is the disk there, and its driver in the "
                       "initramfs?", c->root, ROOT_DEVICE_WAIT_MS / 1000);
    if (rc == -EACCES || rc == -EROFS)
        return err_set(err, -rc, "mount root: %s: the disk is read-only; add gondolin.ro to the kernel's command line",
                       c->root);
    if (rc < 0)
        return err_errno(err, -rc, "mount root: %s (or its first partition) as %s", c->root, c->fstype);
    return 0;
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    if (up) {
        request.ifr_flags |= IFF_UP;
        up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    }
    if (!up)
        log_line(LOG_LEVEL_WARNING, "bring up the loopback interface: %s", strerror(errno));
}

static void set_limits(void)
{
    struct rlimit files = {AGENT_NOFILE, AGENT_NOFILE};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        log_line(LOG_LEVEL_WARNING, "raise the limit of open files: %s", strerror(errno));
    reboot(RB_DISABLE_CAD);
}

int boot_run(int uevents, struct boot_times *times, bool *root_writable, struct err *err)
{
    struct cmdline cmdline = {0};
    times->init = boot_now_us();
    umask(022);
    int rc = mounts_early(err);
    if (rc < 0)
        return rc;
    open_console();
    rc = read_cmdline(&cmdline, err);
    if (rc < 0)
        return rc;
    *root_writable = !cmdline.read_only;

    modules_load("/modules");
    times->modules = boot_now_us();
    rc = mount_root(&cmdline, uevents, err);
    if (rc == 0)
        rc = mounts_switch_root(NEW_ROOT, *root_writable, err);
    if (rc < 0)
        return rc;
    mounts_late(*root_writable);
    loopback_up();
    set_limits();
    if (sethostname("gondolin", 8) < 0)
        log_line(LOG_LEVEL_WARNING, "set host name: %s", strerror(errno));
    times->root = boot_now_us();
    return 0;
}
