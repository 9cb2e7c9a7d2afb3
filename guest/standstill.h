/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps every process of the guest but the caller from running. Between the moment a machine is saved and the moment a
 * clone of it has a clock and random numbers of its own, nobody is to look at either. */
#ifndef GONDOLIN_GUEST_STANDSTILL_H
#define GONDOLIN_GUEST_STANDSTILL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { STANDSTILL_MAX_CPUS = 64 };

/* Start with {0}. */
struct standstill {
    pthread_t threads[STANDSTILL_MAX_CPUS];
    unsigned count; /* of the busy ones */
    atomic_bool over;
};

/* Puts the calling thread above everybody else, by real-time scheduling (sched(7)), and busy threads onto the other
 * processors. The caller must not sleep until the end: while it does, others run. The kernel gives them a twentieth of each
 * second that this lasts. 0, or -errno (EPERM, EAGAIN): the others then go on. */
int standstill_begin(struct standstill *standstill);
/* Nothing where it has not begun. */
void standstill_end(struct standstill *standstill);

#endif
