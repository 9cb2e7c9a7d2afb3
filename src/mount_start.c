/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/options.h"
#include "src/printable.h"

int mount_failed(const char *verb, const struct err *err, const char *mountpoint)
{
    static const char mount[] = "mount: ";
    struct err own = *err;
    char *text = own.text;
    size_t len = strlen(mountpoint);
    if (strcmp(verb, "mount") == 0)
        return verb_failed(verb, err);
    if (strncmp(text, mount, sizeof mount - 1) == 0)
        text += sizeof mount - 1;
    if (len && strncmp(text, mountpoint, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        text += len + 2;
    memmove(own.text, text, strlen(text) + 1);
    return verb_failed(verb, &own);
}

/* What the waiting parent is told: 'R' and the id, or 'E' and a sentence. */
struct announcer {
    int fd;
    bool foreground;
    const char *mountpoint;
};

static void announce(const struct announcer *a, char kind, const char *text)
{
    if (a->fd < 0)
        return;
    dprintf(a->fd, "%c%s", kind, text);
}

static void print_ready(const char *mountpoint, const char *id)
{
    cleanup_free char *shown = printable_spelled(mountpoint);
    printf("%s %s\n", shown ? shown : "?", id);
}

static void ready(void *data, const char *id)
{
    struct announcer *a = data;
    if (a->foreground) {
        print_ready(a->mountpoint, id);
        fflush(stdout);
        return;
    }
    announce(a, 'R', id);
    close(a->fd);
    a->fd = -1;
}

/* The daemon keeps nothing of the terminal it came from. */
static void let_go_of_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (chdir("/") < 0) {
        /* then the working directory stays busy, nothing worse */
    }
}

int mount_in_foreground(const char *verb, const struct supervisor_start *start)
{
    struct announcer a = {.fd = -1, .foreground = true, .mountpoint = start->mountpoint};
    struct err err = {0};
    return supervisor_run(start, ready, &a, &err) < 0 ? mount_failed(verb, &err, start->mountpoint) : 0;
}

static void run_daemon(const struct supervisor_start *start, int fd)
{
    struct announcer a = {.fd = fd, .mountpoint = start->mountpoint};
    struct err err = {0};
    setsid();
    let_go_of_terminal();
    int rc = supervisor_run(start, ready, &a, &err);
    if (rc < 0 && start->made_mountpoint)
        rmdir(start->mountpoint); /* the parent may have gone */
    if (rc < 0 || a.fd >= 0)
        announce(&a, 'E', rc < 0 ? err.text : "mount: ended before it was ready");
    exit(rc < 0 ? EXIT_GONDOLIN : 0);
}

void mount_block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
}

/* Reads what the daemon announces until it closes its end. A signal goes to the daemon, which then ends; its number is put
 * into *signal_number. */
static void read_announcement(int fd, int signal_fd, pid_t daemon, char *text, size_t size, int *signal_number)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    size_t len = 0;
    *signal_number = 0;
    for (ssize_t n = 1; n > 0;) {
        struct signalfd_siginfo info;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents && read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            *signal_number = (int)info.ssi_signo;
            kill(daemon, SIGTERM);
        }
        if (fds[0].revents) {
            n = read(fd, text + len, size - 1 - len);
            len += n > 0 ? (size_t)n : 0;
        }
    }
    text[len] = '\0';
}

/* Waits for what the daemon announces; with nothing announced it died. */
static int wait_until_ready(int fd, pid_t daemon, const char *mountpoint)
{
    char text[1024];
    struct err err;
    sigset_t signals;
    int signal_number, status = 0;
    mount_block_signals(&signals);
    cleanup_close int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    read_announcement(fd, signal_fd, daemon, text, sizeof text, &signal_number);
    if (text[0] == 'R') {
        print_ready(mountpoint, text + 1);
        return 0;
    }
    while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
        ;
    if (signal_number)
        return EXIT_SIGNAL_BASE + signal_number;
    if (text[0] == 'E')
        err_set(&err, EIO, "%s", text + 1);
    else
        err_set(&err, EIO, "mount: %s: the supervisor died (%s %d)", mountpoint,
                WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return verb_failed("mount", &err);
}

int mount_in_background(struct supervisor_start *start)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return verb_refused("mount", "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        start->waiter_fd = ends[1];
        run_daemon(start, ends[1]);
    }
    close(ends[1]);
    int code = pid < 0 ? verb_refused("mount", "fork: %s", strerror(errno))
                       : wait_until_ready(ends[0], pid, start->mountpoint);
    close(ends[0]);
    return code;
}
