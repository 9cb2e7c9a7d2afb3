/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "src/thread.h"

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job was queued, or the threads are to end */
    pthread_cond_t idle; /* nothing is queued or being worked on */
    struct pool_job *head, **tail;
    unsigned queued, queue_max;
    unsigned unfinished; /* queued or being worked on */
    bool ending;
    unsigned threads;
    pthread_t thread[];
};

static struct pool_job *pop(struct pool *pool)
{
    struct pool_job *job = pool->head;
    pool->head = job->next;
    if (!pool->head)
        pool->tail = &pool->head;
    pool->queued--;
    return job;
}

static void finished_one(struct pool *pool)
{
    if (--pool->unfinished == 0)
        pthread_cond_broadcast(&pool->idle);
}

static void *work(void *data)
{
    struct pool *pool = data;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->head && !pool->ending)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (!pool->head)
            break;
        struct pool_job *job = pop(pool);
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        finished_one(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int start_threads(struct pool *pool, unsigned threads)
{
    int rc = 0;
    while (rc == 0 && pool->threads < threads) {
        rc = thread_start(&pool->thread[pool->threads], 0, work, pool);
        if (rc == 0)
            pool->threads++;
    }
    return rc;
}

struct pool *pool_new(unsigned threads, unsigned queue_max)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->thread[0]);
    if (!pool)
        return NULL;
    pool->queue_max = queue_max;
    pool->tail = &pool->head;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    int rc = start_threads(pool, threads);
    if (rc != 0) {
        pool_free(pool);
        errno = rc;
        return NULL;
    }
    return pool;
}

bool pool_submit(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->threads > 0 && pool->queued < pool->queue_max;
    if (room) {
        job->next = NULL;
        *pool->tail = job;
        pool->tail = &job->next;
        pool->queued++;
        pool->unfinished++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

static struct pool_job *unlink_job(struct pool *pool, uint64_t key)
{
    for (struct pool_job **at = &pool->head; *at; at = &(*at)->next) {
        struct pool_job *job = *at;
        if (job->key != key)
            continue;
        *at = job->next;
        if (!*at)
            pool->tail = at;
        pool->queued--;
        finished_one(pool);
        return job;
    }
    return NULL;
}

struct pool_job *pool_cancel(struct pool *pool, uint64_t key)
{
    pthread_mutex_lock(&pool->lock);
    struct pool_job *job = unlink_job(pool, key);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

void pool_drain(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->unfinished > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
