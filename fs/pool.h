/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed number of threads that work off a bounded queue of jobs in order. The threads block all signals. */
#ifndef GONDOLIN_FS_POOL_H
#define GONDOLIN_FS_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct pool;

struct pool_job {
    struct pool_job *next;
    uint64_t key;
    void (*run)(struct pool_job *job); /* owns the job from then on */
};

/* `queue_max` jobs may wait besides those being worked on. NULL with errno on failure. 0 threads are allowed: such a
 * pool takes no jobs. */
struct pool *pool_new(unsigned threads, unsigned queue_max);

/* Takes a job over. Returns false when the queue is full. */
bool pool_submit(struct pool *pool, struct pool_job *job);

/* Takes a job that has not been started out of the queue and gives it back; NULL when there is none with this key. */
struct pool_job *pool_cancel(struct pool *pool, uint64_t key);

/* Waits until nothing is queued or being worked on. */
void pool_drain(struct pool *pool);

/* Drains the pool and ends its threads. NULL is ignored. */
void pool_free(struct pool *pool);

#endif
