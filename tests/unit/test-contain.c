/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/contain.h"
#include "images/files.h"
#include "images/names.h"
#include "src/cleanup.h"

static void take_phase(void *data, const char *phase, double fraction)
{
    char text[64];
    snprintf(text, sizeof text, "%s %.2f", phase, fraction);
    names_add(data, text);
}

static int tell(void *data, struct contained *contained, struct err *err)
{
    (void)err;
    contained_progress(contained, "first", -1);
    if (fork() == 0) { /* whoever works for it can tell, too */
        contained_progress(contained, "second", 0.5);
        _exit(0);
    }
    wait(NULL);
    contained_answer(contained, data);
    return 0;
}

Test(contain, messages_arrive)
{
    struct names phases = {0};
    char answer[8] = "";
    struct err err = {0};
    const struct contain contain = {.work = tell, .data = "an answer", .progress = take_phase, .progress_data = &phases,
                                    .answer = answer, .answer_size = sizeof answer};
    cr_assert_eq(contain_run(&contain, &err), 0, "%s", err.text);
    cr_assert_eq(phases.count, 2);
    cr_expect_str_eq(phases.list[0], "first -1.00");
    cr_expect_str_eq(phases.list[1], "second 0.50");
    cr_expect_str_eq(answer, "an answ");
    names_free(&phases);
}

static int fail(void *data, struct contained *contained, struct err *err)
{
    (void)data, (void)contained;
    return err_set(err, ENOTBLK, "the reason");
}

static int die(void *data, struct contained *contained, struct err *err)
{
    (void)data, (void)contained, (void)err;
    raise(SIGKILL);
    return 0;
}

Test(contain, failures_arrive)
{
    struct err err = {0};
    cr_expect_eq(contain_run(&(struct contain){.work = fail}, &err), -ENOTBLK);
    cr_expect_str_eq(err.text, "the reason");
    cr_expect_eq(contain_run(&(struct contain){.work = die}, &err), -ECHILD);
    cr_expect(strstr(err.text, "unexpectedly"), "%s", err.text);
}

/* Starts a grandchild of its own session that holds a lock (an open pipe end) for ever, and says so. */
static int linger(void *data, struct contained *contained, struct err *err)
{
    (void)err;
    int fd = *(int *)data;
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            (void)!write(fd, "x", 1); /* before it says so: whoever hears it may end it at once */
            contained_progress(contained, "lingering", -1);
            for (;;)
                pause();
        }
        _exit(0);
    }
    close(fd);
    for (;;)
        pause();
}

/* The writing end of the pipe is closed when the last process that has it is gone. */
static void expect_all_gone(int fd)
{
    char byte;
    cr_assert_eq(read(fd, &byte, 1), 1, "the grandchild never started");
    cr_expect_eq(read(fd, &byte, 1), 0);
}

Test(contain, offspring_dies_with_the_caller, .timeout = 60)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t caller = fork();
    if (caller == 0) {
        close(ends[0]);
        contain_run(&(struct contain){.work = linger, .data = &ends[1]}, NULL);
        _exit(0);
    }
    close(ends[1]);
    char byte;
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    cr_expect_eq(read(ends[0], &byte, 1), 0);
}

static void interrupt(void *data, const char *phase, double fraction)
{
    (void)data, (void)phase, (void)fraction;
    kill(getpid(), SIGTERM);
}

Test(contain, a_signal_ends_it_in_order, .timeout = 60)
{
    int ends[2];
    struct err err = {0};
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    const struct contain contain = {.work = linger, .data = &ends[1], .progress = interrupt};
    cr_expect_eq(contain_run(&contain, &err), -EINTR);
    close(ends[1]);
    expect_all_gone(ends[0]);
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    cr_expect_not(sigismember(&blocked, SIGTERM), "the caller's mask was not restored");
}

/* What the private /tmp promises. */
static int look_around(void *data, struct contained *contained, struct err *err)
{
    const char *keep = data;
    cleanup_free char *file = files_format("%s/made-inside", keep);
    if (!contained->namespaces)
        return -ENOTSUP;
    if (getuid() != 0 || !files_exists("/lib/modules"))
        return err_set(err, EINVAL, "uid %d, /lib/modules %d", (int)getuid(), files_exists("/lib/modules"));
    if (files_exists("/tmp/gondolin-test-contain"))
        return err_set(err, EINVAL, "/tmp is not private");
    close(open("/tmp/gondolin-left-behind", O_CREAT | O_WRONLY, 0600));
    close(open(file, O_CREAT | O_WRONLY, 0600));
    return 0;
}

Test(contain, private_tmp)
{
    char keep[] = "/tmp/gondolin-test-contain.XXXXXX";
    struct err err = {0};
    cr_assert_not_null(mkdtemp(keep));
    mkdir("/tmp/gondolin-test-contain", 0700);
    int code = contain_run(&(struct contain){.work = look_around, .data = keep, .keep = keep}, &err);
    rmdir("/tmp/gondolin-test-contain");
    cleanup_free char *file = files_format("%s/made-inside", keep);
    bool kept = files_exists(file);
    files_remove_tree(keep);
    if (code == -ENOTSUP)
        cr_skip_test("no namespaces here");
    cr_expect_eq(code, 0, "%s", err.text);
    cr_expect(kept, "the directory to keep was another one");
    cr_expect_not(files_exists("/tmp/gondolin-left-behind"));
}
