/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/notifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_QUEUED = 8192 };

struct entry {
    struct entry *next;
    void (*done)(void *data); /* a fence */
    void *data;
    size_t len;
    uint8_t message[];
};

struct notifier {
    int fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more;
    struct entry *first, **end; /* protected by mutex, as all below */
    size_t queued;
    uint64_t dropped;
    bool stop;
};

static struct entry *next_entry(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    while (!n->first && !n->stop)
        pthread_cond_wait(&n->more, &n->mutex);
    struct entry *entry = n->stop ? NULL : n->first;
    if (entry) {
        n->first = entry->next;
        if (!n->first)
            n->end = &n->first;
        n->queued--;
    }
    pthread_mutex_unlock(&n->mutex);
    return entry;
}

static void *notifier_run(void *data)
{
    struct notifier *n = data;
    struct entry *entry;
    while ((entry = next_entry(n))) {
        if (entry->done)
            entry->done(entry->data);
        else
            while (write(n->fd, entry->message, entry->len) < 0 && errno == EINTR)
                ; /* other errors: the kernel does not know the node (ENOENT), or is gone */
        free(entry);
    }
    return NULL;
}

struct notifier *notifier_new(int fd)
{
    struct notifier *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->fd = fd;
    n->end = &n->first;
    pthread_mutex_init(&n->mutex, NULL);
    pthread_cond_init(&n->more, NULL);
    int rc = pthread_create(&n->thread, NULL, notifier_run, n);
    if (rc) {
        free(n);
        errno = rc;
        return NULL;
    }
    return n;
}

void notifier_stop(struct notifier *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->mutex);
    n->stop = true;
    pthread_cond_signal(&n->more);
    pthread_mutex_unlock(&n->mutex);
}

bool notifier_join(struct notifier *n)
{
    if (!n)
        return true;
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 2000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    if (pthread_timedjoin_np(n->thread, NULL, &soon) != 0)
        return false;
    while (n->first) {
        struct entry *entry = n->first;
        n->first = entry->next;
        free(entry);
    }
    pthread_mutex_destroy(&n->mutex);
    pthread_cond_destroy(&n->more);
    free(n);
    return true;
}

static bool enqueue(struct notifier *n, struct entry *entry, bool always)
{
    pthread_mutex_lock(&n->mutex);
    bool taken = always || n->queued < MAX_QUEUED;
    if (taken) {
        *n->end = entry;
        n->end = &entry->next;
        n->queued++;
        pthread_cond_signal(&n->more);
    } else {
        n->dropped++;
    }
    pthread_mutex_unlock(&n->mutex);
    return taken;
}

void notifier_send(struct notifier *n, const void *message, size_t len)
{
    struct entry *entry = calloc(1, sizeof *entry + len);
    if (!entry)
        return;
    entry->len = len;
    memcpy(entry->message, message, len);
    if (!enqueue(n, entry, false))
        free(entry);
}

void notifier_fence(struct notifier *n, void (*done)(void *data), void *data)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->done = done;
    entry->data = data;
    enqueue(n, entry, true);
}

uint64_t notifier_dropped(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    uint64_t dropped = n->dropped;
    pthread_mutex_unlock(&n->mutex);
    return dropped;
}
