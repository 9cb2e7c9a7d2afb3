/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/checkpoint.h"
#include "images/files.h"
#include "images/image.h"
#include "src/cleanup.h"
#include "tests/unit/checkpointdir.h"
#include "tests/unit/imagedir.h"
#include "vmm/qcow2.h"

static const char *store;
static char build_id[65];

static void set_up(void)
{
    store = imagedir_begin();
    setenv("XDG_RUNTIME_DIR", store, 1);
    imagedir_add("rootfs", build_id);
}

TestSuite(template, .init = set_up, .fini = imagedir_end);

static void publish(const char *key, struct checkpoint *out)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct err err = {0};
    checkpointdir_work(store, CHECKPOINT_FULL, build_id, NULL, false, &work, &manifest);
    cr_assert_eq(template_publish(store, &work, key, &manifest, out, &err), 0, "%s", err.text);
    cr_expect_null(out->name);
    cr_expect_null(manifest.sandbox);
    store_work_end(&work);
}

/* Publishes one that was used `age` seconds ago. */
static void add(const char *key, time_t age)
{
    struct checkpoint c;
    publish(key, &c);
    checkpoint_close(&c);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    cleanup_free char *path = files_format("%s/templates/%s/manifest.json", store, key);
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool exists(const char *key)
{
    cleanup_free char *path = files_format("%s/templates/%s", store, key);
    return files_exists(path);
}

Test(template, opening_marks_it_as_used)
{
    struct template_info *list;
    size_t count;
    struct checkpoint c;
    struct err err = {0};
    add("aa", 100);
    add("bb", 50);
    cr_assert_eq(template_list(store, &list, &count, &err), 0, "%s", err.text);
    cr_expect_eq(count, 2);
    cr_expect_str_eq(list[0].key, "bb");
    cr_expect_str_eq(list[0].build_id, build_id);
    cr_expect_not(list[0].in_use);
    cr_expect_gt(list[0].bytes, 0);
    free(list);
    cr_assert_eq(template_open(store, "aa", &c, &err), 0, "%s", err.text);
    cr_assert_eq(template_list(store, &list, &count, &err), 0, "%s", err.text);
    cr_expect_str_eq(list[0].key, "aa");
    cr_expect(list[0].in_use);
    free(list);
    checkpoint_close(&c);
}

Test(template, the_least_recently_used_go)
{
    uint64_t freed;
    struct checkpoint c;
    struct err err = {0};
    struct template_info *list;
    size_t count;
    add("aa", 100);
    add("bb", 50);
    add("cc", 10);
    cr_assert_eq(template_list(store, &list, &count, NULL), 0);
    uint64_t all = list[0].bytes + list[1].bytes + list[2].bytes;
    free(list);
    cr_assert_eq(template_trim(store, all, &freed, &err), 0, "%s", err.text);
    cr_expect_eq(freed, 0);
    cr_assert_eq(template_trim(store, all - 1, &freed, &err), 0, "%s", err.text);
    cr_expect_gt(freed, 0);
    cr_expect_not(exists("aa"));
    cr_assert_eq(template_open(store, "bb", &c, &err), 0, "%s", err.text);
    cr_assert_eq(template_trim(store, 0, &freed, &err), 0, "%s", err.text);
    cr_expect(exists("bb"), "one in use was removed");
    cr_expect_not(exists("cc"));
    cr_assert_eq(template_drop(store, "bb", &err), 0, "%s", err.text);
    cr_expect_not(exists("bb"), "dropped although in use");
    cr_expect_eq(template_drop(store, "bb", &err), 0);
    checkpoint_close(&c);
}

Test(template, publishing_keeps_to_the_limit)
{
    struct checkpoint c;
    add("aa", 100);
    setenv("GONDOLIN_TEMPLATE_LIMIT", "1K", 1);
    publish("bb", &c);
    cr_expect_not(exists("aa"));
    cr_expect(exists("bb"), "the one just made stays");
    checkpoint_close(&c);
    unsetenv("GONDOLIN_TEMPLATE_LIMIT");
}

Test(template, publishing_one_that_is_there_is_success)
{
    struct checkpoint one, other;
    publish("aa", &one);
    publish("aa", &other);
    checkpoint_close(&one);
    checkpoint_close(&other);
}

Test(template, keys_are_checked)
{
    static const char *const bad[] = {"", "..", "a/b", "AA", "xyz"};
    struct checkpoint c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(template_open(store, bad[i], &c, NULL), -EINVAL);
        cr_expect_eq(template_drop(store, bad[i], NULL), -EINVAL);
    }
    cr_expect_eq(template_open(store, "ab", &c, NULL), -ENOENT);
}

Test(template, one_whose_image_has_moved_is_damaged)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    checkpointdir_work(store, CHECKPOINT_FULL, build_id, NULL, false, &work, &manifest);
    manifest.image = files_format("%s/copy", store);
    cleanup_free char *disk = files_format("%s/disk.qcow2", work.path), *rootfs = files_format("%s/rootfs.qcow2", manifest.image);
    cleanup_close int fd = open(disk, O_RDWR | O_CLOEXEC);
    cr_assert_eq(qcow2_set_backing(fd, rootfs, &err), 0, "%s", err.text);
    cr_assert_eq(template_publish(store, &work, "aa", &manifest, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    store_work_end(&work);
    cr_expect_eq(template_open(store, "aa", &c, &err), -EBADMSG, "%s", err.text);
    cr_expect(strstr(err.text, "not there any more"), "%s", err.text);
    cleanup_free char *lost = files_format("%s/templates/aa/manifest.json", store);
    unlink(lost);
    cr_expect_eq(template_open(store, "aa", &c, &err), -EBADMSG, "%s", err.text);
}

Test(template, they_go_with_their_image)
{
    bool removed;
    struct err err = {0};
    add("aa", 1);
    cr_assert_eq(image_remove(build_id, &removed, &err), 0, "%s", err.text);
    cr_expect(removed);
    cr_expect_not(exists("aa"));
}

Test(template, a_published_one_is_compared_when_it_is_first_used)
{
    struct checkpoint c;
    struct err err = {0};
    add("aa", 1);
    cleanup_free char *record = files_format("%s/templates/aa/verified", store);
    cr_expect_not(files_exists(record), "it was not synced");
    cr_assert_eq(template_open(store, "aa", &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    cleanup_free char *ram = files_format("%s/templates/aa/ram", store);
    cleanup_close int fd = open(ram, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "\xff", 1, 0), 1);
    cr_expect_eq(template_open(store, "aa", &c, &err), -EBADMSG);
}

/* Waits until what was written last is older than the grain of time stamps. */
static void settle(void)
{
    sleep(3);
}

static bool is_recorded(const char *word)
{
    cleanup_free char *command = files_format("grep -q '^ram .*%s' %s/templates/aa/verified", word, store);
    return system(command) == 0;
}

Test(template, it_is_compared_again_after_the_host_has_booted)
{
    struct checkpoint c;
    struct err err = {0};
    cleanup_free char *boot = files_read("/proc/sys/kernel/random/boot_id", 64, NULL);
    boot[strcspn(boot, "\n")] = '\0';
    add("aa", 1);
    settle();
    cr_assert_eq(template_open(store, "aa", &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    cr_assert(is_recorded(boot));
    cleanup_free char *command = files_format("sed -i 's/%s/another-boot/' %s/templates/aa/verified", boot, store);
    cr_assert_eq(system(command), 0);
    cr_assert(is_recorded("another-boot"));
    cr_assert_eq(template_open(store, "aa", &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    cr_expect(is_recorded(boot));
}
