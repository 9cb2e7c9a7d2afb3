/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal that the command line was started on. */
#ifndef GONDOLIN_SRC_TERMINAL_H
#define GONDOLIN_SRC_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

struct terminal {
    bool raw;             /* raw mode is on and has to be undone */
    struct termios saved; /* the mode before */
};

/* Rows and columns of the terminal on standard output, input or error; false when none of them is one. */
bool terminal_size(unsigned *rows, unsigned *columns);

/* Puts the terminal on standard input, if it is one, into raw mode: every key goes to the program, none is a signal. */
void terminal_make_raw(struct terminal *terminal);

/* Back to the mode before. Does nothing when the mode was not changed. */
void terminal_restore(struct terminal *terminal);

#endif
