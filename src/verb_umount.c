/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "src/cleanup.h"
#include "src/holders.h"
#include "src/mountpoint.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

enum { GRACE_MS = 10000, FOR_EVER = -1 };

/* The processes of a sandbox, as descriptors: a process id could be somebody else's by the time it is used. -1: none.
 * */
struct processes {
    int supervisor, keeper;
};

static int open_pidfd(pid_t pid)
{
    return pid > 0 ? pidfd_open(pid, 0) : -1;
}

static struct processes open_processes(const struct session *s)
{
    struct processes p = {open_pidfd(s->pid), open_pidfd(s->keeper_pid)};
    if (!session_is_alive(s)) { /* ended just now: these may be other processes */
        if (p.supervisor >= 0)
            close(p.supervisor);
        if (p.keeper >= 0)
            close(p.keeper);
        p = (struct processes){-1, -1};
    }
    return p;
}

/* True when the process has ended. */
static bool wait_for(int pidfd, int timeout_ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int n;
    if (pidfd < 0)
        return true;
    while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

static void send_signal(int pidfd, int number)
{
    if (pidfd >= 0)
        pidfd_send_signal(pidfd, number, NULL, 0);
}

static int busy(const struct session *s, struct err *err)
{
    char who[512];
    if (holders_describe(s->mountpoint, s->pid, who, sizeof who))
        return err_set(err, EBUSY, "%s is in use by %s; end that, or use --force", s->mountpoint, who);
    return err_set(err, EBUSY, "%s is in use (by another user's process or a mount below it); end that, or use --force",
                   s->mountpoint);
}

/* Somebody has taken the mount away already: the sandbox is ending. */
static bool is_gone(int rc)
{
    return rc == -EINVAL || rc == -ENOENT;
}

/* The end of the mount is what ends a sandbox, in order. A signal on top would cut that short. */
static int end_politely(const struct session *s, const struct processes *p, struct err *err)
{
    int rc = mountpoint_unmount(s->mountpoint, false, err);
    if (rc == -EBUSY)
        return busy(s, err);
    if (rc < 0 && !is_gone(rc))
        return rc;
    wait_for(p->supervisor, FOR_EVER);
    wait_for(p->keeper, FOR_EVER);
    return 0;
}

/* Takes the mount out of the way although it is in use. A supervisor that does not end for that is killed; the keeper
 * cleans up after it. */
static int end_by_force(const struct session *s, const struct processes *p, struct err *err)
{
    int rc = mountpoint_unmount(s->mountpoint, true, err);
    if (rc < 0 && !is_gone(rc))
        return rc;
    if (!wait_for(p->supervisor, GRACE_MS)) {
        send_signal(p->supervisor, SIGKILL);
        wait_for(p->supervisor, FOR_EVER);
    }
    if (!wait_for(p->keeper, GRACE_MS)) {
        send_signal(p->keeper, SIGKILL);
        wait_for(p->keeper, FOR_EVER);
    }
    return 0;
}

static int end(const struct session *s, bool force, struct err *err)
{
    struct processes p = open_processes(s);
    int rc = force ? end_by_force(s, &p, err) : end_politely(s, &p, err);
    if (p.supervisor >= 0)
        close(p.supervisor);
    if (p.keeper >= 0)
        close(p.keeper);
    return rc;
}

/* Was this the mount of a sandbox that died, and has looking for it (session_find) cleaned it away? Then all is done.
 * */
static bool was_dead_mount(const char *path)
{
    return mountpoint_is_gondolin(path) && mountpoint_is_dead(path) && mountpoint_unmount(path, true, NULL) == 0;
}

static int umount_one(const char *reference, bool force)
{
    struct session session;
    struct err err;
    char path[PATH_MAX];
    bool mounted = reference && realpath(reference, path) && mountpoint_is_gondolin(path);
    if (reference && realpath(reference, path) && mountpoint_is_offline(path))
        return mountpoint_unmount(path, force, &err) < 0 ? verb_failed("umount", &err) : 0;
    int rc = session_find(reference, &session, &err);
    if (rc == -ENOENT && mounted && (!mountpoint_is_gondolin(path) || was_dead_mount(path)))
        return 0;
    if (rc == 0 && chdir("/") == 0) /* not to be what keeps it busy */
        rc = end(&session, force, &err);
    session_close(&session);
    return rc < 0 ? verb_failed("umount", &err) : 0;
}

int verb_umount(int argc, char **argv)
{
    bool force = false;
    const struct option_spec options[] = {
        {"force", 'f', NULL, "end it although it is in use or does not answer", NULL, OPTION_FLAG, &force},
        {0},
    };
    const struct usage usage = {
        .verb = "umount",
        .operands = "[SANDBOX]...",
        .about = "Unmounts a sandbox, shuts its machine down and waits until nothing of it is left.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .options = options,
        .page = "gondolin-list(1)",
        .max_operands = -1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    int worst = 0, i = 0;
    do {
        code = umount_one(operand_at(&operands, i), force);
        worst = code ? code : worst;
    } while (++i < operands.count);
    return worst;
}
