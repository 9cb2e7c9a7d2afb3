/* SPDX-License-Identifier: Apache-2.0 */
/* A single-threaded epoll loop: file descriptors and one-shot timers. Used by the supervisor and by the guest agent.
 * Callbacks may delete any watch or timer, their own included. Nothing here may be called from another thread. */
#ifndef GONDOLIN_SRC_LOOP_H
#define GONDOLIN_SRC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct watch;
struct timer;

typedef void loop_fd_fn(void *data, uint32_t events);
typedef void loop_timer_fn(void *data);

/* Returns NULL with errno set (ENOMEM, EMFILE). */
struct loop *loop_new(void);

/* Deletes all watches and timers left; does not close their fds. */
void loop_free(struct loop *loop);

/* Watches fd (not owned) for EPOLL* events, level-triggered unless EPOLLET is given. NULL with errno on failure. */
struct watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data);

/* Changes the event set; 0 keeps the watch but only EPOLLERR and EPOLLHUP are reported. */
void watch_events(struct watch *watch, uint32_t events);

/* Call before closing the fd. NULL is ignored. */
void watch_del(struct watch *watch);

/* Calls fn once, `ms` milliseconds from now (0: in the next turn). The timer is freed before fn runs. NULL on ENOMEM. */
struct timer *loop_timer(struct loop *loop, uint64_t ms, loop_timer_fn *fn, void *data);

/* Cancels a timer that has not fired. NULL is ignored. */
void timer_cancel(struct timer *timer);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t loop_now_ms(void);

/* Runs until loop_quit. Returns the code given to loop_quit, or -errno. */
int loop_run(struct loop *loop);

/* Makes loop_run return after the current callback. */
void loop_quit(struct loop *loop, int code);

#endif
