/* SPDX-License-Identifier: Apache-2.0 */
/* Shows how a long operation goes on: one line with a bar that is redrawn on a terminal, a line for each phase elsewhere. */
#ifndef GONDOLIN_SRC_PROGRESS_H
#define GONDOLIN_SRC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *to;            /* stderr, as a rule; NULL: quiet */
    bool terminal;       /* redraw */
    char phase[80];      /* shown last */
    int percent;         /* shown last; -1: none */
    unsigned steps;      /* phases so far */
    uint64_t started_ms; /* of CLOCK_MONOTONIC */
};

/* Quiet when `to` is NULL. */
void progress_begin(struct progress *progress, FILE *to);

/* An image_progress_fn: `data` is a struct progress. `fraction` 0..1, or less than 0 when unknown. */
void progress_show(void *data, const char *phase, double fraction);

/* Wipes the bar, so that the next line starts clean. Returns the milliseconds since progress_begin. */
uint64_t progress_end(struct progress *progress);

#endif
