/* SPDX-License-Identifier: Apache-2.0 */
/* Long work that cleans up when SIGINT, SIGTERM or SIGHUP arrives: they are held back, looked for, and take their usual
 * effect in the end. */
#ifndef GONDOLIN_IMAGES_INTERRUPT_H
#define GONDOLIN_IMAGES_INTERRUPT_H

#include <signal.h>

#include "src/err.h"

struct interrupt {
    int fd; /* readable when one has arrived; close-on-exec */
    sigset_t before;
};

/* 0 or -errno. */
int interrupt_begin(struct interrupt *interrupt);
/* A signal that has arrived meanwhile is delivered here. */
void interrupt_end(struct interrupt *interrupt);

/* For work that waits for nothing: 0, or -EINTR when a signal has arrived, or -errno. With NULL 0. */
int interrupt_look(const struct interrupt *interrupt);

/* Waits until `fd` is ready for `events` (of poll). 0, or -EINTR when a signal has arrived, or
 * -errno. */
int interrupt_wait(const struct interrupt *interrupt, int fd, short events);

#endif
