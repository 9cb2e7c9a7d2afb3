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
    uint64_t notice; /* the last notice that has ended when this is written */
    size_t len;
    uint8_t message[];
};

struct notifier {
    int fd, event_fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more;
    struct entry *first, *last; /* protected by mutex, as all below */
    size_t queued;
    uint64_t taken, written, awaited; /* notices */
    bool idle, overflowed, stop;
};

static void set_written(struct notifier *n, uint64_t notice)
{
    bool reached = n->written < n->awaited && notice >= n->awaited;
    n->written = notice;
    if (reached)
        eventfd_write(n->event_fd, 1);
}

static struct entry *take_first(struct notifier *n)
{
    struct entry *entry = n->stop ? NULL : n->first;
    if (entry) {
        n->first = entry->next;
        n->queued--;
    }
    return entry;
}

static struct entry *next_entry(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    while (!n->first && !n->stop) {
        if (!n->idle)
            eventfd_write(n->event_fd, 1);
        n->idle = true;
        set_written(n, n->taken);
        pthread_cond_wait(&n->more, &n->mutex);
    }
    n->idle = false;
    struct entry *entry = take_first(n);
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
        set_written(n, entry->notice);
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
    n->idle = true;
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

void notifier_send(struct notifier *n, const void *message, size_t len, bool must)
{
    struct entry *entry = malloc(sizeof *entry + len);
    if (entry) {
        entry->next = NULL;
        entry->len = len;
        memcpy(entry->message, message, len);
    }
    pthread_mutex_lock(&n->mutex);
    if (entry && (must || n->queued < MAX_QUEUED)) {
        entry->notice = n->taken;
        if (n->first)
            n->last->next = entry;
        else
            n->first = entry;
        n->last = entry;
        n->queued++;
        entry = NULL;
        pthread_cond_signal(&n->more);
    } else {
        n->overflowed = true;
    }
    pthread_mutex_unlock(&n->mutex);
    free(entry);
}

void notifier_end(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    n->taken++;
    if (n->first)
        n->last->notice = n->taken;
    else if (n->idle)
        set_written(n, n->taken);
    pthread_mutex_unlock(&n->mutex);
}

int notifier_event_fd(const struct notifier *n)
{
    return n->event_fd;
}

void notifier_await(struct notifier *n, uint64_t awaited)
{
    pthread_mutex_lock(&n->mutex);
    n->awaited = awaited;
    pthread_mutex_unlock(&n->mutex);
}

uint64_t notifier_written(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    uint64_t written = n->written;
    pthread_mutex_unlock(&n->mutex);
    return written;
}

bool notifier_idle(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    bool idle = n->idle && !n->first;
    pthread_mutex_unlock(&n->mutex);
    return idle;
}

bool notifier_overflowed(struct notifier *n)
{
    pthread_mutex_lock(&n->mutex);
    bool overflowed = n->overflowed;
    n->overflowed = false;
    pthread_mutex_unlock(&n->mutex);
    return overflowed;
}
