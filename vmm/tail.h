/* SPDX-License-Identifier: Apache-2.0 */
/* The last lines of a text stream, in bounded memory. Kept of what a VMM writes to stderr, to explain its end with. */
#ifndef GONDOLIN_VMM_TAIL_H
#define GONDOLIN_VMM_TAIL_H

#include <stdbool.h>
#include <stddef.h>

enum { TAIL_LINES = 20, TAIL_LINE_MAX = 256 }; /* longer lines are cut */

struct tail {
    char lines[TAIL_LINES][TAIL_LINE_MAX];
    unsigned count; /* lines begun so far; the newest is lines[(count - 1) % TAIL_LINES] */
    size_t length;  /* of the newest line */
    bool open;      /* the newest line has not ended */
};

/* Adds bytes; control characters become '?', empty lines are left out. */
void tail_add(struct tail *tail, const char *bytes, size_t len);

/* Writes the last `lines` lines (at most TAIL_LINES), joined by "; ", as a string. Empty when there are none. */
void tail_join(const struct tail *tail, unsigned lines, char *text, size_t size);

#endif
