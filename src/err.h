/* SPDX-License-Identifier: Apache-2.0 */
/* Errors a person reads: an errno for programs and one sentence for people. */
#ifndef GONDOLIN_SRC_ERR_H
#define GONDOLIN_SRC_ERR_H

#include <stdarg.h>

/* Exit codes of the command line (besides the command's own), as documented in gondolin(1). */
enum {
    EXIT_GONDOLIN = 125,       /* gondolin itself failed */
    EXIT_CANNOT_EXECUTE = 126, /* command found, not runnable */
    EXIT_NOT_FOUND = 127,      /* command not found */
    EXIT_SIGNAL_BASE = 128,    /* + signal number */
};

struct err {
    int code;       /* errno value; 0 while nothing has failed */
    char text[768]; /* "verb: object: reason; fix", no newline */
};

/* Fills *e (e may be NULL) with errno value `code` and the formatted sentence. Returns -code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and strerror(code) appended. */
int err_errno(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence already in *e, to add context on the way up. Returns -e->code. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
