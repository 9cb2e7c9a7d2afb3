/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a `ctl` file: one line, one command. A write is checked whole (every line's verb and its arguments) before
 * its first line runs. */
#ifndef GONDOLIN_SRC_CTL_VERBS_H
#define GONDOLIN_SRC_CTL_VERBS_H

#include <stddef.h>
#include <stdio.h>

#include "fs/control.h"
#include "src/err.h"

struct ctl_verb {
    const char *name; /* NULL ends a table */
    size_t min, max;  /* arguments */
    const char *arguments, *summary;
    /* Checks the arguments' values; as run. NULL: there is nothing to check. */
    int (*check)(void *object, char **words, size_t count, struct err *err);
    /* words[0] is the verb. 0, or an errno value with the sentence in *err. */
    int (*run)(void *object, char **words, size_t count, struct err *err);
    /* Instead of run, for what takes time: answers with control_reply_written(request, request_len) or an error. Only
     * as the last line of a write. */
    void (*run_later)(void *object, char **words, size_t count, struct control_request *request, size_t request_len);
};

void ctl_verbs_usage(const struct ctl_verb *verbs, FILE *out);
/* Runs the lines of one write and answers the request. */
void ctl_verbs_run(const struct ctl_verb *verbs, void *object, const char *data, size_t len,
                   struct control_request *request);

#endif
