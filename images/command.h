/* SPDX-License-Identifier: Apache-2.0 */
/* Programs run for their output. Their standard input is empty, their standard error is read line by line, and the end of
 * it becomes part of the error sentence when they fail. */
#ifndef GONDOLIN_IMAGES_COMMAND_H
#define GONDOLIN_IMAGES_COMMAND_H

#include <stddef.h>
#include <sys/types.h>

#include "src/err.h"

struct command {
    const char *const *argv;
    const char *package;   /* the Debian package that has it, for the error when it is absent */
    const char *directory; /* to run in; NULL: the current one */
    void (*line)(void *data, const char *line); /* called for each line of standard error; may be NULL */
    void *data;
};

struct running;

/* Starts it. It is killed when the calling process dies. Errors: ENOENT (not installed), EACCES, ENOMEM... */
int command_start(const struct command *command, struct running **out, struct err *err);

/* Reads from its standard output: the number of bytes, 0 at the end, -errno. */
ssize_t command_read(struct running *running, void *buffer, size_t size);

/* Waits for its end and frees it. 0 when it exited with 0, else -EIO, with its exit code and last words in *err. */
int command_finish(struct running *running, struct err *err);

/* Kills it, waits and frees it. NULL is ignored. */
void command_kill(struct running *running);

/* Runs it to its end; *output (may be NULL) gets what it printed, malloc'd, NUL-terminated, at most 16 MiB (EFBIG). */
int command_run(const struct command *command, char **output, struct err *err);

#endif
