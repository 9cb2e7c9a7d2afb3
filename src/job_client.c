/* SPDX-License-Identifier: Apache-2.0 */
#include "src/job_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/client_file.h"
#include "src/copier.h"
#include "src/shquote.h"
#include "src/terminal.h"

enum {
    RESULT_MAX = 512,      /* bytes of the line in `wait` */
    STATUS_MAX = 4096,     /* bytes of a job's status */
    SIGNALS_TO_GIVE_UP = 3 /* so many of them end a wait for a job that does not */
};

/* The thread that sits in a read of the job's `wait`. */
struct waiter {
    int fd, notify_fd;
    bool started;
    _Atomic bool done;
    char line[RESULT_MAX];
    int error; /* errno of the read */
};

/* Everything of the one job this process runs. Static, because threads may outlive the call that started them. */
static struct client {
    const struct job_request *request;
    int dir; /* MNT/jobs/N, O_PATH */
    int ctl; /* the job lives as long as this is open */
    int notify_fd, signal_fd;
    struct copier in, out, err;
    struct waiter waiter;
    struct terminal terminal;
    int signals_seen, last_signal;
    bool no_input, detached, gave_up, totals_known, out_reported, err_reported;
    struct err failure; /* of this side: output that could not be written */
} client;

/* ---- setting up ---- */

static int open_clone(struct client *c, struct err *err)
{
    char path[16];
    cleanup_free char *jobs_path = NULL;
    if (asprintf(&jobs_path, "%s/jobs", c->request->mountpoint) < 0)
        return err_errno(err, ENOMEM, "jobs");
    cleanup_close int jobs = open(jobs_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (jobs < 0)
        return err_errno(err, errno, "%s", jobs_path);
    c->ctl = openat(jobs, "clone", O_RDWR | O_CLOEXEC);
    if (c->ctl < 0)
        return err_errno(err, errno, "%s/clone", jobs_path);
    ssize_t n = read(c->ctl, path, sizeof path - 1);
    if (n <= 0)
        return err_errno(err, n < 0 ? errno : EPROTO, "%s/clone", jobs_path);
    path[n] = '\0';
    path[strcspn(path, "\n")] = '\0';
    c->dir = openat(jobs, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return c->dir < 0 ? err_errno(err, errno, "%s/%s", jobs_path, path) : 0;
}

static int write_words(const struct client *c, const char *name, char *const *words, struct err *err)
{
    cleanup_free char *text = shquote_join(words);
    return text ? client_file_write(c->dir, name, text, err) : err_errno(err, ENOMEM, "%s", name);
}

/* NAME alone stands for the variable as it is here. */
static int resolve_variable(const char *given, char **out, struct err *err)
{
    const char *value = strchr(given, '=') ? NULL : getenv(given);
    if (!value && !strchr(given, '='))
        return err_set(err, EINVAL, "--env %s: not set here; write --env %s=VALUE", given, given);
    if (*given == '=')
        return err_set(err, EINVAL, "--env %s: the name is missing; write --env NAME=VALUE", given);
    if (asprintf(out, value ? "%s=%s" : "%s", given, value) < 0)
        return err_errno(err, ENOMEM, "--env");
    return 0;
}

static int write_env(const struct client *c, struct err *err)
{
    const struct option_list *env = &c->request->env;
    const char *term = c->request->tty ? getenv("TERM") : NULL;
    char **words = calloc(env->count + 2, sizeof *words);
    if (!words)
        return err_errno(err, ENOMEM, "--env");
    size_t count = 0;
    int rc = 0;
    if (term)
        rc = resolve_variable("TERM", &words[count++], err);
    for (size_t i = 0; rc == 0 && i < env->count; i++)
        rc = resolve_variable(env->words[i], &words[count++], err);
    if (rc == 0 && count)
        rc = write_words(c, "env", words, err);
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    free(words);
    return rc;
}

static int write_winsize(const struct client *c, struct err *err)
{
    unsigned rows, columns;
    char text[64];
    if (!terminal_size(&rows, &columns))
        return 0;
    snprintf(text, sizeof text, "winsize %u %u\n", rows, columns);
    return client_file_request(c->ctl, "ctl", text, err);
}

static int write_settings(const struct client *c, struct err *err)
{
    const struct job_request *r = c->request;
    int rc = r->argv ? write_words(c, "argv", r->argv, err) : client_file_write(c->dir, "cmd", r->cmd, err);
    if (rc == 0)
        rc = write_env(c, err);
    if (rc == 0 && r->cwd)
        rc = client_file_write(c->dir, "cwd", r->cwd, err);
    if (rc == 0 && r->user)
        rc = client_file_write(c->dir, "user", r->user, err);
    if (rc == 0 && r->timeout_ms) {
        char text[16];
        snprintf(text, sizeof text, "%u", r->timeout_ms);
        rc = client_file_write(c->dir, "timeout_ms", text, err);
    }
    if (rc == 0 && r->tty) {
        rc = client_file_write(c->dir, "tty", "1", err);
        if (rc == 0)
            rc = write_winsize(c, err);
    }
    return rc;
}

static int open_stream(const struct client *c, const char *name, int flags, int *fd, struct err *err)
{
    *fd = openat(c->dir, name, flags | O_CLOEXEC);
    return *fd < 0 ? err_errno(err, errno, "%s", name) : 0;
}

static int open_streams(struct client *c, struct err *err)
{
    int rc = open_stream(c, "stdout", O_RDONLY, &c->out.from, err);
    if (rc == 0 && !c->request->tty)
        rc = open_stream(c, "stderr", O_RDONLY, &c->err.from, err);
    if (rc == 0 && !c->no_input)
        rc = open_stream(c, "stdin", O_WRONLY, &c->in.to, err);
    if (rc == 0)
        rc = open_stream(c, "wait", O_RDONLY, &c->waiter.fd, err);
    return rc;
}

/* ---- signals ---- */

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* From here on signals are events. Those that were ignored when this program was started (nohup, a shell's background
 * job) stay so. SIGPIPE is blocked, not ignored: an ignored one would be inherited by programs started from here. */
static int catch_signals(struct client *c, struct err *err)
{
    sigset_t caught, blocked;
    sigemptyset(&caught);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        if (!is_ignored(forwarded[i]))
            sigaddset(&caught, forwarded[i]);
    }
    if (c->request->tty) {
        sigaddset(&caught, SIGWINCH);
        sigaddset(&caught, SIGTSTP);
    }
    blocked = caught;
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    c->signal_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    return c->signal_fd < 0 ? err_errno(err, errno, "signals") : 0;
}

static void kill_job(const struct client *c, int number)
{
    char text[32];
    snprintf(text, sizeof text, "kill %d\n", number);
    client_file_request(c->ctl, "ctl", text, NULL); /* refused when the job has just ended, which is as well */
}

/* Stops as any program does on Ctrl-Z from outside, with the terminal as it was. */
static void stop_myself(struct client *c)
{
    bool raw = c->terminal.raw;
    terminal_restore(&c->terminal);
    kill(getpid(), SIGSTOP);
    if (raw)
        terminal_make_raw(&c->terminal);
    write_winsize(c, NULL);
}

static void handle_signals(struct client *c)
{
    struct signalfd_siginfo info;
    while (read(c->signal_fd, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGWINCH) {
            write_winsize(c, NULL);
        } else if (number == SIGTSTP) {
            stop_myself(c);
        } else {
            kill_job(c, number);
            c->last_signal = number;
            c->gave_up = ++c->signals_seen >= SIGNALS_TO_GIVE_UP;
        }
    }
}

/* ---- running ---- */

static void *wait_for_job(void *data)
{
    struct waiter *w = data;
    ssize_t n = read(w->fd, w->line, sizeof w->line - 1);
    w->error = n < 0 ? errno : 0;
    w->line[n > 0 ? n : 0] = '\0';
    w->line[strcspn(w->line, "\n")] = '\0';
    w->done = true;
    eventfd_write(w->notify_fd, 1);
    return NULL;
}

static int start_waiter(struct waiter *w)
{
    pthread_t thread;
    int code = pthread_create(&thread, NULL, wait_for_job, w);
    w->started = code == 0;
    return code ? -code : pthread_detach(thread);
}

static int start_threads(struct client *c, struct err *err)
{
    int rc = copier_start(&c->out);
    if (rc == 0 && !c->request->tty)
        rc = copier_start(&c->err);
    if (rc == 0 && !c->no_input)
        rc = copier_start(&c->in);
    if (rc == 0)
        rc = start_waiter(&c->waiter); /* the last, so that the end of a short job finds its output read */
    return rc < 0 ? err_errno(err, -rc, "thread") : 0;
}

static bool is_copying(const struct copier *copier)
{
    return copier->state == COPIER_RUNNING && copier->copied < copier->wake_at;
}

static uint64_t status_number(const char *status, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = status; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return strtoull(line + len + 1, NULL, 10);
    }
    return 0;
}

/* The command has ended. What it wrote before is to arrive here whole; what a process writes that it left behind is not
 * waited for, or a forgotten daemon would hold up its caller for ever. */
static void learn_totals(struct client *c)
{
    c->totals_known = true;
    if (c->out.state != COPIER_RUNNING && c->err.state != COPIER_RUNNING)
        return;
    cleanup_free char *status = client_file_read(c->dir, "status", STATUS_MAX, NULL);
    if (!status) /* the sandbox has gone, so the streams end as well */
        return;
    c->out.wake_at = status_number(status, "stdout_bytes");
    c->err.wake_at = status_number(status, "stderr_bytes");
}

/* A reader that has gone is the command's business, told in the usual way; a full disk is for the user. */
static void check_output(struct client *c, const struct copier *copier, const char *name, bool *reported)
{
    int code = copier->write_error;
    if (!code || *reported)
        return;
    *reported = true;
    if (code != EPIPE && !c->failure.code)
        err_errno(&c->failure, code, "%s", name);
    kill_job(c, code == EPIPE ? SIGPIPE : SIGTERM);
}

static void detach(struct client *c)
{
    kill_job(c, SIGHUP);
    c->detached = true;
}

/* Sleeps until the job has ended and its output is out, or there is reason not to wait for that. */
static void wait_for_end(struct client *c)
{
    while (!c->gave_up && !c->detached) {
        check_output(c, &c->out, "standard output", &c->out_reported);
        check_output(c, &c->err, "standard error", &c->err_reported);
        if (c->in.state == COPIER_ESCAPED)
            detach(c);
        if (c->waiter.done && !c->totals_known)
            learn_totals(c);
        if (c->waiter.done && !is_copying(&c->out) && !is_copying(&c->err))
            break;
        struct pollfd fds[] = {{.fd = c->notify_fd, .events = POLLIN}, {.fd = c->signal_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        eventfd_t count;
        if (fds[0].revents)
            eventfd_read(c->notify_fd, &count);
        handle_signals(c);
    }
    check_output(c, &c->out, "standard output", &c->out_reported);
    check_output(c, &c->err, "standard error", &c->err_reported);
}

/* ---- the end ---- */

static int failed_to_start(const struct client *c, const char *text)
{
    char *reason;
    long code = strtol(text, &reason, 10);
    verb_refused(c->request->verb, "%s", reason + strspn(reason, " "));
    return code == EXIT_NOT_FOUND || code == EXIT_CANNOT_EXECUTE ? (int)code : EXIT_GONDOLIN;
}

static bool begins(const char *line, const char *word, const char **rest)
{
    size_t len = strlen(word);
    *rest = line + len;
    return strncmp(line, word, len) == 0;
}

/* gondolin-files(5), jobs/NAME/wait. */
static int exit_code(const struct client *c)
{
    const char *verb = c->request->verb, *line = c->waiter.line, *rest;
    if (c->waiter.error)
        return verb_refused(verb, "the sandbox ended before the command did (%s)", strerror(c->waiter.error));
    if (begins(line, "exit ", &rest))
        return atoi(rest) & 0xff;
    if (begins(line, "signal ", &rest))
        return (EXIT_SIGNAL_BASE + atoi(rest)) & 0xff;
    if (begins(line, "failed ", &rest))
        return failed_to_start(c, rest);
    if (strcmp(line, "timeout") == 0) {
        verb_refused(verb, "the command was killed after %u ms", c->request->timeout_ms);
        return EXIT_TIMEOUT;
    }
    return verb_refused(verb, "the sandbox ended before the command did");
}

/* Input that fails early is worth a word, output that did not arrive whole is a failure. */
static void check_reads(struct client *c)
{
    if (c->in.state == COPIER_FAILED)
        verb_refused(c->request->verb, "standard input: %s", strerror(c->in.error));
    if (c->out.state == COPIER_FAILED && !c->failure.code)
        err_errno(&c->failure, c->out.error, "the command's standard output");
    if (c->err.state == COPIER_FAILED && !c->failure.code)
        err_errno(&c->failure, c->err.error, "the command's standard error");
}

static int finish(struct client *c)
{
    terminal_restore(&c->terminal);
    if (c->detached) {
        fputs("\n[detached; the job was ended]\n", stderr);
        return 0;
    }
    if (c->gave_up) {
        verb_refused(c->request->verb, "the command did not end on %d signals; it was killed", SIGNALS_TO_GIVE_UP);
        return EXIT_SIGNAL_BASE + c->last_signal;
    }
    check_reads(c);
    int code = exit_code(c);
    return c->failure.code ? verb_failed(c->request->verb, &c->failure) : code;
}

static int prepare(struct client *c, struct err *err)
{
    int rc = open_clone(c, err);
    if (rc == 0)
        rc = write_settings(c, err);
    c->notify_fd = rc == 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (rc == 0 && c->notify_fd < 0)
        rc = err_errno(err, errno, "eventfd");
    c->waiter.notify_fd = c->in.notify_fd = c->out.notify_fd = c->err.notify_fd = c->notify_fd;
    return rc;
}

/* What reads nothing here has nothing to read there; that saves requests, a frame and a thread. */
static bool is_null_device(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

int job_client_run(const struct job_request *request)
{
    struct client *c = &client;
    struct err err = {0};
    *c = (struct client){.request = request, .dir = -1, .ctl = -1, .signal_fd = -1};
    c->no_input = request->no_input || (!request->tty && is_null_device(STDIN_FILENO));
    c->in = (struct copier){.from = STDIN_FILENO, .close_to = true, .escape = request->escape ? ESCAPE_BYTE : -1};
    c->out = (struct copier){.to = STDOUT_FILENO, .escape = -1, .wake_at = UINT64_MAX};
    c->err = (struct copier){.to = STDERR_FILENO, .escape = -1, .wake_at = UINT64_MAX};

    int rc = prepare(c, &err);
    if (rc == 0)
        rc = catch_signals(c, &err);
    if (rc == 0)
        rc = client_file_request(c->ctl, "start", c->no_input ? "close stdin\nstart\n" : "start\n", &err);
    if (rc == 0)
        rc = open_streams(c, &err); /* while the guest starts it; a job that fails here goes with its ctl */
    if (rc == 0 && request->tty)
        terminal_make_raw(&c->terminal);
    if (rc == 0)
        rc = start_threads(c, &err);
    if (rc < 0) {
        terminal_restore(&c->terminal);
        return verb_failed(request->verb, &err);
    }
    wait_for_end(c);
    return finish(c);
}

static void close_ended(const struct copier *copier)
{
    if (copier->state == COPIER_ENDED || copier->state == COPIER_FAILED)
        close(copier->from);
}

void job_client_close(void)
{
    struct client *c = &client;
    close_ended(&c->out);
    close_ended(&c->err);
    if (c->waiter.done)
        close(c->waiter.fd);
    if (c->ctl >= 0)
        close(c->ctl);
    if (c->dir >= 0)
        close(c->dir);
    c->ctl = c->dir = -1;
}

void job_client_leave(int code)
{
    const struct client *c = &client;
    bool waits = c->waiter.started && !c->waiter.done;
    if (waits || c->in.state == COPIER_RUNNING || c->out.state == COPIER_RUNNING || c->err.state == COPIER_RUNNING) {
        fflush(NULL);
        _exit(code);
    }
}
