/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/job_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void job_stdio_init(struct job_stdio *stdio)
{
    *stdio = (struct job_stdio){.child = {-1, -1, -1}, .ours = {-1, -1, -1}};
}

void job_stdio_close_child(struct job_stdio *stdio)
{
    for (int i = 0; i < 3; i++) {
        if (stdio->is_tty && i > 0)
            stdio->child[i] = -1;
        close_if_open(&stdio->child[i]);
    }
}

void job_stdio_close(struct job_stdio *stdio)
{
    job_stdio_close_child(stdio);
    for (int i = 0; i < 3; i++)
        close_if_open(&stdio->ours[i]);
}

/* Only our end is non-blocking: programs do not expect it of theirs. */
static int open_pipe(int *reader, int *writer, int *ours)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *reader = fds[0];
    *writer = fds[1];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_pipes(struct job_stdio *stdio, bool with_stdin)
{
    int rc;
    if (with_stdin) {
        rc = open_pipe(&stdio->child[0], &stdio->ours[0], &stdio->ours[0]);
    } else {
        stdio->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        rc = stdio->child[0] < 0 ? -errno : 0;
    }
    for (int i = 1; i < 3 && rc == 0; i++)
        rc = open_pipe(&stdio->ours[i], &stdio->child[i], &stdio->ours[i]);
    return rc;
}

static int open_terminal(struct job_stdio *stdio, const struct jobspec *spec, uid_t uid)
{
    struct winsize size = {.ws_row = spec->rows, .ws_col = spec->cols};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0)
        return -errno;
    stdio->ours[1] = master;
    if (unlockpt(master) < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
        return -errno;
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    stdio->child[0] = stdio->child[1] = stdio->child[2] = slave;
    /* So that the user may open /dev/tty's name again; devpts gave it to us. */
    if (geteuid() == 0 && fchown(slave, uid, (gid_t)-1) < 0)
        return -errno;
    stdio->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
    return stdio->ours[0] < 0 ? -errno : 0;
}

int job_stdio_open(struct job_stdio *stdio, const struct jobspec *spec, uid_t uid, struct err *err)
{
    job_stdio_init(stdio);
    stdio->is_tty = spec->tty;
    int rc = spec->tty ? open_terminal(stdio, spec, uid) : open_pipes(stdio, spec->stdin_open);
    if (rc < 0) {
        job_stdio_close(stdio);
        return err_errno(err, -rc, "start %s: open its %s", spec->argv[0], spec->tty ? "terminal" : "pipes");
    }
    return 0;
}
