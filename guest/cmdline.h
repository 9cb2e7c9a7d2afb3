/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's options on the kernel's command line: gondolin.root=DEVICE, gondolin.rootfstype=TYPE, gondolin.ro. */
#ifndef GONDOLIN_GUEST_CMDLINE_H
#define GONDOLIN_GUEST_CMDLINE_H

#include <stdbool.h>

#include "src/err.h"

struct cmdline {
    char root[64]; /* "/dev/NAME" */
    char fstype[32];
    bool read_only;
};

/* Words are separated by white space, the last one of a kind counts, words of others are ignored. Returns 0, or -EINVAL
 * with *err set for a gondolin.* word it does not know or whose value is unusable. */
int cmdline_parse(const char *text, struct cmdline *out, struct err *err);

#endif
