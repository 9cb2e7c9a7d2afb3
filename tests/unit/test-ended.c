/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/ended.h"

static char home[64];

static void set_up(void)
{
    strcpy(home, "/tmp/gondolin-test-ended.XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    setenv("HOME", home, 1);
    unsetenv("XDG_STATE_HOME");
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", home);
    cr_assert_eq(system(command), 0);
}

TestSuite(ended, .init = set_up, .fini = tear_down);

static void record(const char *id, const char *mountpoint, const char *reason, const char *console)
{
    struct session s = {.name = (char *)"box", .mountpoint = (char *)mountpoint, .image = (char *)"busybox",
                        .started_ms = 1000};
    snprintf(s.id, sizeof s.id, "%s", id);
    ended_record(&s, false, reason, console);
}

static size_t count(void)
{
    struct ended *list;
    size_t n;
    cr_assert_eq(ended_list(&list, &n, NULL), 0);
    ended_list_free(list, n);
    return n;
}

static void write_file(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/.local/state/gondolin/ended", home);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

Test(ended, nothing_is_known_at_first_and_nothing_is_made)
{
    struct ended last;
    cr_assert_eq(count(), 0);
    cr_assert_not(ended_find(NULL, &last));
    char path[128];
    snprintf(path, sizeof path, "%s/.local", home);
    cr_assert_neq(access(path, F_OK), 0);
}

Test(ended, what_is_recorded_is_found_newest_first)
{
    record("000000000001", "/a/sb", "first", NULL);
    record("000000000002", "/a/sb", "second", "line 1\nline 2\n");
    record("000000000003", "/b/sb", "third", NULL);
    struct ended last;
    cr_assert(ended_find("/a/sb/", &last));
    cr_assert_str_eq(last.reason, "second");
    cr_assert_str_eq(last.console, "line 1\nline 2\n");
    cr_assert_eq(last.started_ms, 1000);
    cr_assert(last.ended_ms / 1000 >= time(NULL) - 5 && last.ended_ms / 1000 <= time(NULL));
    ended_close(&last);
    cr_assert(ended_find("000000000001", &last));
    cr_assert_str_eq(last.reason, "first");
    ended_close(&last);
    cr_assert(ended_find("box", &last));
    cr_assert_str_eq(last.reason, "third");
    ended_close(&last);
    cr_assert_not(ended_find("/a/other", &last));
}

Test(ended, the_file_is_private_and_bounded)
{
    for (int i = 0; i < 2 * ENDED_KEPT; i++) {
        char id[16];
        snprintf(id, sizeof id, "%012d", i);
        record(id, "/a/sb", "again", NULL);
    }
    cr_assert_eq(count(), ENDED_KEPT);
    struct ended last;
    cr_assert(ended_find(NULL, &last));
    cr_assert_str_eq(last.id, "000000000099");
    ended_close(&last);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/.local/state/gondolin/ended", home);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(ended, what_the_guest_said_is_harmless)
{
    char console[5000];
    memset(console, 'x', sizeof console - 1);
    console[sizeof console - 1] = '\0';
    strcpy(console + 4900, "\x1b[31m \xff \"quoted\" \\ \r\n");
    record("000000000001", "/a/sb", "\x1b]0;title\a", console);
    struct ended last;
    cr_assert(ended_find(NULL, &last));
    cr_assert_str_eq(last.reason, "?]0;title?");
    cr_assert(strlen(last.console) <= 1000);
    cr_assert_not_null(strstr(last.console, "x?[31m ? \"quoted\" \\  \n"));
    ended_close(&last);
}

Test(ended, lines_that_make_no_sense_are_skipped)
{
    record("000000000001", "/a/sb", "good", NULL);
    char path[128], line[4096];
    snprintf(path, sizeof path, "%s/.local/state/gondolin/ended", home);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(fgets(line, sizeof line, f));
    fclose(f);
    char text[3 * sizeof line];
    snprintf(text, sizeof text, "\n{}\n[1]\nnonsense\n%s{\"id\":1}\n\n{\"id\":\"cut off", line);
    write_file(text);
    cr_assert_eq(count(), 1);
    record("000000000002", "/a/sb", "after", NULL);
    cr_assert_eq(count(), 2);
    write_file("");
    cr_assert_eq(count(), 0);
}

Test(ended, without_a_home_nothing_happens)
{
    unsetenv("HOME");
    record("000000000001", "/a/sb", "nobody hears it", NULL);
    cr_assert_eq(count(), 0);
}

Test(ended, ages)
{
    static const struct {
        long long seconds;
        const char *text;
    } ages[] = {{5, "5s"}, {65, "1m"}, {3 * 3600 + 300, "3h05m"}, {2 * 86400 + 4 * 3600, "2d04h"}, {-100, "0s"}};
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        char age[32];
        ended_format_age(((long long)time(NULL) - ages[i].seconds) * 1000, age, sizeof age);
        cr_assert_str_eq(age, ages[i].text);
    }
}
