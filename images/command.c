/* SPDX-License-Identifier: Apache-2.0 */
#include "images/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"

enum { MAX_OUTPUT = 16 << 20, MAX_LINE = 512, TAIL = 384 };

struct running {
    struct command command;
    pid_t pid;
    int pidfd, output, errors;
    char line[MAX_LINE]; /* of standard error, not yet ended */
    size_t line_length;
    char tail[TAIL]; /* the last lines of it, joined by "; " */
};

static void child_exec(const struct command *command, int output, int errors, int failure, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0 ||
        (command->directory && chdir(command->directory) < 0)) {
        (void)!write(failure, &errno, sizeof errno);
        _exit(127);
    }
    if (null > 2)
        close(null);
    execvp(command->argv[0], (char *const *)command->argv);
    (void)!write(failure, &errno, sizeof errno);
    _exit(127);
}

static int start_failed(const struct command *command, int code, struct err *err)
{
    if (code == ENOENT)
        return err_set(err, ENOENT, "%s is not installed; install it with: apt-get install %s", command->argv[0],
                       command->package ? command->package : command->argv[0]);
    return err_errno(err, code, "run %s", command->argv[0]);
}

static void close_pair(const int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

/* Forks and waits until the child has executed the program, or could not. */
static int spawn(struct running *running, const int output[2], const int errors[2], const int failure[2])
{
    pid_t parent = getpid();
    int code = 0;

    running->pid = fork();
    if (running->pid == 0)
        child_exec(&running->command, output[1], errors[1], failure[1], parent);
    if (running->pid < 0) {
        code = errno;
        close_pair(failure);
        return -code;
    }
    close(failure[1]);
    ssize_t n = read(failure[0], &code, sizeof code);
    close(failure[0]);
    if (n > 0) {
        waitpid(running->pid, NULL, 0);
        return -code;
    }
    running->pidfd = pidfd_open(running->pid, 0);
    return running->pidfd < 0 ? -errno : 0;
}

int command_start(const struct command *command, struct running **out, struct err *err)
{
    int output[2] = {-1, -1}, errors[2] = {-1, -1}, failure[2] = {-1, -1};
    struct running *running = calloc(1, sizeof *running);
    int code = running ? 0 : -ENOMEM;

    if (code == 0 && (pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0 || pipe2(failure, O_CLOEXEC) < 0))
        code = -errno;
    if (code == 0) {
        *running = (struct running){.command = *command, .pidfd = -1, .output = output[0], .errors = errors[0]};
        code = spawn(running, output, errors, failure);
    } else {
        close_pair(failure);
    }
    if (code < 0) {
        close_pair(output);
        close_pair(errors);
        free(running);
        return start_failed(command, -code, err);
    }
    close(output[1]);
    close(errors[1]);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    *out = running;
    return 0;
}

static void end_line(struct running *running)
{
    running->line[running->line_length] = '\0';
    running->line_length = 0;
    if (running->line[0] == '\0')
        return;
    if (running->command.line)
        running->command.line(running->command.data, running->line);

    /* Keeps the newest text: the oldest is pushed out at the front. */
    size_t have = strlen(running->tail), more = strlen(running->line) + 2;
    if (more >= TAIL) {
        snprintf(running->tail, TAIL, "%s", running->line);
        return;
    }
    if (have + more >= TAIL) {
        size_t drop = have + more - TAIL + 1;
        memmove(running->tail, running->tail + drop, have - drop + 1);
        have -= drop;
    }
    snprintf(running->tail + have, TAIL - have, "%s%s", have ? "; " : "", running->line);
}

/* Takes what standard error has to say now. At its end the descriptor is closed. */
static void read_errors(struct running *running)
{
    char buffer[1024];
    ssize_t n;

    while (running->errors >= 0 && (n = read(running->errors, buffer, sizeof buffer)) != 0) {
        if (n < 0)
            return;
        for (ssize_t i = 0; i < n; i++) {
            bool ends = buffer[i] == '\n' || buffer[i] == '\r';
            if (!ends)
                running->line[running->line_length++] = buffer[i];
            if (ends || running->line_length == MAX_LINE - 1)
                end_line(running);
        }
    }
    close(running->errors);
    running->errors = -1;
}

/* Sleeps until there is output, or an end of it, or the process is gone. */
static void wait_for_news(struct running *running)
{
    struct pollfd fds[] = {{.fd = running->output, .events = POLLIN},
                           {.fd = running->errors, .events = POLLIN},
                           {.fd = running->pidfd, .events = POLLIN}};
    poll(fds, 3, -1);
}

static bool has_exited(const struct running *running)
{
    struct pollfd fd = {.fd = running->pidfd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

ssize_t command_read(struct running *running, void *buffer, size_t size)
{
    for (;;) {
        bool exited = has_exited(running);
        read_errors(running);
        ssize_t n = read(running->output, buffer, size);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        /* A daemon it left behind may hold the pipe for ever. */
        if (exited)
            return 0;
        wait_for_news(running);
    }
}

static void free_running(struct running *running)
{
    close(running->output);
    if (running->errors >= 0)
        close(running->errors);
    close(running->pidfd);
    free(running);
}

int command_finish(struct running *running, struct err *err)
{
    int status = 0, code = 0;
    char rest[4096];

    while (command_read(running, rest, sizeof rest) > 0)
        ;
    while (!has_exited(running)) {
        struct pollfd fds[] = {{.fd = running->errors, .events = POLLIN}, {.fd = running->pidfd, .events = POLLIN}};
        poll(fds, 2, -1);
        read_errors(running);
    }
    read_errors(running);
    end_line(running);
    waitpid(running->pid, &status, 0);
    const char *name = running->command.argv[0];
    if (WIFSIGNALED(status))
        code = err_set(err, EIO, "%s was killed by signal %d", name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        code = err_set(err, EIO, "%s failed (exit code %d): %s", name, WEXITSTATUS(status),
                       running->tail[0] ? running->tail : "it gave no reason");
    free_running(running);
    return code;
}

void command_kill(struct running *running)
{
    if (!running)
        return;
    kill(running->pid, SIGKILL);
    waitpid(running->pid, NULL, 0);
    free_running(running);
}

/* Reads all of the output into a growing buffer. */
static int collect(struct running *running, char **output)
{
    cleanup_free char *text = NULL;
    size_t length = 0, room = 0;

    for (;;) {
        if (room - length < 4096) {
            room = room ? room * 2 : 16384;
            char *more = room <= MAX_OUTPUT ? realloc(text, room) : NULL;
            if (!more)
                return room > MAX_OUTPUT ? -EFBIG : -ENOMEM;
            text = more;
        }
        ssize_t n = command_read(running, text + length, room - length - 1);
        if (n < 0)
            return (int)n;
        length += (size_t)n;
        if (n == 0)
            break;
    }
    text[length] = '\0';
    *output = steal_pointer(&text);
    return 0;
}

int command_run(const struct command *command, char **output, struct err *err)
{
    cleanup_free char *text = NULL;
    struct running *running;
    int code = command_start(command, &running, err);
    if (code < 0)
        return code;

    code = collect(running, &text);
    if (code < 0) {
        command_kill(running);
        return err_errno(err, -code, "read from %s", command->argv[0]);
    }
    code = command_finish(running, err);
    if (code == 0 && output)
        *output = steal_pointer(&text);
    return code;
}
