/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/child.h"

static int sh(const char *script, const int *fds, size_t count, char *output, size_t size, struct err *err)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return child_run(argv, fds, count, 5000, output, size, err);
}

Test(child, gets_the_listed_descriptors_and_no_other)
{
    char output[512];
    struct err err = {0};
    int leak = open("/dev/zero", O_RDONLY); /* on purpose without close-on-exec */
    int pipe_fds[2];
    cr_assert_eq(pipe(pipe_fds), 0);
    const int fds[] = {pipe_fds[1], leak, pipe_fds[1]};
    /* Nothing is piped before the list is made: the shell's own ends of the pipe might still be open and be listed. */
    cr_assert_eq(sh("ls /proc/$$/fd; printf x >&3; printf y >&5; head -c1 <&4 | wc -c", fds, 3, output, sizeof output,
                    &err),
                 0, "%s", err.text);
    cr_assert_str_eq(output, "0\n1\n2\n3\n4\n5\n1\n");
    char got[2];
    cr_assert_eq(read(pipe_fds[0], got, 2), 2);
    cr_assert_eq(memcmp(got, "xy", 2), 0);
}

Test(child, reads_and_works_where_it_is_told_to)
{
    struct err err = {0};
    int in[2], out[2], directory = open("/proc/self", O_PATH | O_DIRECTORY);
    char *argv[] = {"sh", "-c", "cat; pwd -P", NULL}, text[64] = "";
    cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && directory >= 0);
    const struct child_spec spec = {.argv = argv, .stdin_fd = in[0], .stdout_fd = out[1], .stderr_fd = -1,
                                    .directory_fd = directory};
    pid_t pid = 0;
    int pidfd = -1;
    cr_assert_eq(child_start(&spec, &pid, &pidfd, &err), 0, "%s", err.text);
    cr_assert_eq(write(in[1], "in ", 3), 3);
    close(in[1]);
    cr_assert_eq(child_reap(pid, pidfd, 5000, NULL), 0);
    char expected[64];
    snprintf(expected, sizeof expected, "in /proc/%d\n", (int)getpid());
    cr_assert_gt(read(out[0], text, sizeof text - 1), 0);
    cr_expect_str_eq(text, expected);
}

/* In a process of its own, because the numbers that matter are taken in the test runner's. */
static int cross_descriptors(void)
{
    enum { PIPES = 6 };
    int pipes[PIPES][2], reversed[PIPES];
    for (int fd = 3; fd < 3 + 2 * PIPES; fd++)
        close(fd);
    for (int i = 0; i < PIPES; i++) {
        if (pipe(pipes[i]) < 0)
            return 10;
        reversed[PIPES - 1 - i] = pipes[i][1];
    }
    if (sh("for i in 3 4 5 6 7 8; do eval \"printf $i >&$i\"; done", reversed, PIPES, NULL, 0, NULL) < 0)
        return 11;
    for (int i = 0; i < PIPES; i++) {
        char byte = 0;
        if (read(pipes[i][0], &byte, 1) != 1 || byte != '3' + PIPES - 1 - i)
            return 12 + i;
    }
    return 0;
}

Test(child, descriptors_that_lie_in_each_others_place_are_not_mixed_up)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(cross_descriptors());
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "exit status %d", WEXITSTATUS(status));
}

/* glibc keeps signals 32 and 33 for itself and lets nobody reset them; a parent such as make(1) may hand them on
 * ignored. */
#define LIBC_SIGNALS ((1ULL << (32 - 1)) | (1ULL << (33 - 1)))

Test(child, starts_with_clean_signals_and_limits)
{
    unsigned long long blocked = 1, ignored = 1;
    int core = 1;
    char output[512];
    struct err err = {0};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    const char *script = "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2; ulimit -c";
    cr_assert_eq(sh(script, NULL, 0, output, sizeof output, &err), 0);
    cr_assert_eq(sscanf(output, "%llx %llx %d", &blocked, &ignored, &core), 3, "%s", output);
    cr_assert_eq(blocked, 0, "%llx", blocked);
    cr_assert_eq(ignored & ~LIBC_SIGNALS, 0, "%llx", ignored);
    cr_assert_eq(core, 0);
}

Test(child, a_missing_program_is_reported_by_name)
{
    struct err err = {0};
    char *argv[] = {"/no/such/program", NULL};
    const struct child_spec spec = {.argv = argv, .stdout_fd = -1, .stderr_fd = -1};
    pid_t pid = 0;
    int pidfd = -1;
    cr_assert_eq(child_start(&spec, &pid, &pidfd, &err), -ENOENT);
    cr_assert_str_eq(err.text, "start /no/such/program: No such file or directory");
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no zombie is left");
}

Test(child, failures_carry_the_last_line_of_stderr)
{
    struct err err = {0};
    cr_assert_eq(sh("echo first >&2; echo the reason >&2; exit 3", NULL, 0, NULL, 0, &err), -EIO);
    cr_assert_str_eq(err.text, "sh failed with status 3: the reason");
    cr_assert_eq(sh("kill -9 $$", NULL, 0, NULL, 0, &err), -EIO);
    cr_assert_str_eq(err.text, "sh was killed by signal 9");
}

Test(child, a_late_program_is_killed)
{
    struct err err = {0};
    char *argv[] = {"sleep", "100", NULL};
    cr_assert_eq(child_run(argv, NULL, 0, 50, NULL, 0, &err), -ETIMEDOUT);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(child, output_is_cut_to_the_buffer)
{
    char output[8];
    cr_assert_eq(sh("seq 100000", NULL, 0, output, sizeof output, NULL), 0);
    cr_assert_str_eq(output, "1\n2\n3\n4");
}

Test(child, dies_with_its_parent)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        char *argv[] = {"sleep", "100", NULL};
        const struct child_spec spec = {.argv = argv, .fds = &ends[1], .fd_count = 1, .stdout_fd = -1, .stderr_fd = -1};
        pid_t pid = 0;
        int pidfd = -1;
        child_start(&spec, &pid, &pidfd, NULL);
        raise(SIGKILL);
    }
    waitpid(parent, NULL, 0);
    close(ends[1]);
    char byte;
    cr_assert_eq(read(ends[0], &byte, 1), 0, "end of file comes when sleep, which holds the other end, is gone");
}
