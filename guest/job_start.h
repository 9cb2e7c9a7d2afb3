/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one program, in three steps: prepared in the loop, executed in any thread, its streams taken by the caller.
 * Executing can take for ever when directory or program lie on a file system that hangs. */
#ifndef GONDOLIN_GUEST_JOB_START_H
#define GONDOLIN_GUEST_JOB_START_H

#include <sys/types.h>

#include "guest/accounts.h"
#include "guest/envlist.h"
#include "guest/job_stdio.h"
#include "guest/jobspec.h"
#include "src/err.h"

struct job_start {
    struct jobspec spec;
    struct account account;
    struct envlist env;
    struct job_stdio stdio;
    /* The leader of a new session and process group; set (atomically) as soon as there is a process, before it does
     * anything. 0: not yet. */
    pid_t pid;
    struct err err; /* code 0: no failure so far */
    int code;       /* after a failure: 127 when there is no such program, otherwise 126 */
};

/* Reads the payload of JOB_START, finds the user, opens the streams. Returns 0, or -errno with start->err and code set.
 * To be cleared in any case. */
int job_start_prepare(struct job_start *start, const void *json, size_t len, const struct envlist *session_env,
                      const struct account_files *accounts);

/* Returns when the kernel has executed the program, or with start->err and code set. A process that failed has to be
 * reaped too. */
void job_start_execute(struct job_start *start);

void job_start_clear(struct job_start *start);

#endif
