/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent reads: kernel command line, account files, job descriptions. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/accounts.h"
#include "guest/cmdline.h"
#include "guest/envlist.h"
#include "guest/jobspec.h"

Test(guest_cmdline, defaults)
{
    struct cmdline c;
    struct err err = {0};
    cr_assert_eq(cmdline_parse("quiet panic=-1\n", &c, &err), 0);
    cr_assert_str_eq(c.root, "/dev/vda");
    cr_assert_str_eq(c.fstype, "ext4");
    cr_assert_not(c.read_only);
}

Test(guest_cmdline, options)
{
    struct cmdline c;
    struct err err = {0};
    static const char text[] = "a gondolin.root=/dev/vdb1\tgondolin.rootfstype=btrfs  gondolin.ro x=gondolin.y";
    cr_assert_eq(cmdline_parse(text, &c, &err), 0);
    cr_assert_str_eq(c.root, "/dev/vdb1");
    cr_assert_str_eq(c.fstype, "btrfs");
    cr_assert(c.read_only);
}

Test(guest_cmdline, bad_options_are_named)
{
    static const char *const bad[] = {"gondolin.root=vda", "gondolin.root=", "gondolin.root=/dev/../etc",
                                      "gondolin.root=/dev/", "gondolin.rootfstype=", "gondolin.row", "gondolin.",
                                      /* too long */
                                      ("gondolin.root=/dev/xxxx"
                                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cmdline c;
        struct err err = {0};
        cr_expect_eq(cmdline_parse(bad[i], &c, &err), -EINVAL, "%s", bad[i]);
        cr_expect_not_null(strstr(err.text, bad[i]));
    }
}

static struct account_files files;

static char *write_temporary(const char *text)
{
    char name[] = "/tmp/test-guest-parse.XXXXXX";
    int fd = mkstemp(name);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return strdup(name);
}

static void make_files(void)
{
    files.passwd = write_temporary("root:x:0:0:root:/root:/bin/bash\n"
                                   "# comment\nbroken line\n"
                                   "ann:x:1000:1000:Ann:/home/ann:/bin/zsh\nbare:x:7:7:::\n");
    files.group = write_temporary("root:x:0:\nann:x:1000:ann\naudio:x:29:bob,ann\nvideo:x:44:ann\nother:x:50:annie\n");
}

static void remove_files(void)
{
    unlink(files.passwd);
    unlink(files.group);
    free((char *)(uintptr_t)files.passwd);
    free((char *)(uintptr_t)files.group);
}

TestSuite(guest_accounts, .init = make_files, .fini = remove_files);

Test(guest_accounts, by_name_with_supplementary_groups)
{
    struct account a;
    struct err err = {0};
    cr_assert_eq(account_find(&files, "ann", &a, &err), 0);
    cr_assert(a.uid == 1000 && a.gid == 1000 && a.group_count == 2 && a.groups[0] == 29 && a.groups[1] == 44);
    cr_assert_str_eq(a.home, "/home/ann");
    cr_assert_str_eq(a.shell, "/bin/zsh");
}

Test(guest_accounts, by_number_and_with_group)
{
    struct account a;
    struct err err = {0};
    cr_assert_eq(account_find(&files, "1000:video", &a, &err), 0);
    cr_assert_str_eq(a.name, "ann");
    cr_assert(a.gid == 44 && a.group_count == 0);
    cr_assert_eq(account_find(&files, "4242", &a, &err), 0);
    cr_assert(a.uid == 4242 && a.gid == 0);
    cr_assert_str_eq(a.home, "/");
    cr_assert_eq(account_find(&files, "4242:77", &a, &err), 0);
    cr_assert_eq(a.gid, 77u);
    cr_assert_eq(account_find(&files, NULL, &a, &err), 0);
    cr_assert_str_eq(a.shell, "/bin/bash");
}

Test(guest_accounts, empty_fields_have_defaults)
{
    struct account a;
    struct err err = {0};
    cr_assert_eq(account_find(&files, "bare", &a, &err), 0);
    cr_assert_str_eq(a.home, "/");
    cr_assert_str_eq(a.shell, "/bin/sh");
}

Test(guest_accounts, root_needs_no_files)
{
    struct account a;
    struct err err = {0};
    struct account_files none = {"/no/such", "/no/such"};
    cr_assert_eq(account_find(&none, NULL, &a, &err), 0);
    cr_assert_str_eq(a.name, "root");
}

Test(guest_accounts, unknown_ones_are_named)
{
    static const char *const bad[] = {"nobody", "ann:nogroup", "", ":", "ann:", "-1",
                                      "4294967295", "99999999999", "0x1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct account a;
        struct err err = {0};
        cr_expect_eq(account_find(&files, bad[i], &a, &err), -ENOENT, "%s", bad[i]);
        cr_expect_gt(strlen(err.text), 5u);
    }
}

static int parse(const char *json, struct jobspec *spec, struct err *err)
{
    *err = (struct err){0};
    return jobspec_parse(json, strlen(json), spec, err);
}

Test(guest_jobspec, all_members)
{
    struct jobspec spec;
    struct err err;
    static const char json[] = "{\"argv\":[\"a\",\"b\"],\"env\":{\"K\":\"v=w\"},\"cwd\":\"/d\",\"user\":\"u\","
                               "\"timeout_ms\":5,\"tty\":true,\"rows\":3,\"cols\":4,\"stdin\":false,\"more\":1}";
    cr_assert_eq(parse(json, &spec, &err), 0, "%s", err.text);
    cr_assert_str_eq(spec.argv[1], "b");
    cr_assert_null(spec.argv[2]);
    cr_assert_str_eq(envlist_get(&spec.env, "K"), "v=w");
    cr_assert(spec.tty && spec.rows == 3 && spec.cols == 4 && !spec.stdin_open && spec.timeout_ms == 5);
    jobspec_clear(&spec);
}

Test(guest_jobspec, bytes_that_are_not_utf8_pass)
{
    struct jobspec spec;
    struct err err;
    cr_assert_eq(parse("{\"cmd\":\"echo \xff\xe4\"}", &spec, &err), 0, "%s", err.text);
    cr_assert_str_eq(spec.argv[2], "echo \xff\xe4");
    jobspec_clear(&spec);
}

Test(guest_jobspec, bad_ones_are_refused)
{
    static const char *const bad[] = {
        "{\"cmd\":1}",
        "{\"cmd\":\"a\",\"argv\":[\"b\"]}",
        "{\"argv\":\"x\"}",
        "{\"argv\":[1]}",
        "{\"argv\":[null]}",
        "{\"argv\":[\"\"]}",
        "{\"cmd\":\"a\\u0000b\"}",
        "{\"cmd\":\"a\",\"env\":[]}",
        "{\"cmd\":\"a\",\"env\":{\"K\":1}}",
        "{\"cmd\":\"a\",\"env\":{\"\":\"v\"}}",
        "{\"cmd\":\"a\",\"env\":{\"A=B\":\"v\"}}",
        "{\"cmd\":\"a\",\"timeout_ms\":-1}",
        "{\"cmd\":\"a\",\"timeout_ms\":1.5}",
        "{\"cmd\":\"a\",\"timeout_ms\":99999999999999999999}",
        "{\"cmd\":\"a\",\"rows\":65536}",
        "{\"cmd\":\"a\",\"tty\":\"yes\"}",
        "{\"cmd\":\"a\",\"cwd\":\"\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jobspec spec;
        struct err err;
        cr_expect_eq(parse(bad[i], &spec, &err), -EINVAL, "%s", bad[i]);
        cr_expect_gt(strlen(err.text), 5u, "%s", bad[i]);
        jobspec_clear(&spec);
    }
}

Test(guest_envlist, later_values_replace_earlier_ones)
{
    struct envlist a = {0}, b = {0};
    cr_assert_eq(envlist_put(&a, "AB", "1"), 0);
    cr_assert_eq(envlist_put(&a, "A", "2"), 0);
    cr_assert_eq(envlist_put(&b, "A", "3"), 0);
    cr_assert_eq(envlist_put(&b, "=", "3"), -EINVAL);
    cr_assert_eq(envlist_merge(&a, &b), 0);
    cr_assert_eq(a.count, 2u);
    cr_assert_str_eq(envlist_get(&a, "A"), "3");
    cr_assert_null(envlist_get(&a, "C"));
    envlist_clear(&a);
    envlist_clear(&b);
}
