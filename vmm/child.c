/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/loop.h"
#include "vmm/program.h"

enum { STANDARD_FDS = CHILD_FIRST_FD };

static void reset_signals(void)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the descriptors where the program expects them. They are copied upwards first: a source may lie where another's
 * destination is. */
static int arrange_fds(const struct child_spec *spec, int *report)
{
    int count = STANDARD_FDS + (int)spec->fd_count;
    int above = count + 1;
    int high[STANDARD_FDS + CHILD_MAX_FDS];
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int standard[STANDARD_FDS] = {spec->stdin_fd > 0 ? spec->stdin_fd : null_fd,
                             spec->stdout_fd >= 0 ? spec->stdout_fd : null_fd,
                             spec->stderr_fd >= 0 ? spec->stderr_fd : null_fd};
    *report = fcntl(*report, F_DUPFD_CLOEXEC, above);
    for (int i = 0; i < count; i++) {
        high[i] = fcntl(i < STANDARD_FDS ? standard[i] : spec->fds[i - STANDARD_FDS], F_DUPFD_CLOEXEC, above);
        if (high[i] < 0)
            return -errno;
    }
    for (int i = 0; i < count; i++) {
        if (dup2(high[i], i) < 0)
            return -errno;
    }
    return syscall(SYS_close_range, count, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int become_child(const struct child_spec *spec, const char *path, pid_t parent, int *report)
{
    const struct rlimit no_core = {0, 0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    if (getppid() != parent)
        return -ESRCH; /* the parent ended before the line above took effect */
    reset_signals();
    setsid();
    setrlimit(RLIMIT_CORE, &no_core);
    if (spec->directory_fd > 0 && fchdir(spec->directory_fd) < 0)
        return -errno;
    int rc = arrange_fds(spec, report);
    if (rc < 0)
        return rc;
    execv(path, spec->argv);
    return -errno;
}

static _Noreturn void run_child(const struct child_spec *spec, const char *path, pid_t parent, int report)
{
    int code = -become_child(spec, path, parent, &report);
    if (write(report, &code, sizeof code) < 0)
        _exit(1);
    _exit(1);
}

/* The report pipe closes on exec; before that the child writes the errno of what failed into it. */
static int await_exec(int report)
{
    int code;
    ssize_t n;
    do
        n = read(report, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    return n == sizeof code ? -code : 0;
}

int child_start(const struct child_spec *spec, pid_t *pid, int *pidfd, struct err *err)
{
    int report[2];
    if (spec->fd_count > CHILD_MAX_FDS)
        return err_set(err, EINVAL, "start %s: more than %d descriptors", spec->argv[0], CHILD_MAX_FDS);
    cleanup_free char *path = program_find(spec->argv[0]);
    if (!path)
        return err_errno(err, errno, "start %s", spec->argv[0]);
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_errno(err, errno, "start %s: pipe", spec->argv[0]);
    cleanup_close int report_read = report[0];
    cleanup_close int report_write = report[1];

    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return err_errno(err, errno, "start %s: fork", spec->argv[0]);
    if (child == 0)
        run_child(spec, path, parent, report_write);

    close(steal_fd(&report_write));
    int rc = await_exec(report_read);
    int fd = rc == 0 ? pidfd_open(child, 0) : -1;
    if (rc == 0 && fd < 0)
        rc = -errno;
    if (rc < 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        return err_errno(err, -rc, "start %s", spec->argv[0]);
    }
    *pid = child;
    *pidfd = fd;
    return 0;
}

int child_reap(pid_t pid, int pidfd, unsigned timeout_ms, int *in_time)
{
    uint64_t deadline = loop_now_ms() + timeout_ms;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int n;
    do {
        uint64_t now = loop_now_ms();
        n = poll(&ended, 1, now < deadline ? (int)(deadline - now) : 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (in_time)
        *in_time = n > 0;
    return status;
}

static void read_back(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
}

static const char *last_line(char *text)
{
    size_t length = strlen(text);
    while (length && strchr("\r\n ", text[length - 1]))
        text[--length] = '\0';
    const char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

static int judge(const char *program, int status, char *complaint, struct err *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    const char *line = last_line(complaint);
    if (WIFSIGNALED(status))
        return err_set(err, EIO, "%s was killed by signal %d", program, WTERMSIG(status));
    return err_set(err, EIO, "%s failed with status %d%s%s", program, WEXITSTATUS(status), *line ? ": " : "", line);
}

int child_run(char *const *argv, const int *fds, size_t fd_count, unsigned timeout_ms, char *output, size_t size,
              struct err *err)
{
    /* Memory files instead of pipes: nothing has to be read while the program runs. */
    cleanup_close int out = memfd_create("stdout", MFD_CLOEXEC);
    cleanup_close int complaints = memfd_create("stderr", MFD_CLOEXEC);
    if (out < 0 || complaints < 0)
        return err_errno(err, errno, "start %s: memfd_create", argv[0]);
    const struct child_spec spec = {.argv = argv, .fds = fds, .fd_count = fd_count, .stdout_fd = out,
                                    .stderr_fd = complaints};
    pid_t pid = -1;
    int fd = -1, in_time = 0;
    int rc = child_start(&spec, &pid, &fd, err);
    if (rc < 0)
        return rc;
    cleanup_close int pidfd = fd;
    int status = child_reap(pid, pidfd, timeout_ms, &in_time);
    if (output)
        read_back(out, output, size);
    if (!in_time)
        return err_set(err, ETIMEDOUT, "%s did not finish within %u ms", argv[0], timeout_ms);
    char complaint[1024];
    read_back(complaints, complaint, sizeof complaint);
    return judge(argv[0], status, complaint, err);
}
