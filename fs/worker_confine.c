/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/worker_confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/cleanup.h"

/* Rights and fields that came with later versions than the headers may know. */
#define RIGHT_REFER (UINT64_C(1) << 13)     /* 2 */
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define FIRST_RIGHTS ((UINT64_C(1) << 13) - 1)
#define NET_BIND_AND_CONNECT UINT64_C(3) /* 4 */
#define SCOPE_SOCKETS_AND_SIGNALS UINT64_C(3) /* 6 */

/* Without REFER nothing could be renamed or linked from one directory into another. */
enum { OLDEST_LANDLOCK = 2 };

struct ruleset {
    uint64_t files, net, scoped;
};

static int keep_capabilities(void)
{
    static const unsigned kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID,
                                    CAP_SETGID, CAP_SETUID};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3], keep[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, have) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        keep[CAP_TO_INDEX(kept[i])].permitted |= CAP_TO_MASK(kept[i]);
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        keep[i].permitted &= have[i].permitted;
        keep[i].effective = keep[i].permitted;
    }
    return syscall(SYS_capset, &header, keep) < 0 ? -errno : 0;
}

int confine_process(void)
{
    struct rlimit files, none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : keep_capabilities();
}

bool confine_network(void)
{
    return unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

int confine_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < OLDEST_LANDLOCK ? 0 : (int)version;
}

static uint64_t all_rights(int version)
{
    return FIRST_RIGHTS | RIGHT_REFER | (version >= 3 ? RIGHT_TRUNCATE : 0) | (version >= 5 ? RIGHT_IOCTL_DEV : 0);
}

static uint64_t rights_for(const struct confine_directory *directory, uint64_t all)
{
    const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    const uint64_t never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                           RIGHT_IOCTL_DEV;
    const uint64_t of_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE;
    uint64_t rights = directory->writable ? all & ~never : reading;
    return directory->is_file ? rights & of_files : rights;
}

int confine_files(const struct confine_directory *directories, size_t count)
{
    int version = confine_landlock_version();
    if (!version)
        return -ENOSYS;
    const struct ruleset ruleset = {.files = all_rights(version), .net = NET_BIND_AND_CONNECT,
                                    .scoped = SCOPE_SOCKETS_AND_SIGNALS};
    /* Its size tells the kernel how much of it is meant. */
    size_t size = version >= 6 ? sizeof ruleset : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    cleanup_close int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < count; i++) {
        struct landlock_path_beneath_attr rule = {.parent_fd = directories[i].fd,
                                                  .allowed_access = rights_for(&directories[i], ruleset.files) &
                                                                    ruleset.files};
        if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
            return -errno;
    }
    return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
