/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one program. */
#ifndef GONDOLIN_GUEST_JOB_START_H
#define GONDOLIN_GUEST_JOB_START_H

#include <sys/types.h>

#include "guest/accounts.h"
#include "guest/envlist.h"
#include "guest/jobspec.h"
#include "src/err.h"

struct job_start_result {
    pid_t pid;      /* leader of a new session and process group */
    int in, out, err; /* our ends, non-blocking, close-on-exec; -1 where there is none. With a terminal, in and out are
                       * two fds of its master and err is -1 */
    int code;       /* on failure: 127 when there is no such program, otherwise 126 */
};

/* Returns 0 when the program was executed, otherwise -errno with *err set and result->code. Blocks until the kernel has
 * executed it. SIGCHLD is not touched: the caller reaps. */
int job_start(const struct jobspec *spec, const struct envlist *session_env, const struct account_files *accounts,
              struct job_start_result *result, struct err *err);

#endif
