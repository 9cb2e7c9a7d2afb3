/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "images/command.h"
#include "images/names.h"
#include "src/cleanup.h"

static int run(const char *script, char **output, struct err *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    return command_run(&(struct command){.argv = argv}, output, err);
}

Test(command, output_is_collected)
{
    cleanup_free char *output = NULL, *long_output = NULL;
    cr_assert_eq(run("printf 'a\\nb'; echo noise >&2", &output, NULL), 0);
    cr_expect_str_eq(output, "a\nb");
    cr_assert_eq(run("head -c 300000 /dev/zero | tr '\\0' x", &long_output, NULL), 0);
    cr_expect_eq(strlen(long_output), 300000);
}

Test(command, failure_is_told_with_the_last_words)
{
    struct err err = {0};
    cr_expect_eq(run("seq 1000 >&2; echo why >&2; exit 3", NULL, &err), -EIO);
    cr_expect(strstr(err.text, "exit code 3") && strstr(err.text, "999; 1000; why"), "%s", err.text);
    cr_expect_eq(run("kill -9 $$", NULL, &err), -EIO);
    cr_expect(strstr(err.text, "signal 9"), "%s", err.text);
    cr_expect_eq(run("exit 1", NULL, &err), -EIO);
    cr_expect(strstr(err.text, "no reason"), "%s", err.text);
}

Test(command, that_is_not_installed)
{
    const char *const argv[] = {"gondolin-no-such-program", NULL};
    struct err err = {0};
    cr_expect_eq(command_run(&(struct command){.argv = argv, .package = "thepackage"}, NULL, &err), -ENOENT);
    cr_expect(strstr(err.text, "apt-get install thepackage"), "%s", err.text);
}

static void take_line(void *data, const char *line)
{
    names_add(data, line);
}

Test(command, error_lines_are_passed_on)
{
    const char *const argv[] = {"sh", "-c", "printf 'one\\n\\ntwo\\rthree' >&2", NULL};
    struct names lines = {0};
    cr_assert_eq(command_run(&(struct command){.argv = argv, .line = take_line, .data = &lines}, NULL, NULL), 0);
    cr_assert_eq(lines.count, 3);
    cr_expect_str_eq(lines.list[0], "one");
    cr_expect_str_eq(lines.list[1], "two");
    cr_expect_str_eq(lines.list[2], "three");
    names_free(&lines);
}

Test(command, a_daemon_left_behind_does_not_hold_it, .timeout = 10)
{
    cleanup_free char *output = NULL;
    cr_assert_eq(run("sleep 30 & echo $!", &output, NULL), 0);
    kill(atoi(output), SIGKILL);
}

Test(command, endless_output_is_bounded, .timeout = 20)
{
    struct err err = {0};
    cr_expect_eq(run("cat /dev/zero", &(char *){NULL}, &err), -EFBIG);
}
