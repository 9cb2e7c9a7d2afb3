/* SPDX-License-Identifier: Apache-2.0 */
/* What a JOB_START frame asks for. */
#ifndef GONDOLIN_GUEST_JOBSPEC_H
#define GONDOLIN_GUEST_JOBSPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/envlist.h"
#include "src/err.h"

struct jobspec {
    char **argv;         /* at least one element, NULL-terminated */
    struct envlist env;  /* the job's own variables only */
    char *cwd;           /* absolute; NULL: the user's home */
    char *user;          /* "user", "user:group", names or numbers; NULL: root */
    uint64_t timeout_ms; /* 0: none */
    bool tty;
    uint16_t rows, cols; /* 0: unset */
    bool stdin_open;     /* false: reads /dev/null */
};

/* Reads the payload of JOB_START. Returns 0, -EINVAL (*err names the member and the reason) or -ENOMEM. *spec is filled
 * from scratch, and must be cleared even after a failure. */
int jobspec_parse(const void *json, size_t len, struct jobspec *spec, struct err *err);
void jobspec_clear(struct jobspec *spec);

#endif
