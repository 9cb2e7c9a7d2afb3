/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/holders.h"

static char directory[64];

static void set_up(void)
{
    strcpy(directory, "/tmp/gondolin-test-holders.XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    char path[128];
    snprintf(path, sizeof path, "%s/file", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s %s-other", directory, directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(holders, .init = set_up, .fini = tear_down, .timeout = 20);

/* A child that does `hold`, says so on the pipe, and waits to be killed. */
static pid_t child(void (*hold)(void))
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        hold();
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void expect(void (*hold)(void), const char *how)
{
    char text[512], expected[128];
    pid_t pid = child(hold);
    size_t count = holders_describe(directory, 0, text, sizeof text);
    size_t without = holders_describe(directory, pid, text + 256, 256);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cr_assert_eq(without, 0);
    if (!how) {
        cr_assert_eq(count, 0, "%s", text);
        return;
    }
    cr_assert_eq(count, 1);
    snprintf(expected, sizeof expected, "(pid %d, %s)", pid, how);
    cr_assert_not_null(strstr(text, expected), "%s: %s", expected, text);
}

static void work_there(void)
{
    cr_assert_eq(chdir(directory), 0);
}

static void open_a_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/file", directory);
    cr_assert_geq(open(path, O_RDONLY), 0);
}

static void open_the_directory(void)
{
    cr_assert_geq(open(directory, O_RDONLY | O_DIRECTORY), 0);
}

static void map_a_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/file", directory);
    int fd = open(path, O_RDONLY);
    cr_assert_neq(mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
    close(fd);
}

static void work_next_to_it(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s-other", directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chdir(path), 0);
}

Test(holders, working_directory)
{
    expect(work_there, "working directory");
}

Test(holders, open_file)
{
    expect(open_a_file, "file");
}

Test(holders, open_directory)
{
    expect(open_the_directory, "the directory itself");
}

Test(holders, mapped_file)
{
    expect(map_a_file, "file");
}

Test(holders, a_longer_name_is_another_directory)
{
    expect(work_next_to_it, NULL);
}

Test(holders, many_are_counted_and_a_few_are_named)
{
    enum { MANY = 7 };
    char text[512];
    pid_t pids[MANY];
    for (int i = 0; i < MANY; i++)
        pids[i] = child(work_there);
    size_t count = holders_describe(directory, 0, text, sizeof text);
    for (int i = 0; i < MANY; i++)
        kill(pids[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    cr_assert_eq(count, MANY);
    cr_assert_not_null(strstr(text, " and 3 more"), "%s", text);
}
