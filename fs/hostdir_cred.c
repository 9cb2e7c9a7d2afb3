/* SPDX-License-Identifier: Apache-2.0 */
/* Creating things on someone's behalf. The file system ids of this thread become the request's, so that ownership, sgid
 * directories and quotas come out as the kernel does them; the capabilities that the switch takes away are put back,
 * because the peer's kernel has checked the permissions already. */
#include <errno.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"

static bool has_cap(const struct hostdir *hostdir, unsigned cap)
{
    return hostdir->caps[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

void hostdir_cred_init(struct hostdir *hostdir)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    if (syscall(SYS_capget, &header, hostdir->caps) < 0)
        memset(hostdir->caps, 0, sizeof hostdir->caps);
    if (!has_cap(hostdir, CAP_SETUID) || !has_cap(hostdir, CAP_SETGID) || !has_cap(hostdir, CAP_DAC_OVERRIDE))
        hostdir->cred = HOSTDIR_AS_SELF;
}

static int put_caps_back(const struct hostdir *hostdir)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
    memcpy(caps, hostdir->caps, sizeof caps);
    return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

static int switch_ids(const struct hostdir *hostdir, const struct vfs_cred *cred)
{
    /* setfsuid reports failure only by not having changed anything; -1 asks for the present value */
    setfsgid(cred->gid);
    setfsuid(cred->uid);
    if ((uint32_t)setfsgid((gid_t)-1) != cred->gid || (uint32_t)setfsuid((uid_t)-1) != cred->uid)
        return -EPERM;
    return put_caps_back(hostdir);
}

static void switch_back(void)
{
    setfsuid(geteuid()); /* brings the capabilities back as well where that is root */
    setfsgid(getegid());
}

int hostdir_cred_enter(const struct hostdir *hostdir, const struct vfs_cred *cred, struct hostdir_saved_cred *saved)
{
    int rc = 0;
    if (cred->uid == (uid_t)-1 || cred->gid == (gid_t)-1)
        return -EOVERFLOW;
    saved->switched = hostdir->cred == HOSTDIR_AS_CALLER && (cred->uid != geteuid() || cred->gid != getegid());
    if (saved->switched)
        rc = switch_ids(hostdir, cred);
    if (rc < 0)
        switch_back();
    else
        saved->umask = umask(hostdir->mapped ? 0 : cred->umask); /* then the mode says it all */
    return rc;
}

void hostdir_cred_leave(const struct hostdir_saved_cred *saved)
{
    int error = errno;
    umask(saved->umask);
    if (saved->switched)
        switch_back();
    errno = error;
}
