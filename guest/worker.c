/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "src/cleanup.h"
#include "src/thread.h"

struct piece {
    struct piece *next;
    worker_fn *run, *done;
    void *argument;
};

struct queue {
    struct piece *first, **last;
};

enum { MAX_THREADS = 64, STACK_SIZE = 256 * 1024 };

struct worker {
    pthread_t threads[MAX_THREADS];
    unsigned thread_count, max_threads;
    pthread_mutex_t lock;
    pthread_cond_t work, settled;
    /* protected by lock */
    struct queue todo, finished;
    unsigned waiting, idle; /* pieces in todo; threads without one */
    bool stop;
    int event_fd;                /* tells the loop that `finished` is not empty */
    struct watch *watch;
};

static void append(struct queue *queue, struct piece *piece)
{
    piece->next = NULL;
    *queue->last = piece;
    queue->last = &piece->next;
}

static struct piece *take_all(struct queue *queue)
{
    struct piece *first = queue->first;
    *queue = (struct queue){.last = &queue->first};
    return first;
}

static void finish(struct piece *piece)
{
    struct piece *next;
    for (; piece; piece = next) {
        next = piece->next;
        piece->done(piece->argument);
        free(piece);
    }
}

static void *work(void *data)
{
    struct worker *w = data;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct piece *piece = w->todo.first;
        if (!piece) {
            pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        w->todo.first = piece->next;
        if (!w->todo.first)
            w->todo.last = &w->todo.first;
        w->waiting--;
        w->idle--;
        pthread_mutex_unlock(&w->lock);
        piece->run(piece->argument);
        pthread_mutex_lock(&w->lock);
        w->idle++;
        append(&w->finished, piece);
        eventfd_write(w->event_fd, 1);
        pthread_cond_signal(&w->settled);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void some_finished(void *data, uint32_t events)
{
    struct worker *w = data;
    eventfd_t count;
    (void)events;
    eventfd_read(w->event_fd, &count);
    pthread_mutex_lock(&w->lock);
    struct piece *pieces = take_all(&w->finished);
    pthread_mutex_unlock(&w->lock);
    finish(pieces);
}

/* Called with the lock held, or before there are threads. */
static int add_thread(struct worker *w)
{
    int rc = thread_start(&w->threads[w->thread_count], STACK_SIZE, work, w);
    if (rc == 0) {
        w->thread_count++;
        w->idle++;
    }
    return rc;
}

struct worker *worker_new(struct loop *loop, unsigned max_threads)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->max_threads = max_threads < MAX_THREADS ? max_threads : MAX_THREADS;
    w->todo.last = &w->todo.first;
    w->finished.last = &w->finished.first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->settled, NULL);
    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->watch = w->event_fd >= 0 ? loop_watch(loop, w->event_fd, EPOLLIN, some_finished, w) : NULL;
    int rc = w->watch ? add_thread(w) : errno;
    if (rc == 0)
        return w;
    watch_del(w->watch);
    if (w->event_fd >= 0)
        close(w->event_fd);
    free(w);
    errno = rc;
    return NULL;
}

int worker_submit(struct worker *w, worker_fn *run, worker_fn *done, void *argument)
{
    struct piece *piece = malloc(sizeof *piece);
    if (!piece)
        return -ENOMEM;
    *piece = (struct piece){.run = run, .done = done, .argument = argument};
    pthread_mutex_lock(&w->lock);
    append(&w->todo, piece);
    w->waiting++;
    if (w->waiting > w->idle && w->thread_count < w->max_threads && !w->stop)
        add_thread(w); /* without it the piece waits for one of the others */
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

void worker_settle(struct worker *w)
{
    bool some = true;
    while (some) {
        pthread_mutex_lock(&w->lock);
        while (w->waiting > 0 || w->idle < w->thread_count)
            pthread_cond_wait(&w->settled, &w->lock);
        struct piece *pieces = take_all(&w->finished);
        pthread_mutex_unlock(&w->lock);
        some = pieces != NULL;
        finish(pieces);
    }
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->thread_count; i++)
        pthread_join(w->threads[i], NULL);
    while (w->finished.first || w->todo.first) { /* `done` may submit more */
        finish(take_all(&w->finished));
        finish(take_all(&w->todo));
    }
    watch_del(w->watch);
    close(w->event_fd);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->settled);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
