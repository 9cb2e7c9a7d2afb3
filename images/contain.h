/* SPDX-License-Identifier: Apache-2.0 */
/* Work in a child process whose whole offspring ends with it: package managers, chroots, the libguestfs appliance.
 *
 *   caller ── init (pid 1 of a new PID namespace, killed when the caller dies) ── worker ── programs
 *
 * When the caller dies, however it dies, the kernel ends everything below. There are private mount and (for an ordinary
 * user) user namespaces too, in which the worker is root over the user's subordinate ids, /tmp is empty and vanishes with
 * the worker, and /lib/modules exists (supermin insists on it) even where the host has none. Where namespaces are not
 * to be had the work is done without, and only the direct children are sure to end. */
#ifndef GONDOLIN_IMAGES_CONTAIN_H
#define GONDOLIN_IMAGES_CONTAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "images/image.h"
#include "src/err.h"

/* What the worker may ask of the process it runs for. */
struct contained {
    int channel;
    bool namespaces; /* everything above holds */
    bool many_ids;   /* other user ids than one's own can be used: files can have other owners */
};

struct contain {
    int (*work)(void *data, struct contained *contained, struct err *err); /* 0 or -errno with *err filled */
    void *data;
    const char *keep; /* a directory that stays visible, even under /tmp */
    image_progress_fn *progress; /* called in the caller's process; may be NULL */
    void *progress_data;
    char *answer; /* where the worker's answer goes, cut to `answer_size` bytes with its NUL; may be NULL */
    size_t answer_size;
};

/* Runs work() in the child and returns what it returned. EINTR: SIGINT, SIGTERM or SIGHUP arrived, everything was
 * stopped. ECHILD: the worker died by itself (err names the signal). Must be called by the main thread: the kernel ties
 * a child's life to the thread that made it. */
int contain_run(const struct contain *contain, struct err *err);

/* In the worker, or a process it forked: passes on progress. */
void contained_progress(const struct contained *contained, const char *phase, double fraction);

/* In the worker: a text for the caller, before work() returns. */
void contained_answer(const struct contained *contained, const char *text);

#endif
