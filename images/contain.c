/* SPDX-License-Identifier: Apache-2.0 */
#include "images/contain.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/contain_mounts.h"
#include "images/contain_users.h"
#include "src/cleanup.h"

enum message_kind { PROGRESS, ANSWER, RESULT };

struct message {
    enum message_kind kind;
    int code;
    double fraction;
    char text[sizeof((struct err *)0)->text];
};

struct ends {
    int ours, theirs; /* of the message channel (SEQPACKET) */
    int go_read, go_write; /* says that the ids are mapped: a byte with enum contain_users in it */
};

void contained_progress(const struct contained *contained, const char *phase, double fraction)
{
    struct message message = {.kind = PROGRESS, .fraction = fraction};
    snprintf(message.text, sizeof message.text, "%s", phase);
    (void)!send(contained->channel, &message, sizeof message, MSG_NOSIGNAL);
}

void contained_answer(const struct contained *contained, const char *text)
{
    struct message message = {.kind = ANSWER};
    snprintf(message.text, sizeof message.text, "%s", text);
    (void)!send(contained->channel, &message, sizeof message, MSG_NOSIGNAL);
}

/* fork(), into new namespaces. */
static pid_t fork_into(int namespaces)
{
    return (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Dies with the parent; the parent may be gone already, then its end of the channel is closed. */
static void die_with_parent(int channel)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (recv(channel, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
        _exit(EXIT_GONDOLIN);
}

static void worker_main(const struct contain *contain, struct contained *contained)
{
    struct err err = {0};
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, 0);

    int code = contain->work(contain->data, contained, &err);
    struct message message = {.kind = RESULT, .code = code};
    snprintf(message.text, sizeof message.text, "%s", err.text);
    (void)!send(contained->channel, &message, sizeof message, MSG_NOSIGNAL);
    _exit(code < 0 ? EXIT_GONDOLIN : 0);
}

/* Process 1 of the namespace: starts the worker and reaps until it ends; what is left then is killed by the kernel. */
static void init_main(const struct contain *contain, int namespaces, const struct ends *ends)
{
    uint8_t users = 0;
    sigset_t none;

    close(ends->ours);
    close(ends->go_write);
    setpgid(0, 0); /* the terminal's Ctrl-C is for the caller, which then ends everything in order */
    if (read(ends->go_read, &users, 1) != 1)
        _exit(EXIT_GONDOLIN);
    if (namespaces)
        contain_mounts(contain->keep, (namespaces & CLONE_NEWUSER) != 0);
    die_with_parent(ends->theirs);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    struct contained contained = {.channel = ends->theirs, .namespaces = namespaces != 0,
                                  .many_ids = users == CONTAIN_MANY_USERS};
    pid_t init = getpid(), worker = fork();
    if (worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != init)
            _exit(EXIT_GONDOLIN);
        worker_main(contain, &contained);
    }
    close(ends->theirs);
    for (pid_t ended = 0; worker > 0 && ended != worker;)
        if ((ended = wait(NULL)) < 0 && errno != EINTR)
            break;
    _exit(0);
}

/* Makes the child, in the best namespaces to be had. */
static pid_t start(const struct contain *contain, struct ends *ends)
{
    int wanted = CLONE_NEWNS | CLONE_NEWPID | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
    pid_t pid = fork_into(wanted);
    if (pid < 0) {
        wanted = 0;
        pid = fork_into(0);
    }
    if (pid == 0)
        init_main(contain, wanted, ends);
    if (pid > 0) {
        uint8_t users = (uint8_t)contain_users(pid, (wanted & CLONE_NEWUSER) != 0);
        close(ends->theirs);
        close(ends->go_read);
        (void)!write(ends->go_write, &users, 1);
        close(ends->go_write);
    }
    return pid;
}

static int open_ends(struct ends *ends)
{
    int channel[2], go[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        return -errno;
    if (pipe2(go, O_CLOEXEC) < 0) {
        int code = errno;
        close(channel[0]);
        close(channel[1]);
        return -code;
    }
    *ends = (struct ends){channel[0], channel[1], go[0], go[1]};
    return 0;
}

/* Handles messages until the result, the end of the channel (ECHILD) or a signal (EINTR). */
static int follow(const struct contain *contain, int channel, int signals, struct err *err)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = channel, .events = POLLIN}};
        struct message message;
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents) {
            struct signalfd_siginfo taken; /* or it would end us as soon as it is unblocked */
            (void)!read(signals, &taken, sizeof taken);
            return -EINTR;
        }
        ssize_t n = recv(channel, &message, sizeof message, 0);
        if (n != sizeof message)
            return -ECHILD;
        message.text[sizeof message.text - 1] = '\0';
        if (message.kind == RESULT)
            return message.code < 0 ? err_set(err, -message.code, "%s", message.text) : 0;
        if (message.kind == ANSWER && contain->answer)
            snprintf(contain->answer, contain->answer_size, "%s", message.text);
        if (message.kind == PROGRESS && contain->progress)
            contain->progress(contain->progress_data, message.text, message.fraction);
    }
}

static int supervise(const struct contain *contain, pid_t pid, int channel, int signals, struct err *err)
{
    int status = 0;
    int code = follow(contain, channel, signals, err);

    if (code == -EINTR)
        kill(pid, SIGKILL);
    close(channel);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (code == -EINTR)
        return err_set(err, EINTR, "interrupted");
    if (code == -ECHILD && !err->code)
        return err_set(err, ECHILD, "the process that did the work ended unexpectedly (out of memory?)");
    return code;
}

int contain_run(const struct contain *contain, struct err *err)
{
    sigset_t watched, before;
    struct ends ends = {-1, -1, -1, -1};
    struct err own = {0};

    int code = open_ends(&ends);
    if (code < 0)
        return err_errno(err, -code, "start worker process");
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &watched, &before);
    cleanup_close int signals = signalfd(-1, &watched, SFD_CLOEXEC);
    pid_t pid = start(contain, &ends);
    if (pid < 0)
        code = err_errno(err, errno, "start worker process");
    else
        code = supervise(contain, pid, ends.ours, signals, &own);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid > 0 && code < 0 ? err_set(err, -code, "%s", own.text) : code;
}
