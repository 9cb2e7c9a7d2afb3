/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/files.h"
#include "images/image.h"
#include "images/manifest.h"
#include "images/store.h"
#include "src/cleanup.h"
#include "tests/unit/imagedir.h"

static const char *store;
static char id[65];

static void set_up(void)
{
    store = imagedir_begin();
    imagedir_add("the root disk", id);
    cr_assert_eq(store_set_tag(store, "busybox", id, NULL), 0);
}

TestSuite(image, .init = set_up, .fini = imagedir_end);

static char *path_of(const char *name)
{
    return files_format("%s/images/%s/%s", store, id, name);
}

static void opens(const char *reference, const char *tag)
{
    struct image image;
    struct err err = {0};
    cr_assert_eq(image_open(reference, true, &image, &err), 0, "%s: %s", reference, err.text);
    cr_expect_str_eq(image.build_id, id);
    cr_expect_str_eq(image.arch, "x86_64");
    cr_expect(files_exists(image.kernel) && files_exists(image.initramfs) && files_exists(image.rootfs));
    if (tag)
        cr_expect_str_eq(image.tag, tag);
    else
        cr_expect_null(image.tag);
    image_close(&image);
    cr_expect_eq(image.lock_fd, -1);
}

static void fails(const char *reference, bool verify, int code, const char *words)
{
    struct image image;
    struct err err = {0};
    cr_expect_eq(image_open(reference, verify, &image, &err), -code, "%s: %s", reference, err.text);
    cr_expect(strstr(err.text, words), "%s: %s", reference, err.text);
    cr_expect_eq(image.lock_fd, -1);
}

Test(image, is_found_by_tag_prefix_and_directory)
{
    cleanup_free char *directory = files_format("%s/images/%s", store, id);
    char prefix[7] = "";
    memcpy(prefix, id, 6);
    opens("busybox", "busybox");
    opens(prefix, NULL);
    opens(id, NULL);
    opens(directory, NULL);
}

Test(image, that_is_not_there)
{
    fails("busibox", false, ENOENT, "did you mean busybox?");
    fails("something-else", false, ENOENT, "gondolin image ls");
    fails("0000", false, ENOENT, "there is none");
    fails("./nowhere", false, ENOENT, "nowhere");
    fails("/etc/passwd", false, ENOTDIR, "passwd");
    cr_assert_eq(store_remove_tag(store, "busybox", NULL), 0);
    fails("busybox", false, ENOENT, "gondolin build");
}

Test(image, damage_is_told)
{
    cleanup_free char *disk = path_of(IMAGE_ROOTFS);
    cleanup_close int fd = open(disk, O_WRONLY);
    cr_assert_eq(pwrite(fd, "X", 1, 0), 1);
    fails("busybox", false, EBADMSG, "rootfs.qcow2: damaged or tampered with: its SHA-256 is ");
    fails("busybox", true, EBADMSG, "rootfs.qcow2: damaged or tampered with: its SHA-256 is ");
    cr_assert_eq(ftruncate(fd, 3), 0);
    fails("busybox", false, EBADMSG, "has 3 bytes, and should have 13");
    cr_assert_eq(unlink(disk), 0);
    fails("busybox", false, EBADMSG, IMAGE_ROOTFS);
    cr_assert_eq(symlink("/etc/passwd", disk), 0);
    fails("busybox", false, ELOOP, IMAGE_ROOTFS);
}

Test(image, removal_of_tags_and_images)
{
    bool removed;
    struct err err = {0};
    struct image image;
    cr_assert_eq(image_tag("busybox", "other", &err), 0, "%s", err.text);
    cr_expect_eq(image_remove("busybox", &removed, &err), 0);
    cr_expect_not(removed, "it has another tag");
    opens("other", "other");

    cr_assert_eq(image_open("other", false, &image, &err), 0);
    cr_expect_eq(image_remove("other", &removed, &err), -EBUSY);
    opens("other", "other");
    image_close(&image);

    cr_expect_eq(image_tag("other", "more", &err), 0);
    cr_expect_eq(image_remove(id, &removed, &err), 0, "%s", err.text);
    cr_expect(removed);
    fails("other", false, ENOENT, "there is none yet");
}

Test(image, tags_are_for_images_of_the_store)
{
    struct err err = {0};
    cleanup_free char *directory = files_format("%s/images/%s", store, id);
    cr_expect_eq(image_tag(directory, "x", &err), -EINVAL);
    cr_expect_eq(image_tag("busybox", "a/b", &err), -EINVAL);
    cr_expect_eq(image_tag("nothing", "x", &err), -ENOENT);
    cr_expect_eq(image_tag("busybox", id, &err), -EINVAL);
    cr_expect_eq(image_tag("busybox", "0123abc", &err), -EINVAL);
    cr_expect(strstr(err.text, "looks like a build id"), "%s", err.text);
    cr_expect_eq(image_tag("busybox", "decade", &err), 0, "a word");
    cr_expect_eq(image_tag("busybox", "20261126-a", &err), 0);
}

Test(image, list_shows_damaged_ones)
{
    struct image_info *list;
    size_t count;
    struct err err = {0};
    char second[65];
    imagedir_add("another", second);
    cleanup_free char *manifest = path_of(MANIFEST_NAME);
    cr_assert_eq(truncate(manifest, 10), 0);
    cr_assert_eq(image_list(&list, &count, &err), 0, "%s", err.text);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(list[0].build_id, second);
    cr_expect_str_eq(list[0].tags, "");
    cr_expect_not_null(list[0].manifest);
    cr_expect_str_eq(list[1].build_id, id);
    cr_expect_str_eq(list[1].tags, "busybox");
    cr_expect_null(list[1].manifest);
    image_list_free(list, count);
    fails("busybox", false, EINVAL, "manifest.json");
}

Test(image, a_build_that_makes_no_sense_is_refused)
{
    struct err err = {0};
    const char *packages[] = {"vim", NULL};
    const struct image_recipe unknown = {.source = "busibox"}, packed = {.source = "busybox", .packages = packages},
                              small = {.source = "busybox", .disk_size = 1 << 20}, tagged = {.source = "busybox", .tag = "/"};
    cr_expect_eq(image_build(&unknown, NULL, NULL, NULL, &err), -EINVAL);
    cr_expect(strstr(err.text, "did you mean busybox?"), "%s", err.text);
    cr_expect_eq(image_build(&packed, NULL, NULL, NULL, &err), -EINVAL);
    cr_expect_eq(image_build(&small, NULL, NULL, NULL, &err), -EINVAL);
    cr_expect_eq(image_build(&tagged, NULL, NULL, NULL, &err), -EINVAL);
}
