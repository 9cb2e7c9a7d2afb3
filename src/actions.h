/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs with actions: "gondolin image ACTION [OPERAND]...". */
#ifndef GONDOLIN_SRC_ACTIONS_H
#define GONDOLIN_SRC_ACTIONS_H

#include <stddef.h>

#include "src/err.h"
#include "src/options.h"

struct json_object;

struct action {
    const char *name;
    const char *operands; /* "" or as printed: "IMAGE TAG" */
    const char *about;
    int min_operands, max_operands; /* behind the action's name; -1: any number */
    int (*run)(const struct operands *operands, const void *options); /* words[0] is the name; an exit code */
    const char *options; /* that it knows, by their names with blanks between; NULL: none */
};

struct actions {
    const char *verb, *operands, *intro; /* the intro is one or more lines, each with its line end */
    const struct action *list;
    size_t count;
};

/* The verb: reads its command line and runs the action that the first operand names. `specs` (flags) and what they point to,
 * which the actions get as `options`, are the verb's; one that the action does not know is refused. Mistakes in actions are
 * reported as those of options are. Returns the exit code. */
int actions_main(const struct actions *actions, const struct option_spec *specs, const void *options, int argc,
                 char **argv);

/* As verb_failed, for "VERB ACTION". */
int action_failed(const char *verb, const char *action, const struct err *err);

/* Prints JSON for programs on standard output, and frees it. */
void print_json(struct json_object *value);

#endif
