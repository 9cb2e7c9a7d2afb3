/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "src/loop.h"

struct fixture {
    struct loop *loop;
    int pipe[2];
    int calls;
    struct watch *watch;
    struct timer *timer;
};

static void quit_on_timer(void *data)
{
    struct fixture *f = data;
    f->timer = NULL;
    loop_quit(f->loop, 42);
}

static void read_and_count(void *data, uint32_t events)
{
    struct fixture *f = data;
    char byte;
    cr_assert(events & EPOLLIN);
    cr_assert_eq(read(f->pipe[0], &byte, 1), 1);
    f->calls++;
}

Test(loop, timers_fire_in_order_of_due_time)
{
    struct fixture f = {.loop = loop_new()};
    uint64_t before = loop_now_ms();
    loop_timer(f.loop, 30, quit_on_timer, &f);
    f.timer = loop_timer(f.loop, 10, quit_on_timer, &f);
    cr_assert_eq(loop_run(f.loop), 42);
    cr_assert_geq(loop_now_ms() - before, 10);
    cr_assert_null(f.timer, "the 10 ms timer must fire before the 30 ms one");
    loop_free(f.loop);
}

Test(loop, readable_fd_is_reported_once_for_each_byte)
{
    struct fixture f = {.loop = loop_new()};
    cr_assert_eq(pipe(f.pipe), 0);
    f.watch = loop_watch(f.loop, f.pipe[0], EPOLLIN, read_and_count, &f);
    cr_assert_eq(write(f.pipe[1], "xyz", 3), 3);
    loop_timer(f.loop, 20, quit_on_timer, &f);
    loop_run(f.loop);
    cr_assert_eq(f.calls, 3);
    watch_del(f.watch);
    loop_free(f.loop);
}

static void delete_self(void *data, uint32_t events)
{
    struct fixture *f = data;
    (void)events;
    f->calls++;
    watch_del(f->watch);
}

Test(loop, a_watch_may_delete_itself)
{
    struct fixture f = {.loop = loop_new()};
    cr_assert_eq(pipe(f.pipe), 0);
    f.watch = loop_watch(f.loop, f.pipe[0], EPOLLIN, delete_self, &f);
    cr_assert_eq(write(f.pipe[1], "x", 1), 1);
    loop_timer(f.loop, 20, quit_on_timer, &f);
    loop_run(f.loop);
    cr_assert_eq(f.calls, 1);
    loop_free(f.loop);
}

Test(loop, a_cancelled_timer_never_fires)
{
    struct fixture f = {.loop = loop_new()};
    struct timer *never = loop_timer(f.loop, 5, quit_on_timer, NULL);
    loop_timer(f.loop, 15, quit_on_timer, &f);
    timer_cancel(never);
    cr_assert_eq(loop_run(f.loop), 42);
    loop_free(f.loop);
}
