/* SPDX-License-Identifier: Apache-2.0 */
/* Only what tests/integration/server-posix.sh, which runs the battery of file-system tests, cannot see. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

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

static uint64_t blocks_free(struct vfs *vfs, struct vfs_node *node)
{
    struct fuse_kstatfs st;
    cr_assert_eq(vfs->ops->statfs(vfs, node, &st), 0);
    return st.bfree;
}

/* Until nothing more fits. */
static void fill_up(struct vfs *vfs, struct vfs_node *dir)
{
    struct vfs_entry entry;
    char name[16];
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof name, "%u", i);
        if (vfs->ops->mknod(vfs, &user, dir, name, 0100600, 0, &entry) < 0)
            return;
        vfs->ops->forget(vfs, entry.node);
    }
}

Test(memory, a_directory_without_room_for_its_name_leaves_nothing)
{
    struct vfs *vfs = memory_new(7700);
    struct vfs_entry root, dir;
    struct fuse_kstatfs before, after;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    fill_up(vfs, root.node);
    cr_assert_eq(vfs->ops->unlink(vfs, root.node, "0"), 0);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &before), 0);
    char name[256];
    snprintf(name, sizeof name, "%0255u", 0);
    cr_expect_eq(vfs->ops->mkdir(vfs, &user, root.node, name, 0700, &dir), -ENOSPC);
    cr_assert_eq(vfs->ops->statfs(vfs, root.node, &after), 0);
    cr_expect_eq(after.files, before.files);
    cr_expect_eq(after.ffree, before.ffree);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, targets_count)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, link;
    char target[4096] = "";
    memset(target, 't', sizeof target - 1);
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    uint64_t before = blocks_free(vfs, root.node);
    for (unsigned i = 0; i < 8; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        cr_assert_eq(vfs->ops->symlink(vfs, &user, root.node, name, target, &link), 0);
        cr_expect_eq(link.attr.size, sizeof target - 1);
        vfs->ops->forget(vfs, link.node);
    }
    cr_expect_geq(before - blocks_free(vfs, root.node), 8);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(vfs->ops->unlink(vfs, root.node, (const char[]){(char)('a' + i), '\0'}), 0);
    cr_expect_eq(blocks_free(vfs, root.node), before);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, links_of_directories_are_counted)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root, a, b;
    struct fuse_attr attr;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    cr_assert_eq(vfs->ops->mkdir(vfs, &user, root.node, "a", 0700, &a), 0);
    cr_assert_eq(vfs->ops->mkdir(vfs, &user, root.node, "b", 0700, &b), 0);
    cr_assert_eq(vfs->ops->rename(vfs, root.node, "b", a.node, "c", 0), 0);
    cr_expect(vfs->ops->getattr(vfs, a.node, NULL, &attr) == 0 && attr.nlink == 3);
    cr_expect(vfs->ops->getattr(vfs, b.node, NULL, &attr) == 0 && attr.nlink == 2);
    cr_expect(vfs->ops->getattr(vfs, root.node, NULL, &attr) == 0 && attr.nlink == 3);
    cr_assert_eq(vfs->ops->rmdir(vfs, a.node, "c"), 0);
    cr_expect(vfs->ops->getattr(vfs, b.node, NULL, &attr) == 0 && attr.nlink == 0);
    vfs->ops->forget(vfs, a.node);
    vfs->ops->forget(vfs, b.node);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

/* Deeper than a stack could take. */
Test(memory, a_deep_tree_is_taken_down)
{
    enum { DEPTH = 200000 };
    struct vfs *vfs = memory_new(UINT64_C(1) << 30);
    struct vfs_entry dir, below;
    cr_assert_eq(vfs->ops->root(vfs, &dir), 0);
    for (unsigned i = 0; i < DEPTH; i++) {
        cr_assert_eq(vfs->ops->mkdir(vfs, &user, dir.node, "d", 0700, &below), 0);
        vfs->ops->forget(vfs, dir.node);
        dir = below;
    }
    vfs->ops->forget(vfs, dir.node);
    memory_free(vfs);
}

Test(memory, an_extended_attribute_stays_when_there_is_no_room_for_its_new_value)
{
    static const char large[60000];
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root;
    char value[16], list[64];
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    cr_assert_eq(vfs->ops->setxattr(vfs, root.node, "user.b", large, sizeof large, 0), 0);
    cr_assert_eq(vfs->ops->setxattr(vfs, root.node, "user.a", "old", 3, 0), 0);
    cr_expect_eq(vfs->ops->setxattr(vfs, root.node, "user.a", large, sizeof large, 0), -ENOSPC);
    cr_assert_eq(vfs->ops->getxattr(vfs, root.node, "user.a", value, sizeof value), 3);
    cr_expect_arr_eq(value, "old", 3);
    cr_expect_eq(vfs->ops->setxattr(vfs, root.node, "user.b", "new", 3, 0), 0);
    cr_expect_eq(vfs->ops->setxattr(vfs, root.node, "user.a", large, sizeof large, 0), 0);
    cr_assert_eq(vfs->ops->listxattr(vfs, root.node, list, sizeof list), 14);
    cr_expect_arr_eq(list, "user.a\0user.b", 14);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}

Test(memory, names_of_extended_attributes_count)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_entry root;
    char name[256];
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    uint64_t before = blocks_free(vfs, root.node);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "user.%0250u", i);
        cr_assert_eq(vfs->ops->setxattr(vfs, root.node, name, "", 0, 0), 0);
    }
    cr_expect_geq((before - blocks_free(vfs, root.node)) * 4096, 200 * 255);
    vfs->ops->forget(vfs, root.node);
    memory_free(vfs);
}
