/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

static bool has_ended(int code)
{
    return code == ENOTCONN || code == ENODEV || code == ESTALE;
}

/* Copies what there is now. 1: the sandbox has ended. */
static int copy_new(int fd, const char *path, struct err *err)
{
    char buffer[16 * 1024];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno != EINTR)
            return has_ended(errno) ? 1 : err_errno(err, errno, "%s", path);
        if (n > 0 && fwrite(buffer, 1, (size_t)n, stdout) < (size_t)n)
            return err_errno(err, errno, "standard output");
    }
    return fflush(stdout) == EOF ? err_errno(err, errno, "standard output") : 0;
}

/* The console is what the guest says on its serial port: followed until it ends or Ctrl-C, which here means this
 * program and not the guest. POLLPRI tells of more, POLLHUP of the end (gondolin-files(5)). */
static int follow(const char *mountpoint, struct err *err)
{
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s/console", mountpoint) < 0)
        return err_errno(err, ENOMEM, "console");
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    struct pollfd more = {.fd = fd, .events = POLLPRI};
    int rc;
    do {
        rc = copy_new(fd, path, err);
        if (rc == 0 && (more.revents & (POLLHUP | POLLERR)))
            rc = 1;
        if (rc == 0 && poll(&more, 1, -1) < 0 && errno != EINTR)
            rc = err_errno(err, errno, "%s", path);
    } while (rc == 0);
    return rc < 0 ? rc : 0;
}

int verb_attach(int argc, char **argv)
{
    const struct usage usage = {
        .verb = "attach",
        .operands = "[SANDBOX]",
        .about = "Follows the console of a sandbox: its last 64 KiB and what comes from now on, until Ctrl-C.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .page = "gondolin-list(1)",
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct session session;
    struct err err;
    if (session_find(operand_at(&operands, 0), &session, &err) < 0)
        return verb_failed("attach", &err);
    int rc = follow(session.mountpoint, &err);
    session_close(&session);
    return rc < 0 ? verb_failed("attach", &err) : 0;
}
