/* SPDX-License-Identifier: Apache-2.0 */
/* One job in a sandbox from start to end, with this process's own input, output and signals connected to it. Works only
 * through the control files under MNT/jobs; what exec, shell and run have in common. */
#ifndef GONDOLIN_SRC_JOB_CLIENT_H
#define GONDOLIN_SRC_JOB_CLIENT_H

#include <stdbool.h>

#include "src/options.h"

enum {
    EXIT_TIMEOUT = 124, /* the command was killed for --timeout, as timeout(1) has it */
    ESCAPE_BYTE = 0x1d, /* Ctrl-] */
};

/* Strings are borrowed. */
struct job_request {
    const char *verb;       /* for messages */
    const char *mountpoint;
    char *const *argv;      /* NULL-terminated, or NULL: */
    const char *cmd;        /* a line for the guest's sh */
    struct option_list env; /* NAME=VALUE, or NAME alone to take it from this environment */
    const char *cwd, *user; /* NULL: the guest's default */
    unsigned timeout_ms;    /* 0: none */
    bool tty;               /* a terminal in the guest; the one here, if any, is made raw meanwhile */
    bool no_input;          /* the job reads nothing */
    bool escape;            /* ESCAPE_BYTE ends the job and comes back */
};

/* The options of a job (env, workdir, user, tty, timeout, no-stdin) for a verb's table. */
#define JOB_CLIENT_OPTIONS(r)                                                                                          \
    {"env", 'e', "NAME[=VALUE]", "set a variable; without a value, to what it is here", NULL, OPTION_LIST, &(r)->env}, \
        {"workdir", 'w', "DIR", "directory to start in", NULL, OPTION_STRING, &(r)->cwd},                              \
        {"user", 'u', "USER", "user to run as", NULL, OPTION_STRING, &(r)->user},                                      \
        {"tty", 't', NULL, "give the command a terminal", NULL, OPTION_FLAG, &(r)->tty},                               \
        {"timeout", 0, "MS", "kill the command after so many milliseconds", NULL, OPTION_UNSIGNED,                     \
         &(r)->timeout_ms},                                                                                            \
        {"no-stdin", 0, NULL, "give the command no input", NULL, OPTION_FLAG, &(r)->no_input}

/* Runs the job to its end. Returns the exit code for the program: the command's own, 128 + N for signal N, 126 and 127
 * when it could not be started, EXIT_TIMEOUT, EXIT_GONDOLIN. Reports errors on stderr. May be called once in a
 * process: threads of it may still sit in reads of standard input or of output that nobody ends when it returns. */
int job_client_run(const struct job_request *request);

/* Closes the job's files, as far as no thread is at them: a sandbox that is to end waits a moment for open ones. */
void job_client_close(void);

/* Ends the process if there are such threads; nothing could make them end in order. Otherwise returns. */
void job_client_leave(int code);

#endif
