/* SPDX-License-Identifier: Apache-2.0 */
#include "images/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "images/elf_static.h"
#include "src/cleanup.h"
#include "src/libexec.h"

#define AGENT "gondolin-guest"

static int open_checked(const char *path, struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "guest agent: %s", path);
    int code = elf_check_static(fd);
    if (code == -ELIBACC || code == -ENOEXEC)
        return err_set(err, ENOEXEC, "guest agent: %s: not a static program of this architecture", path);
    if (code < 0)
        return err_errno(err, -code, "guest agent: %s", path);
    return steal_fd(&fd);
}

int agent_open(struct err *err)
{
    const char *set = getenv("GONDOLIN_GUEST");
    if (set && *set)
        return open_checked(set, err);
    cleanup_free char *path = libexec_path(AGENT);
    if (!path)
        return err_errno(err, errno, "guest agent: " AGENT " is not installed with gondolin; install gondolin completely, or "
                         "set GONDOLIN_GUEST to its path");
    return open_checked(path, err);
}
