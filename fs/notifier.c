/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/notifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_QUEUED = 65536 };

struct entry {
    struct entry *next;
    uint64_t notice; /* the notice that ends with it, or the one before */
    size_t len;
    uint8_t message[];
};

struct notifier {
    int fd, event_fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more;
    struct entry *first, **end; /* protected by mutex, as all below */
    size_t queued;
    uint64_t taken, written;
    bool busy; /* something came since the queue was last empty */
    bool overflowed, stop;
};

/* The next entry, the one before having been written. */
static struct entry *next_entry(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    while (!n->first && !n->stop) {
        n->written = n->taken;
        if (n->busy)
            eventfd_write(n->event_fd, 1);
        n->busy = false;
        pthread_cond_wait(&n->more, &n->mutex);
    }
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
        while (write(n->fd, entry->message, entry->len) < 0 && errno == EINTR)
            ; /* other errors: the kernel does not know the node (ENOENT), or is gone */
        pthread_mutex_lock(&n->mutex);
        if (entry->notice > n->written)
            n->written = entry->notice;
        pthread_mutex_unlock(&n->mutex);
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
    n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&n->mutex, NULL);
    pthread_cond_init(&n->more, NULL);
    int rc = n->event_fd < 0 ? errno : pthread_create(&n->thread, NULL, notifier_run, n);
    if (rc) {
        if (n->event_fd >= 0)
            close(n->event_fd);
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
    close(n->event_fd);
    pthread_mutex_destroy(&n->mutex);
    pthread_cond_destroy(&n->more);
    free(n);
    return true;
}

void notifier_send(struct notifier *n, const void *message, size_t len, bool whole)
{
    struct entry *entry = len ? malloc(sizeof *entry + len) : NULL;
    if (entry) {
        entry->next = NULL;
        entry->len = len;
        memcpy(entry->message, message, len);
    }
    pthread_mutex_lock(&n->mutex);
    n->taken += whole;
    n->busy = true;
    if (entry && n->queued < MAX_QUEUED) {
        entry->notice = n->taken - !whole;
        *n->end = entry;
        n->end = &entry->next;
        n->queued++;
        entry = NULL;
    } else if (len) {
        n->overflowed = true;
    }
    pthread_cond_signal(&n->more);
    pthread_mutex_unlock(&n->mutex);
    free(entry);
}

int notifier_event_fd(const struct notifier *n)
{
    return n->event_fd;
}

uint64_t notifier_taken(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    uint64_t taken = n->taken;
    pthread_mutex_unlock(&n->mutex);
    return taken;
}

uint64_t notifier_written(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    uint64_t written = n->written;
    pthread_mutex_unlock(&n->mutex);
    return written;
}

bool notifier_overflowed(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    bool overflowed = n->overflowed;
    n->overflowed = false;
    pthread_mutex_unlock(&n->mutex);
    return overflowed;
}
