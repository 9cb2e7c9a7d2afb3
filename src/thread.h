/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that take no signals: those of a process are for its main loop. */
#ifndef GONDOLIN_SRC_THREAD_H
#define GONDOLIN_SRC_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* Starts `run(data)` with all signals blocked, on a stack of `stack_size` bytes (0: the system's default). *thread is for
 * the caller to join or detach. Returns 0 or an errno (EAGAIN, ENOMEM). */
static inline int thread_start(pthread_t *thread, size_t stack_size, void *(*run)(void *), void *data)
{
    sigset_t all;
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return rc;
    sigfillset(&all);
    rc = pthread_attr_setsigmask_np(&attributes, &all);
    if (rc == 0 && stack_size > 0)
        rc = pthread_attr_setstacksize(&attributes, stack_size);
    if (rc == 0)
        rc = pthread_create(thread, &attributes, run, data);
    pthread_attr_destroy(&attributes);
    return rc;
}

#endif
