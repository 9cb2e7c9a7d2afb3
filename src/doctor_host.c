/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin doctor: what the host's kernel offers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/doctor.h"
#include "vmm/accel.h"

enum { WANTED_FILES = 4096, NEEDED_FILES = 256, NEEDED_MEMORY_MIB = 768, OLDEST_LANDLOCK = 2 };

static void check_kvm(struct doctor_item *item)
{
    struct accel_verdict verdict;
    accel_probe(&verdict);
    if (verdict.kvm)
        doctor_ok(item, "%s (%u ms)", verdict.reason, verdict.took_ms);
    else
        doctor_warn(item, verdict.fix, "%s; guests are emulated, several times slower", verdict.reason);
}

static void check_tsc(struct doctor_item *item)
{
    uint32_t khz = accel_tsc_khz();
    if (khz)
        doctor_ok(item, "the time-stamp counter runs at %u.%03u MHz", khz / 1000, khz % 1000);
    else
        doctor_warn(item, NULL, "no time-stamp counter: clocks of emulated guests are coarse");
}

static void check_fuse(struct doctor_item *item)
{
    struct stat st;
    if (stat("/dev/fuse", &st) < 0 || !S_ISCHR(st.st_mode)) {
        doctor_fail(item, "sudo modprobe fuse; in a container, pass the device in (--device /dev/fuse)",
                    "/dev/fuse does not exist");
        return;
    }
    cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        doctor_ok(item, "/dev/fuse can be opened");
    else if (errno == EACCES)
        doctor_ok(item, "/dev/fuse is opened by fusermount3 for this user");
    else
        doctor_fail(item,
                    "sudo modprobe fuse; in a container, allow the device (--device /dev/fuse --cap-add SYS_ADMIN)",
                    "/dev/fuse cannot be opened: %s", strerror(errno));
}

static void check_landlock(struct doctor_item *item)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi >= OLDEST_LANDLOCK)
        doctor_ok(item, "Landlock version %ld keeps gondolin-vfs to the directories that are bound", abi);
    else if (abi > 0)
        doctor_warn(item, "boot a kernel of 5.19 or newer",
                    "Landlock version %ld cannot allow renames between directories: gondolin-vfs is confined by a system "
                    "call filter only", abi);
    else
        doctor_warn(item, "boot a kernel of 5.13 or newer with landlock in its lsm= list",
                    "Landlock is not available (%s): gondolin-vfs, which serves bound directories, is "
                    "confined by a system call filter only", strerror(errno));
}

static void check_seccomp(struct doctor_item *item)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        doctor_ok(item, "system call filters are available");
    else
        doctor_fail(item, "boot a kernel with CONFIG_SECCOMP_FILTER; in a container, allow the seccomp system call",
                    "system call filters are not available (%s), and QEMU is only run under one", strerror(errno));
}

static void check_files(struct doctor_item *item)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned long long hard = limit.rlim_max;
    if (hard < NEEDED_FILES)
        doctor_fail(item, "raise it: ulimit -Hn 4096, or nofile in /etc/security/limits.conf",
                    "only %llu files may be open at once", hard);
    else if (hard < WANTED_FILES)
        doctor_warn(item, "raise it: ulimit -Hn 4096, or nofile in /etc/security/limits.conf",
                    "only %llu files may be open at once: many jobs at a time will run out", hard);
    else
        doctor_ok(item, "%llu files may be open at once", hard);
}

static unsigned long long available_memory_mib(void)
{
    cleanup_fclose FILE *meminfo = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kib = 0;
    while (meminfo && fgets(line, sizeof line, meminfo)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    }
    return kib / 1024;
}

static void check_memory(struct doctor_item *item)
{
    unsigned long long mib = available_memory_mib();
    if (mib >= NEEDED_MEMORY_MIB)
        doctor_ok(item, "%llu MiB of memory are available; a sandbox has 512 MiB unless told otherwise", mib);
    else
        doctor_warn(item, "end other programs, or give sandboxes less: --memory 256M",
                    "%llu MiB of memory are available; a sandbox has 512 MiB unless told otherwise", mib);
}

const struct doctor_check doctor_host_checks[] = {
    {"kvm", check_kvm},
    {"tsc", check_tsc},
    {"fuse", check_fuse},
    {"landlock", check_landlock},
    {"seccomp", check_seccomp},
    {"open-files", check_files},
    {"memory", check_memory},
    {NULL, NULL},
};
