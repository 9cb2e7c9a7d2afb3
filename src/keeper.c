/* SPDX-License-Identifier: Apache-2.0 */
#include "src/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/libexec.h"

/* One that cannot live is not started over and over without a pause. */
enum { RESTART_PAUSE_MS = 1000 };

struct keeper {
    struct loop *loop;
    void (*restarted)(void *data);
    void *data;
    char *program;
    char *arguments[7];
    pid_t pid;
    int pid_fd, pipe_fd;
    struct watch *watch;
    struct timer *restart;
    uint64_t started_ms;
};

static int spawn(struct keeper *k);

static void restart(void *data)
{
    struct keeper *k = data;
    k->restart = NULL;
    if (spawn(k) < 0)
        k->restart = loop_timer(k->loop, RESTART_PAUSE_MS, restart, k);
    else
        k->restarted(k->data);
}

static void reap(struct keeper *k)
{
    while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (k->pid_fd >= 0)
        close(k->pid_fd);
    close(k->pipe_fd);
    k->pid_fd = k->pipe_fd = -1;
    k->pid = 0;
}

static void keeper_ended(void *data, uint32_t events)
{
    struct keeper *k = data;
    (void)events;
    watch_del(k->watch);
    k->watch = NULL;
    reap(k);
    if (loop_now_ms() - k->started_ms < RESTART_PAUSE_MS)
        k->restart = loop_timer(k->loop, RESTART_PAUSE_MS, restart, k);
    else
        restart(k);
}

/* In the child: nothing but the pipe is kept, and terminal signals meant for the supervisor do not reach it. */
static void become_keeper(struct keeper *k, int pipe_read)
{
    setsid();
    if (dup2(pipe_read, 3) < 0)
        _exit(126);
    close_range(4, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(k->program, k->arguments);
    _exit(127);
}

static int spawn(struct keeper *k)
{
    int ends[2];
    k->started_ms = loop_now_ms();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0) {
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        return -saved;
    }
    if (pid == 0)
        become_keeper(k, ends[0]);
    close(ends[0]);
    k->pid = pid;
    k->pipe_fd = ends[1];
    k->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    k->watch = k->pid_fd >= 0 ? loop_watch(k->loop, k->pid_fd, EPOLLIN, keeper_ended, k) : NULL;
    if (k->watch)
        return 0;
    int code = errno;
    kill(pid, SIGKILL);
    reap(k);
    return -code;
}

static void keeper_free(struct keeper *k)
{
    for (size_t i = 1; i < sizeof k->arguments / sizeof *k->arguments; i++)
        free(k->arguments[i]);
    free(k->program);
    free(k);
}

struct keeper *keeper_start(struct loop *loop, const struct keeper_duties *duties, struct err *err)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (k) {
        k->loop = loop;
        k->restarted = duties->restarted;
        k->data = duties->data;
        k->pid_fd = k->pipe_fd = -1;
        k->program = libexec_path("gondolin-keeper");
        k->arguments[0] = "gondolin-keeper";
        k->arguments[1] = strdup(duties->mountpoint);
        k->arguments[2] = strdup(duties->remove_mountpoint ? "remove" : "leave");
        k->arguments[3] = strdup(duties->session_dir);
        k->arguments[4] = strdup(duties->work_dir);
    }
    if (!k || !k->program || !k->arguments[4]) {
        err_errno(err, errno, "mount: gondolin-keeper: cannot be started; is gondolin installed whole?");
    } else {
        int rc = spawn(k);
        if (rc == 0)
            return k;
        err_errno(err, -rc, "mount: gondolin-keeper: cannot be started");
    }
    if (k)
        keeper_free(k);
    return NULL;
}

pid_t keeper_pid(const struct keeper *k)
{
    return k->pid;
}

void keeper_dismiss(struct keeper *k)
{
    if (!k)
        return;
    watch_del(k->watch);
    timer_cancel(k->restart);
    if (k->pid > 0) {
        if (write(k->pipe_fd, "done", 4) < 0) {
            /* it is gone already */
        }
        reap(k);
    }
    keeper_free(k);
}
