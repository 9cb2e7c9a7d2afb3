/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a VMM, a tool that works for one, or a hook program, as a child that cannot outlive its parent. */
#ifndef GONDOLIN_VMM_CHILD_H
#define GONDOLIN_VMM_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "src/err.h"

/* The child's descriptors are 0, 1, 2, and the listed ones from here upwards; every other is closed. */
enum { CHILD_FIRST_FD = 3, CHILD_MAX_FDS = 16 };

struct child_spec {
    char *const *argv; /* argv[0] is a path, or a name looked up in PATH */
    const int *fds;    /* become CHILD_FIRST_FD, CHILD_FIRST_FD + 1, ...; borrowed */
    size_t fd_count;
    int stdin_fd;             /* borrowed; 0: /dev/null */
    int stdout_fd, stderr_fd; /* borrowed; -1: /dev/null */
    int directory_fd;         /* borrowed; the working directory; 0: the caller's */
};

/* Starts the program in a session of its own, with default signal handling and without core dumps. It gets SIGKILL when
 * the calling THREAD ends (PR_SET_PDEATHSIG), so it has to be started by a thread that lives as long as the parent.
 * *pidfd is close-on-exec. Returns 0 once the program has been executed, or -errno with *err naming the program. */
int child_start(const struct child_spec *spec, pid_t *pid, int *pidfd, struct err *err);

/* Starts the program, waits until it ends and returns 0 if its exit status was 0. What it wrote to stdout (at most
 * `size` - 1 bytes; more is dropped) is put into `output` (NULL: dropped) as a string. It is killed after `timeout_ms`.
 * -EIO with the last line of its stderr in *err when it failed, -ETIMEDOUT, or as child_start. */
int child_run(char *const *argv, const int *fds, size_t fd_count, unsigned timeout_ms, char *output, size_t size,
              struct err *err);

/* Waits until the child has ended (a pidfd is readable from then on), kills it first if it does not within
 * `timeout_ms`, and reaps it. Returns its wait status; *in_time says whether it ended by itself. */
int child_reap(pid_t pid, int pidfd, unsigned timeout_ms, int *in_time);

#endif
