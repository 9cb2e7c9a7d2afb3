/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/session.h"
#include "src/session_name.h"

static char runtime[64];

static void set_up(void)
{
    strcpy(runtime, "/tmp/gondolin-test-session.XXXXXX");
    cr_assert_not_null(mkdtemp(runtime));
    setenv("XDG_RUNTIME_DIR", runtime, 1);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", runtime);
    cr_assert_eq(system(command), 0);
}

TestSuite(session, .init = set_up, .fini = tear_down);

static struct session make(const char *name, const char *mountpoint)
{
    struct session s;
    struct err err = {0};
    cr_assert_eq(session_create(&s, &err), 0, "%s", err.text);
    s.name = strdup(name);
    s.mountpoint = strdup(mountpoint);
    s.pid = getpid();
    cr_assert_eq(session_publish(&s, &err), 0, "%s", err.text);
    return s;
}

static size_t count_alive(void)
{
    struct session *list;
    size_t count;
    struct err err = {0};
    cr_assert_eq(session_list(&list, &count, &err), 0, "%s", err.text);
    session_list_free(list, count);
    return count;
}

static void expect_found(const char *reference, const char *id)
{
    struct session found;
    struct err err = {0};
    cr_assert_eq(session_find(reference, &found, &err), 0, "%s: %s", reference, err.text);
    cr_assert_str_eq(found.id, id, "%s", reference);
    session_close(&found);
}

static void expect_error(const char *reference, int code, const char *words)
{
    struct session found;
    struct err err = {0};
    cr_assert_eq(session_find(reference, &found, &err), -code, "%s: %s", reference, err.text);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
}

Test(session, what_is_published_is_read_back)
{
    struct session s = make("sb", "/x y/\"sb\"");
    s.image = strdup("default");
    s.build_id = strdup("abc");
    s.state = strdup("running");
    s.log = strdup("/log");
    s.vm_pid = 77;
    s.keeper_pid = 78;
    s.started_ms = 1700000000123;
    struct err err;
    cr_assert_eq(session_publish(&s, &err), 0);
    struct session *list;
    size_t count;
    cr_assert_eq(session_list(&list, &count, &err), 0);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list->id, s.id);
    cr_assert_str_eq(list->mountpoint, "/x y/\"sb\"");
    cr_assert_str_eq(list->image, "default");
    cr_assert_str_eq(list->build_id, "abc");
    cr_assert_str_eq(list->state, "running");
    cr_assert_str_eq(list->log, "/log");
    cr_assert_str_eq(list->directory, s.directory);
    cr_assert_eq(list->pid, getpid());
    cr_assert_eq(list->vm_pid, 77);
    cr_assert_eq(list->keeper_pid, 78);
    cr_assert_eq(list->started_ms, 1700000000123);
    cr_assert(list->alive);
    session_list_free(list, count);
    session_remove(&s);
}

Test(session, unpublished_ones_are_not_listed_and_not_cleaned)
{
    struct session s;
    struct err err;
    cr_assert_eq(session_create(&s, &err), 0);
    cr_assert_eq(count_alive(), 0);
    cr_assert_eq(access(s.directory, F_OK), 0);
    session_remove(&s);
}

Test(session, removal_takes_files_and_empty_directories)
{
    struct session s = make("sb", "/sb");
    char path[256];
    snprintf(path, sizeof path, "%s/mnt", s.directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s", s.directory);
    session_remove(&s);
    cr_assert_eq(access(path, F_OK), -1);
    cr_assert_eq(s.lock_fd, -1);
}

Test(session, a_dead_holder_is_cleaned_away)
{
    struct session s;
    struct err err;
    pid_t child = fork();
    if (child == 0) {
        make("sb", "/sb");
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    struct session other = make("other", "/other");
    cr_assert_eq(count_alive(), 1);
    char command[128];
    snprintf(command, sizeof command, "test $(ls %s/gondolin | wc -l) = 1", runtime);
    cr_assert_eq(system(command), 0, "the dead session's directory must be gone");
    cr_assert_eq(session_find("sb", &s, &err), -ENOENT);
    session_remove(&other);
}

Test(session, the_lock_outlives_the_parent_that_daemonises)
{
    struct session s = make("sb", "/sb");
    int hold[2];
    cr_assert_eq(pipe(hold), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold[0]);
    char path[256];
    snprintf(path, sizeof path, "%s", s.directory);
    session_close(&s);
    cr_assert_eq(count_alive(), 1);
    close(hold[1]);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(count_alive(), 0);
    cr_assert_eq(access(path, F_OK), -1);
}

Test(session, is_found_by_name_path_and_id)
{
    char real[80], inside[100], link[80];
    snprintf(real, sizeof real, "%s/mnt", runtime);
    snprintf(inside, sizeof inside, "%s/root", real);
    snprintf(link, sizeof link, "%s/link", runtime);
    cr_assert_eq(mkdir(real, 0700), 0);
    cr_assert_eq(mkdir(inside, 0700), 0);
    cr_assert_eq(symlink("mnt", link), 0);
    struct session a = make("alpha", real), b = make("beta", "/beta");
    char prefix[5] = "";
    memcpy(prefix, a.id, 4);

    expect_found("alpha", a.id);
    expect_found(real, a.id);
    expect_found(link, a.id);
    expect_found(a.id, a.id);
    expect_found(prefix, a.id);
    expect_found("/beta", b.id);
    expect_found("/beta/root/never/looked/at", b.id);
    cr_assert_eq(chdir(runtime), 0);
    expect_found("mnt", a.id);
    expect_found("./mnt/../link/root/", a.id);
    cr_assert_eq(chdir(inside), 0);
    expect_found(".", a.id);
    expect_found("..", a.id);
    expect_error("../..", ENOENT, "no running sandbox");
    cr_assert_eq(chdir("/"), 0);
    session_remove(&a);
    session_remove(&b);
}

Test(session, the_only_one_needs_no_name)
{
    expect_error(NULL, ENOENT, "gondolin mount");
    struct session a = make("alpha", "/alpha");
    expect_found(NULL, a.id);
    expect_found("", a.id);
    struct session b = make("beta", "/beta");
    expect_error(NULL, EEXIST, "2 sandboxes");
    session_remove(&a);
    session_remove(&b);
}

Test(session, errors_help)
{
    struct session a = make("alpha", "/one/alpha"), b = make("alpha", "/two/alpha");
    expect_error("alpa", ENOENT, "did you mean \"alpha\"");
    expect_error("alpha", EEXIST, "2 running sandboxes");
    expect_found("/two/alpha", b.id);
    char three[4] = "";
    memcpy(three, a.id, 3);
    expect_error(three, ENOENT, "no running sandbox");
    session_remove(&a);
    session_remove(&b);
}

Test(session, damaged_and_foreign_entries_are_survived)
{
    struct session a = make("alpha", "/alpha"), b = make("beta", "/beta");
    char path[256];
    snprintf(path, sizeof path, "%s/session.json", a.directory);
    int fd = open(path, O_WRONLY | O_TRUNC);
    cr_assert_eq(write(fd, "{\"name\":[1],\"mou", 16), 16);
    close(fd);
    snprintf(path, sizeof path, "%s/gondolin/not-an-id", runtime);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(count_alive(), 1);
    cr_assert_eq(access(path, F_OK), 0);
    session_remove(&a);
    session_remove(&b);
}

Test(session, a_registry_open_to_others_is_refused)
{
    char path[100];
    struct session s;
    struct err err;
    snprintf(path, sizeof path, "%s/gondolin", runtime);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(chmod(path, 0755), 0);
    cr_assert_eq(session_create(&s, &err), -EPERM);
    cr_assert_not_null(strstr(err.text, path), "%s", err.text);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(symlink("/tmp", path), 0);
    cr_assert_lt(session_create(&s, &err), 0);
}

Test(session, a_runtime_directory_that_is_missing_is_named)
{
    struct session s;
    struct err err;
    setenv("XDG_RUNTIME_DIR", "/nonexistent/runtime", 1);
    cr_assert_eq(session_create(&s, &err), -ENOENT);
    cr_assert_not_null(strstr(err.text, "/nonexistent/runtime"), "%s", err.text);
}

static void expect_host_name(const char *name, const char *expected)
{
    char out[HOST_NAME_LEN + 1];
    session_host_name(name, out);
    cr_expect_str_eq(out, expected, "%s", name);
}

Test(session, a_host_name_is_one_whatever_the_name)
{
    char longest[HOST_NAME_LEN + 1] = {0}, longer[100] = {0};
    memset(longest, 'a', HOST_NAME_LEN);
    memset(longer, 'a', sizeof longer - 1);
    expect_host_name("Web.example-2", "Web.example-2");
    expect_host_name("my_sand box\n\u00e9x", "my-sand-box---x");
    expect_host_name("-.a.-", "a");
    expect_host_name("...", "sandbox");
    expect_host_name("", "sandbox");
    expect_host_name(longer, longest);
}

static void expect_name_of(const char *mountpoint, const char *expected)
{
    char *name = session_name_of(mountpoint);
    cr_expect_str_eq(name, expected);
    free(name);
}

Test(session, a_directory_names_its_sandbox)
{
    expect_name_of("/home/me/sb", "sb");
    expect_name_of("/what? \u00e9", "what? \u00e9");
    expect_name_of("/a\nb\033[2J\xff", "a-b-[2J-");
    expect_name_of("/", "sandbox");
}

Test(session, names_that_cannot_be_given)
{
    char longest[SESSION_NAME_MAX + 2] = {0};
    const char *wrong[] = {"", "a/b", "/", "a\nb", "\033[2J", "\xff"};
    struct err err = {0};
    memset(longest, 'a', SESSION_NAME_MAX);
    cr_expect_eq(session_name_check(longest, &err), 0);
    cr_expect_eq(session_name_check("a b \u00e9 ..", &err), 0);
    longest[SESSION_NAME_MAX] = 'a';
    cr_expect_eq(session_name_check(longest, &err), -EINVAL);
    cr_expect(strstr(err.text, "64 bytes"), "%s", err.text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(session_name_check(wrong[i], &err), -EINVAL, "%s", wrong[i]);
}
