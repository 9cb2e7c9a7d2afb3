/* SPDX-License-Identifier: Apache-2.0 */
#include "src/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Deleted watches stay allocated until the end of the turn: events already fetched may still point at them. */
struct watch {
    struct loop *loop;
    struct watch *next;
    int fd;
    bool dead;
    loop_fd_fn *fn;
    void *data;
};

struct timer {
    struct loop *loop;
    struct timer *next; /* sorted by due time */
    uint64_t due_ms;
    loop_timer_fn *fn;
    void *data;
};

struct loop {
    int epoll_fd;
    bool quit;
    int quit_code;
    struct watch *watches;
    struct timer *timers;
    bool some_dead;
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

static void free_dead_watches(struct loop *loop)
{
    for (struct watch **at = &loop->watches; *at;) {
        struct watch *watch = *at;
        if (watch->dead) {
            *at = watch->next;
            free(watch);
        } else {
            at = &watch->next;
        }
    }
    loop->some_dead = false;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->timers)
        timer_cancel(loop->timers);
    for (struct watch *w = loop->watches; w; w = w->next)
        w->dead = true;
    free_dead_watches(loop);
    close(loop->epoll_fd);
    free(loop);
}

struct watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    *watch = (struct watch){.loop = loop, .fd = fd, .fn = fn, .data = data};
    struct epoll_event ev = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(watch);
        return NULL;
    }
    watch->next = loop->watches;
    loop->watches = watch;
    return watch;
}

void watch_events(struct watch *watch, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = watch};
    epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev);
}

void watch_del(struct watch *watch)
{
    if (!watch || watch->dead)
        return;
    epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->dead = true;
    watch->loop->some_dead = true;
}

uint64_t loop_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct timer *loop_timer(struct loop *loop, uint64_t ms, loop_timer_fn *fn, void *data)
{
    struct timer *timer = malloc(sizeof *timer);
    if (!timer)
        return NULL;
    *timer = (struct timer){.loop = loop, .due_ms = loop_now_ms() + ms, .fn = fn, .data = data};
    struct timer **at = &loop->timers;
    while (*at && (*at)->due_ms <= timer->due_ms)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    return timer;
}

void timer_cancel(struct timer *timer)
{
    if (!timer)
        return;
    for (struct timer **at = &timer->loop->timers; *at; at = &(*at)->next) {
        if (*at == timer) {
            *at = timer->next;
            free(timer);
            return;
        }
    }
}

static void run_due_timers(struct loop *loop)
{
    uint64_t now = loop_now_ms();
    while (!loop->quit && loop->timers && loop->timers->due_ms <= now) {
        struct timer *timer = loop->timers;
        loop->timers = timer->next;
        loop_timer_fn *fn = timer->fn;
        void *data = timer->data;
        free(timer);
        fn(data);
    }
}

static int next_timeout(const struct loop *loop)
{
    if (!loop->timers)
        return -1;
    uint64_t now = loop_now_ms();
    if (loop->timers->due_ms <= now)
        return 0;
    uint64_t wait = loop->timers->due_ms - now;
    return wait > 3600000 ? 3600000 : (int)wait;
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[64];
    while (!loop->quit) {
        int n = epoll_wait(loop->epoll_fd, events, 64, next_timeout(loop));
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n && !loop->quit; i++) {
            struct watch *watch = events[i].data.ptr;
            if (!watch->dead)
                watch->fn(watch->data, events[i].events);
        }
        run_due_timers(loop);
        if (loop->some_dead)
            free_dead_watches(loop);
    }
    loop->quit = false;
    return loop->quit_code;
}

void loop_quit(struct loop *loop, int code)
{
    loop->quit = true;
    loop->quit_code = code;
}
