/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted below the directory and must not be seen: /proc, whose files about this process would give the peer its
 * memory, and sandboxes, this one or others: with their control files a guest could have the host do as it likes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fs/hostdir_internal.h"
#include "src/cleanup.h"

enum { MOUNTS_STEP = 64 * 1024, MOUNTS_MAX = 16 * 1024 * 1024 };

/* All of /proc/self/mountinfo, malloc'd; NULL where it cannot be read. Several threads may do so at once. */
static char *read_mounts(int fd)
{
    cleanup_free char *text = NULL;
    size_t len = 0;
    ssize_t n = fd > 0 ? 1 : -1;
    while (n > 0 && len < MOUNTS_MAX) {
        char *bigger = realloc(text, len + MOUNTS_STEP + 1);
        if (!bigger)
            return NULL;
        text = bigger;
        n = pread(fd, text + len, MOUNTS_STEP, (off_t)len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (n != 0)
        return NULL;
    text[len] = '\0';
    return steal_pointer(&text);
}

/* Whether a mount is one of ours, or nobody knows (proc(5) has the format). */
static bool may_be_sandbox(const char *mounts, uint64_t id)
{
    char start[24];
    size_t len = (size_t)snprintf(start, sizeof start, "%llu ", (unsigned long long)id);
    for (const char *line = mounts; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, len) != 0)
            continue;
        const char *end = strchr(line, '\n'), *type = strstr(line, " - ");
        return !end || !type || type > end || strncmp(type, " - fuse.gondolin", strlen(" - fuse.gondolin")) == 0;
    }
    return true;
}

static bool is_sandbox(const struct hostdir *hostdir, int fd)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
        return true;
    cleanup_free char *mounts = read_mounts(hostdir->mounts_fd);
    return !mounts || may_be_sandbox(mounts, st.stx_mnt_id);
}

int hostdir_check_below(const struct hostdir *hostdir, int fd, dev_t dev)
{
    struct statfs fs;
    if (hostdir->root && dev == hostdir->devices[0])
        return 0;
    if (fstatfs(fd, &fs) < 0)
        return hostdir_error();
    if (fs.f_type == PROC_SUPER_MAGIC)
        return -EACCES;
    return hostdir->root && fs.f_type == FUSE_SUPER_MAGIC && is_sandbox(hostdir, fd) ? -EACCES : 0;
}
