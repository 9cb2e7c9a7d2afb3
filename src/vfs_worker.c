/* SPDX-License-Identifier: Apache-2.0 */
#include "src/vfs_worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/libexec.h"
#include "src/printable.h"
#include "vmm/child.h"

enum {
    SEND_LIMIT_S = 1,
    SAID = 512,
    END_LIMIT_MS = 5000, /* one that waits for a dead file server does not die */
};

struct vfs_worker {
    const struct vfs_worker_ops *ops;
    void *data;
    int control;
    pid_t pid;
    int pidfd;
    struct watch *control_watch, *pid_watch;
    bool broke_rules;
};

static void stop_listening(struct vfs_worker *w)
{
    watch_del(w->control_watch);
    w->control_watch = NULL;
}

void vfs_worker_kill(struct vfs_worker *w)
{
    stop_listening(w);
    if (w->pid > 0)
        kill(w->pid, SIGKILL);
}

static void broke_rules(struct vfs_worker *w)
{
    w->broke_rules = true;
    vfs_worker_kill(w);
}

static void read_text(const struct worker_message *message, char line[SAID])
{
    printable_copy(line, SAID, message->text, strnlen(message->text, SAID - 1));
}

static void take_log(struct vfs_worker *w, const struct worker_message *message)
{
    char line[SAID];
    read_text(message, line);
    w->ops->log(w->data, line);
}

static void take_hook(struct vfs_worker *w, const struct worker_message *message)
{
    char why[SAID];
    read_text(message, why);
    w->ops->hook(w->data, message->flags, message->error, why);
}

/* What the worker may say, and nothing else: it may be in the guest's hands. */
static void take_message(struct vfs_worker *w, const struct worker_message *message)
{
    switch (message->type) {
    case WORKER_DONE:
        w->ops->done(w->data, message->what, message->id, message->error);
        break;
    case WORKER_CONFINED:
        w->ops->confined(w->data, message->flags, message->landlock_abi);
        break;
    case WORKER_LOG:
        take_log(w, message);
        break;
    case WORKER_HOOK:
        take_hook(w, message);
        break;
    default:
        broke_rules(w);
    }
}

static void control_ready(void *data, uint32_t events)
{
    struct vfs_worker *w = data;
    struct worker_message message;
    (void)events;
    ssize_t n = recv(w->control, &message, sizeof message, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* its end tells the rest */
        stop_listening(w);
    } else if (n != (ssize_t)sizeof message) {
        broke_rules(w);
    } else {
        take_message(w, &message);
    }
}

static void explain_end(const struct vfs_worker *w, int status, char *why, size_t size)
{
    if (w->broke_rules)
        snprintf(why, size, "gondolin-vfs sent what is not in its protocol");
    else if (WIFSIGNALED(status))
        snprintf(why, size, "gondolin-vfs was killed by signal %d", WTERMSIG(status));
    else
        snprintf(why, size, "gondolin-vfs ended with status %d", WEXITSTATUS(status));
}

/* Its last words are still in the socket. */
static void process_ended(void *data, uint32_t events)
{
    struct vfs_worker *w = data;
    struct worker_message message;
    char why[128];
    int status = 0;
    (void)events;
    while (recv(w->control, &message, sizeof message, MSG_DONTWAIT) == (ssize_t)sizeof message)
        if (message.type == WORKER_LOG)
            take_log(w, &message);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
    watch_del(w->pid_watch);
    w->pid_watch = NULL;
    stop_listening(w);
    explain_end(w, status, why, sizeof why);
    w->ops->ended(w->data, why);
}

static int spawn(struct vfs_worker *w, const struct vfs_worker_fds *given, struct err *err)
{
    int ends[2];
    cleanup_free char *program = libexec_path("gondolin-vfs");
    if (!program)
        return err_errno(err, errno, "gondolin-vfs cannot be started; is gondolin installed whole?");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_errno(err, errno, "start gondolin-vfs");
    w->control = ends[0];
    cleanup_close int theirs = ends[1];
    char *argv[] = {program, NULL};
    const int fds[] = {given->stream, theirs, given->counters, given->window};
    const struct child_spec spec = {.argv = argv, .fds = fds, .fd_count = sizeof fds / sizeof *fds, .stdout_fd = -1,
                                    .stderr_fd = -1};
    const struct timeval limit = {.tv_sec = SEND_LIMIT_S};
    setsockopt(w->control, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return child_start(&spec, &w->pid, &w->pidfd, err);
}

struct vfs_worker *vfs_worker_start(struct loop *loop, const struct vfs_worker_fds *fds, const struct vfs_worker_ops *ops,
                                    void *data, struct err *err)
{
    struct vfs_worker *w = calloc(1, sizeof *w);
    if (!w) {
        err_errno(err, ENOMEM, "start gondolin-vfs");
        return NULL;
    }
    *w = (struct vfs_worker){.ops = ops, .data = data, .control = -1, .pidfd = -1};
    int rc = spawn(w, fds, err);
    if (rc == 0) {
        w->control_watch = loop_watch(loop, w->control, EPOLLIN, control_ready, w);
        w->pid_watch = loop_watch(loop, w->pidfd, EPOLLIN, process_ended, w);
        if (!w->control_watch || !w->pid_watch)
            rc = err_errno(err, errno, "start gondolin-vfs");
    }
    if (rc == 0)
        return w;
    vfs_worker_free(w);
    return NULL;
}

bool vfs_worker_send(struct vfs_worker *w, const struct worker_message *message, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {(void *)(uintptr_t)message, sizeof *message};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    if (sendmsg(w->control, &header, MSG_NOSIGNAL) == (ssize_t)sizeof *message)
        return true;
    vfs_worker_kill(w); /* it does not listen */
    return false;
}

pid_t vfs_worker_pid(const struct vfs_worker *w)
{
    return w->pid;
}

/* It has what it serves open, and whoever waits for the sandbox's end wants to unmount that. */
static void await_end(const struct vfs_worker *w)
{
    struct pollfd end = {.fd = w->pidfd, .events = POLLIN};
    while (w->pid > 0 && poll(&end, 1, END_LIMIT_MS) < 0 && errno == EINTR)
        ;
    if (w->pid > 0)
        waitpid(w->pid, NULL, WNOHANG);
}

void vfs_worker_free(struct vfs_worker *w)
{
    if (!w)
        return;
    vfs_worker_kill(w);
    await_end(w);
    watch_del(w->pid_watch);
    if (w->pidfd >= 0)
        close(w->pidfd);
    if (w->control >= 0)
        close(w->control);
    free(w);
}
