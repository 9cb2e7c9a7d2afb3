/* SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of a job: three pipes, or one pseudo-terminal. */
#ifndef GONDOLIN_GUEST_JOB_STDIO_H
#define GONDOLIN_GUEST_JOB_STDIO_H

#include <stdbool.h>
#include <sys/types.h>

#include "guest/jobspec.h"
#include "src/err.h"

struct job_stdio {
    bool is_tty;
    int child[3]; /* to become 0, 1 and 2; all above 2, close-on-exec. A terminal is three times the same fd */
    int ours[3];  /* non-blocking, close-on-exec; -1 where there is none */
};

/* All closed. */
void job_stdio_init(struct job_stdio *stdio);

/* Opens what the spec asks for; a terminal gets the owner `uid`. Returns 0 or -errno with *err set (all closed). */
int job_stdio_open(struct job_stdio *stdio, const struct jobspec *spec, uid_t uid, struct err *err);

/* Closes the child's ends, so that ours can see the end of the file. */
void job_stdio_close_child(struct job_stdio *stdio);

/* Closes what has not been taken out of it. */
void job_stdio_close(struct job_stdio *stdio);

#endif
