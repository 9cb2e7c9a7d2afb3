/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

/* The console is what the guest says on its serial port: followed until it ends or Ctrl-C, which here means this
 * program and not the guest. */
static int follow(const char *mountpoint, struct err *err)
{
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s/console", mountpoint) < 0)
        return err_errno(err, ENOMEM, "console");
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    char buffer[16 * 1024];
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && (errno == ENOTCONN || errno == ENODEV || errno == ESTALE)))
            return 0; /* the sandbox has ended */
        if (n < 0)
            return err_errno(err, errno, "%s", path);
        if (fwrite(buffer, 1, (size_t)n, stdout) < (size_t)n || fflush(stdout) == EOF)
            return err_errno(err, errno, "standard output");
    }
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
