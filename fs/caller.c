/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/caller.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"

#define BIT(signal) (UINT64_C(1) << ((signal)-1))
/* Signals that without a handler do nothing, or stop. */
static const uint64_t HARMLESS = BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGSTOP) | BIT(SIGTSTP) |
                                 BIT(SIGTTIN) | BIT(SIGTTOU);
static const uint64_t ASKING = BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGHUP) | BIT(SIGQUIT);

/* The set behind "KEY:\t" at the beginning of a line; false when there is none. */
static bool find_set(const char *status, const char *key, uint64_t *set)
{
    const char *at = strstr(status, key);
    if (!at || (at != status && at[-1] != '\n'))
        return false;
    *set = strtoull(at + strlen(key), NULL, 16);
    return true;
}

bool caller_status_gives_up(const char *status, bool alarms)
{
    uint64_t thread, process, blocked, ignored, caught;
    if (!find_set(status, "SigPnd:", &thread) || !find_set(status, "ShdPnd:", &process) ||
        !find_set(status, "SigBlk:", &blocked) || !find_set(status, "SigIgn:", &ignored) ||
        !find_set(status, "SigCgt:", &caught))
        return true;
    uint64_t pending = (thread | process) & ~blocked & ~ignored;
    uint64_t asking = ASKING | (alarms ? BIT(SIGALRM) : 0);
    return (pending & ~caught & ~HARMLESS) || (pending & caught & asking);
}

bool caller_gives_up(pid_t thread, bool alarms)
{
    char path[40], status[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
    cleanup_close int fd = thread > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, status, sizeof status - 1) : -1;
    if (n <= 0)
        return true;
    status[n] = '\0';
    return caller_status_gives_up(status, alarms);
}
