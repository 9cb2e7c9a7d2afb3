/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "src/host_path.h"

static char scratch[] = "/tmp/gondolin-host-path.XXXXXX";

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(scratch));
    cr_assert_eq(chdir(scratch), 0);
    cr_assert_eq(mkdir("dir", 0700) | mkdir("dir/sub", 0700), 0);
    close(open("dir/file", O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(symlink("dir/sub", "to-sub") | symlink("../file", "dir/sub/up") | symlink("loop", "loop") |
                     symlink("to-sub/../sub/./up", "round") | symlink(scratch, "dir/absolute") |
                     symlink("/proc", "to-proc") | symlink("missing", "dangling"), 0);
}

static void tear_down(void)
{
    files_remove_tree(scratch);
}

TestSuite(host_path, .init = set_up, .fini = tear_down);

static int open_path(const char *path, dev_t avoid)
{
    cleanup_free char *resolved = NULL;
    int fd = host_path_open(path, avoid, &resolved);
    cr_expect_eq(fd < 0, resolved == NULL, "%s", path);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

Test(host_path, is_what_realpath_says)
{
    static const char *const paths[] = {
        "/",   "/..", "//tmp/./", ".", "dir", "dir/", "dir/file", "to-sub", "to-sub/up", "to-sub/..", "round", "dir/absolute/round",
        "dir/absolute/../..", "/usr/bin/env", "loop", "dangling", "dir/none", "dir/file/x", "round/x", "",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        cleanup_free char *ours = NULL, *theirs = realpath(paths[i], NULL);
        int code = theirs ? 0 : errno;
        int fd = host_path_open(paths[i], 0, &ours);
        struct stat st, want;
        if (!theirs) {
            cr_expect_eq(fd, -code, "%s: %d, not %d", paths[i], fd, -code);
            continue;
        }
        cr_assert(fd >= 0, "%s: %s", paths[i], strerror(-fd));
        cr_expect_str_eq(ours, theirs, "%s", paths[i]);
        cr_expect(fstat(fd, &st) == 0 && stat(theirs, &want) == 0 && st.st_ino == want.st_ino && st.st_dev == want.st_dev,
                  "%s is another file", paths[i]);
        close(fd);
    }
}

Test(host_path, stays_out_of_one_file_system)
{
    struct stat proc;
    cr_assert_eq(stat("/proc", &proc), 0);
    cr_expect_eq(open_path("/proc", proc.st_dev), -EDEADLK);
    cr_expect_eq(open_path("/proc/none", proc.st_dev), -EDEADLK);
    cr_expect_eq(open_path("to-proc/none", proc.st_dev), -EDEADLK);
    cr_expect_eq(open_path("/proc/../tmp", proc.st_dev), -EDEADLK);
    cr_expect_eq(open_path("dir/absolute/to-proc", proc.st_dev), -EDEADLK);
    cr_expect_eq(open_path("/tmp", proc.st_dev), 0);
    cr_expect_eq(open_path("/proc/self/status", 0), 0);
}

Test(host_path, long_ones_are_refused)
{
    char path[8192];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    cr_expect_eq(open_path(path, 0), -ENAMETOOLONG);
    path[300] = '\0';
    cr_expect_eq(open_path(path, 0), -ENAMETOOLONG);
    for (size_t i = 0; i + 1 < sizeof path; i++)
        path[i] = i % 2 ? 'a' : '/';
    path[sizeof path - 1] = '\0';
    cr_expect_eq(open_path(path, 0), -ENAMETOOLONG);
}
