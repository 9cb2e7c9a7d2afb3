/* SPDX-License-Identifier: Apache-2.0 */
/* Only what tests/integration/server-posix.sh, which runs the battery of file-system tests, cannot see. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>

#include "fs/memory.h"
#include "fs/vfs.h"

static const uint64_t LIMIT = 1 << 20;
static const struct vfs_cred user = {.uid = 1, .gid = 1};

static size_t resident(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void write_and_truncate(struct vfs *vfs, struct vfs_node *dir, const char *name, uint64_t left)
{
    struct vfs_entry entry;
    struct vfs_file *file;
    struct fuse_attr attr;
    const struct fuse_setattr_in set = {.valid = FATTR_SIZE, .size = left};
    cr_assert_eq(vfs->ops->create(vfs, &user, dir, name, 0600, O_RDWR, 0, &entry, &file), 0);
    cr_assert_eq(vfs->ops->write(vfs, file, "x", 1, LIMIT / 16 * 4096, 0), 1);
    cr_assert_eq(vfs->ops->setattr(vfs, entry.node, file, &set, &attr), 0);
    vfs->ops->release(vfs, file);
    vfs->ops->forget(vfs, entry.node);
}

Test(memory, what_a_truncated_file_no_longer_counts_is_free)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    size_t before = resident();
    for (unsigned i = 0; i < 64; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        write_and_truncate(vfs, root.node, name, i % 2 ? 0 : 4096);
    }
    cr_expect_leq(resident() - before, LIMIT);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, names_that_are_gone_count_as_long_as_they_are_held)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, dir, file;
    char name[256];
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    size_t before = resident();
    for (unsigned i = 0; i < 1024; i++) {
        snprintf(name, sizeof name, "%u", i);
        if (vfs->ops->mkdir(vfs, &user, root.node, name, 0700, &dir) < 0)
            break;
        for (unsigned n = 0; n < 40; n++) {
            snprintf(name, sizeof name, "%0255u", n);
            if (vfs->ops->mknod(vfs, &user, dir.node, name, 0100600, 0, &file) < 0)
                break;
            if (n > 0) /* the first one stays */
                cr_assert_eq(vfs->ops->unlink(vfs, dir.node, name), 0);
            vfs->ops->forget(vfs, file.node);
        }
        vfs->ops->forget(vfs, dir.node);
    }
    cr_expect_leq(resident() - before, LIMIT);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, an_empty_directory_holds_no_names)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, file;
    struct fuse_kstatfs before, after;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &before), 0);
    cr_assert_eq(vfs->ops->mknod(vfs, &user, root.node, "a", 0100600, 0, &file), 0);
    vfs->ops->forget(vfs, file.node);
    cr_assert_eq(vfs->ops->unlink(vfs, root.node, "a"), 0);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &after), 0);
    cr_expect_eq(before.bfree, after.bfree);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, a_file_with_two_names_is_freed_once)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, file, again;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    cr_assert_eq(vfs->ops->mknod(vfs, &user, root.node, "a", 0100600, 0, &file), 0);
    cr_assert_eq(vfs->ops->link(vfs, file.node, root.node, "b", &again), 0);
    vfs->ops->forget(vfs, file.node);
    vfs->ops->forget(vfs, again.node);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs); /* freed twice, it would end this process */
}

Test(memory, a_directory_that_cannot_be_made_takes_nothing)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, gone, made;
    struct fuse_kstatfs before, after;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    cr_assert_eq(vfs->ops->mkdir(vfs, &user, root.node, "gone", 0700, &gone), 0);
    cr_assert_eq(vfs->ops->rmdir(vfs, root.node, "gone"), 0);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &before), 0);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(vfs->ops->mkdir(vfs, &user, gone.node, "in it", 0700, &made), -ENOENT);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &after), 0);
    cr_expect_eq(before.bfree, after.bfree);
    vfs->ops->forget(vfs, gone.node);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}
