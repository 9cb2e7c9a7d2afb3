/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin-engine VERB ...: the verbs that make sandboxes and images, with the libraries they need. Run by gondolin. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/options.h"
#include "src/verbs.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"build", verb_build},
    {"checkpoint", verb_checkpoint},
    {"doctor", verb_doctor},
    {"gc", verb_gc},
    {"image", verb_image},
    {"mount", verb_mount},
    {"restore", verb_restore},
    {"run", verb_mount}, /* its machine; the rest is in gondolin itself (src/verb_run.c) */
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0)
            continue;
        int code = verbs[i].run(argc - 1, argv + 1);
        if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE && code == 0)
            code = verb_refused(argv[1], "standard output: %s", strerror(errno));
        return code;
    }
    return verb_refused("gondolin-engine", "is run by gondolin, not by itself");
}
