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

#include "images/files.h"
#include "images/store.h"
#include "src/cleanup.h"
#include "tests/unit/imagedir.h"

static const char *store;
static const char id_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char id_b[] = "aaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void set_up(void)
{
    store = imagedir_begin();
}

TestSuite(store, .init = set_up, .fini = imagedir_end);

static size_t entries(const char *part)
{
    cleanup_free char *command = files_format("exit $(ls -A %s/%s | wc -l)", store, part);
    return (size_t)WEXITSTATUS(system(command));
}

Test(store, directories_are_private)
{
    struct stat st;
    cr_assert_eq(stat(store, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0700);
}

Test(store, work_goes_with_its_end)
{
    struct store_work work;
    struct err err = {0};
    cr_assert_eq(store_work_begin(store, "x", &work, &err), 0, "%s", err.text);
    cr_expect_eq(entries("tmp"), 1);
    cr_expect_eq(store_clean(store), 0);
    cr_expect_eq(entries("tmp"), 1, "work that is going on was removed");
    store_work_end(&work);
    cr_expect_eq(entries("tmp"), 0);
}

Test(store, abandoned_work_is_removed)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct store_work work;
        store_work_begin(store, "x", &work, NULL);
        cleanup_free char *sub = files_format("%s/a/b", work.path);
        files_make_directories(sub, 0700);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    cr_assert_eq(entries("tmp"), 1);
    cr_expect_eq(store_clean(store), 0);
    cr_expect_eq(entries("tmp"), 0);
}

Test(store, publishing_moves_the_work_whole)
{
    struct store_work work, again;
    struct err err = {0};
    store_work_begin(store, "x", &work, NULL);
    cleanup_free char *file = files_format("%s/file", work.path), *published = files_format("%s/images/%s/file", store, id_a);
    close(open(file, O_CREAT | O_WRONLY, 0644));
    cr_assert_eq(store_publish(store, &work, id_a, &err), 0, "%s", err.text);
    store_work_end(&work);
    cr_expect(files_exists(published));
    cr_expect_eq(entries("tmp"), 0);

    store_work_begin(store, "x", &again, NULL);
    cr_expect_eq(store_publish(store, &again, id_a, &err), 0, "an image that is there already is no error");
    store_work_end(&again);
    cr_expect(files_exists(published));
}

Test(store, tags_are_replaced)
{
    struct err err = {0};
    char id[DIGEST_HEX_SIZE];
    cr_assert_eq(store_set_tag(store, "t", id_a, &err), 0, "%s", err.text);
    cr_assert_eq(store_set_tag(store, "t", id_b, &err), 0, "%s", err.text);
    cr_expect_eq(store_read_tag(store, "t", id), 0);
    cr_expect_str_eq(id, id_b);
    cr_expect_eq(entries("tmp"), 0);
    cr_expect_eq(store_remove_tag(store, "t", &err), 0);
    cr_expect_eq(store_read_tag(store, "t", id), -ENOENT);
}

Test(store, half_made_tags_are_removed_or_overwritten)
{
    struct err err = {0};
    cleanup_free char *half = files_format("%s/tmp/tag-t", store);
    cr_assert_eq(symlink("nowhere", half), 0);
    cr_expect_eq(store_set_tag(store, "t", id_a, &err), 0, "%s", err.text);
    cr_assert_eq(symlink("nowhere", half), 0);
    cr_expect_eq(store_clean(store), 0);
    cr_expect_eq(entries("tmp"), 0);
}

Test(store, strange_tags)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "-x", ".x", "a b", "a\n", "ü",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char id[DIGEST_HEX_SIZE];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(store_check_tag(bad[i], NULL), -EINVAL, "%s", bad[i]);
        cr_expect_eq(store_read_tag(store, bad[i], id), -ENOENT, "%s", bad[i]);
    }
    cr_expect_eq(store_check_tag("Debian-12.5_x", NULL), 0);

    /* A link that this program would not have made. */
    cleanup_free char *link = files_format("%s/tags/evil", store);
    cr_assert_eq(symlink("../../../etc", link), 0);
    cr_expect_eq(store_read_tag(store, "evil", id), -ENOENT);
}

Test(store, prefixes)
{
    char id[DIGEST_HEX_SIZE];
    cleanup_free char *a = files_format("%s/images/%s", store, id_a), *b = files_format("%s/images/%s", store, id_b);
    mkdir(a, 0700);
    mkdir(b, 0700);
    cr_expect_eq(store_find_prefix(store, "aaaab", id), 0);
    cr_expect_str_eq(id, id_b);
    cr_expect_eq(store_find_prefix(store, "aaaa", id), -EEXIST);
    cr_expect_eq(store_find_prefix(store, "aaa", id), -ENOENT, "three digits are too few");
    cr_expect_eq(store_find_prefix(store, "bbbb", id), -ENOENT);
    cr_expect_eq(store_find_prefix(store, "AAAAB", id), -ENOENT);
    cr_expect_eq(store_find_prefix(store, id_a, id), 0);
}

Test(store, an_image_in_use_is_not_removed)
{
    char id[DIGEST_HEX_SIZE];
    struct err err = {0};
    imagedir_add("disk", id);
    cleanup_free char *directory = files_format("%s/images/%s", store, id);
    int one = store_lock_manifest(directory), other = store_lock_manifest(directory);
    cr_assert_geq(one, 0);
    cr_assert_geq(other, 0, "two can use an image");
    cr_expect_eq(store_remove_entry(store, "images", id, NULL, &err), -EBUSY);
    close(one);
    cr_expect_eq(store_remove_entry(store, "images", id, NULL, &err), -EBUSY);
    close(other);
    cr_expect_eq(store_remove_entry(store, "images", id, NULL, &err), 0, "%s", err.text);
    cr_expect_eq(entries("images") + entries("tmp"), 0);
    cr_expect_eq(store_lock_manifest(directory), -ENOENT);
}
