/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "src/cleanup.h"
#include "src/job_client.h"
#include "src/libexec.h"
#include "src/mount_options.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

/* A sandbox for one command: a supervisor that stays our child and ends with us. It makes its mount point itself and
 * takes it away, so that there is nothing for us to clean up, however we end. */
struct one_shot {
    char *mountpoint;
    pid_t supervisor; /* 0: none */
    int ready_fd;     /* its standard output: a line when ready */
};

/* The words of `gondolin mount -f`, which as `run` knows whom it speaks to; NULL-terminated, the array is malloc'd. */
static const char **mount_words(const struct one_shot *o, const struct option_list *passed)
{
    const char **words = calloc(passed->count + 6, sizeof *words);
    if (!words)
        return NULL;
    size_t n = 0;
    words[n++] = "gondolin";
    words[n++] = "run";
    words[n++] = "-f";
    for (size_t i = 0; i < passed->count; i++)
        words[n++] = passed->words[i];
    words[n++] = "--";
    words[n] = o->mountpoint;
    return words;
}

/* In the child. Keys pressed here are not for the supervisor, and it ends when we do, however that comes about. */
static void become_supervisor(const char *engine, const char **words, int ready_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int null = open("/dev/null", O_RDONLY);
    if (getppid() == parent && null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(ready_fd, STDOUT_FILENO) >= 0)
        execv(engine, (char *const *)words);
    _exit(EXIT_GONDOLIN);
}

static int start_supervisor(struct one_shot *o, const struct option_list *passed, struct err *err)
{
    cleanup_free char *engine = libexec_path("gondolin-engine");
    const char **words = mount_words(o, passed);
    int ends[2];
    if (!engine || !words || pipe2(ends, O_CLOEXEC) < 0) {
        free(words);
        return err_errno(err, errno, "gondolin-engine");
    }
    pid_t parent = getpid();
    o->supervisor = fork();
    if (o->supervisor == 0)
        become_supervisor(engine, words, ends[1], parent);
    int code = errno;
    free(words);
    close(ends[1]);
    o->ready_fd = ends[0];
    if (o->supervisor > 0)
        return 0;
    o->supervisor = 0;
    return err_errno(err, code, "gondolin-engine");
}

/* 1: ready; 0: it ended instead, having said why; -N: signal N came. */
static int wait_until_ready(const struct one_shot *o, int signal_fd)
{
    struct pollfd fds[] = {{.fd = o->ready_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return 0;
        struct signalfd_siginfo info;
        if (fds[1].revents && read(signal_fd, &info, sizeof info) == sizeof info)
            return -(int)info.ssi_signo;
        char text[256];
        if (fds[0].revents)
            return read(o->ready_fd, text, sizeof text) > 0;
    }
}

/* Boots the sandbox. 0 when it is ready, else the exit code. */
static int boot(struct one_shot *o, const struct option_list *passed)
{
    struct err err;
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &before);
    cleanup_close int signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (session_scratch_path(&o->mountpoint, &err) < 0 || start_supervisor(o, passed, &err) < 0)
        return verb_failed("run", &err);
    int ready = wait_until_ready(o, signal_fd);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (ready < 0)
        return EXIT_SIGNAL_BASE - ready;
    return ready ? 0 : EXIT_GONDOLIN;
}

static void end(struct one_shot *o)
{
    if (o->supervisor) {
        kill(o->supervisor, SIGTERM);
        while (waitpid(o->supervisor, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (o->ready_fd >= 0)
        close(o->ready_fd);
    free(o->mountpoint);
}

int verb_run(int argc, char **argv)
{
    struct job_request request = {.verb = "run"};
    struct option_list passed = {0};
    struct option_spec sandbox_options[MOUNT_OPTIONS_TABLE];
    mount_options_pass(&passed, sandbox_options);
    const struct option_spec options[] = {JOB_CLIENT_OPTIONS(&request), {0}};
    const struct usage usage = {
        .verb = "run",
        .operands = "-- COMMAND [ARGUMENT]...",
        .about = "Boots a sandbox, runs one command in it, ends the sandbox and exits as the command did.",
        .options = options,
        .more = sandbox_options,
        .page = "gondolin-exec(1)",
        .takes_command = true,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct one_shot o = {.ready_fd = -1};
    code = boot(&o, &passed);
    if (code == 0) {
        request.mountpoint = o.mountpoint;
        request.argv = operands.command;
        code = job_client_run(&request);
        job_client_close();
    }
    end(&o);
    option_list_free(&request.env);
    option_list_free(&passed);
    return code;
}
