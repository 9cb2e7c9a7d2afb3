/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a host directory as a peer sees them, and what it must not get at. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/unit/peer.h"

enum { ROOT = FUSE_ROOT_ID };

static const struct peer_options defaults;

static int setattr(struct peer *peer, uint64_t node, struct fuse_setattr_in in)
{
    return PEER_CALL(peer, FUSE_SETATTR, node, PEER_ARGS(in));
}

static mode_t mode_of(int dir_fd, const char *name)
{
    struct stat st;
    cr_assert_eq(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

/* --- escapes ------------------------------------------------------------------------------------------------- */

/* A tree with links that lead to a canary beside it, which must still be untouched at the end. */
static struct peer *peer_with_canary(const char *target)
{
    struct peer *peer = peer_new(&(struct peer_options){.all_xattrs = true});
    char path[128];
    peer_put_file(peer->dir_fd, "canary", "untouched");
    cr_assert_eq(mkdirat(peer->dir_fd, "outside", 0755), 0);
    snprintf(path, sizeof path, "%s/%s", peer->dir, target);
    cr_assert_eq(symlinkat(path, peer->tree_fd, "absolute"), 0);
    snprintf(path, sizeof path, "../%s", target);
    cr_assert_eq(symlinkat(path, peer->tree_fd, "relative"), 0);
    return peer;
}

static void check_canary(struct peer *peer)
{
    struct stat st;
    cr_expect_str_eq(peer_get_file(peer->dir_fd, "canary"), "untouched");
    cr_assert_eq(fstatat(peer->dir_fd, "canary", &st, 0), 0);
    cr_expect(st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
    cr_expect_eq(faccessat(peer->dir_fd, "outside/new", F_OK, 0), -1);
    peer_free(peer);
}

Test(hostdir, links_to_files_are_not_followed)
{
    struct peer *peer = peer_with_canary("canary");
    static const char *const names[] = {"absolute", "relative"};
    for (int i = 0; i < 2; i++) {
        uint64_t link = peer_lookup(peer, ROOT, names[i]), node, fh;
        const struct fuse_entry_out *entry = (const struct fuse_entry_out *)peer_reply(peer)->body;
        cr_expect(S_ISLNK(entry->attr.mode));
        cr_expect_eq(peer_open(peer, link, O_RDWR | O_TRUNC), 0);
        cr_expect_eq(peer_create(peer, ROOT, names[i], O_RDWR | O_TRUNC, 0644, &node, &fh), -ESTALE);
        cr_expect_eq(peer_create(peer, ROOT, names[i], O_RDWR | O_EXCL, 0644, &node, &fh), -EEXIST);
        cr_expect_lt(setattr(peer, link, (struct fuse_setattr_in){.valid = FATTR_SIZE}), 0);
        cr_expect_eq(setattr(peer, link, (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0777}), -EOPNOTSUPP);
        cr_expect_eq(setattr(peer, link, (struct fuse_setattr_in){.valid = FATTR_MTIME, .mtime = 1}), 0);
        struct wire_setxattr_in in = {.size = 1};
        cr_expect_lt(PEER_CALL(peer, FUSE_SETXATTR, link, PEER_ARGS(in), PEER_NAME("user.a"), {"x", 1}), 0);
        struct fuse_link_in hard = {.oldnodeid = link};
        cr_expect_eq(PEER_CALL(peer, FUSE_LINK, ROOT, PEER_ARGS(hard), PEER_NAME(i ? "hard1" : "hard0")), 0);
        cr_expect_eq(PEER_CALL(peer, FUSE_READLINK, link, {0}), 0);
        cr_expect_neq(memmem(peer_reply(peer)->body, peer_reply(peer)->len, "canary", 6), NULL);
        cr_expect_eq(PEER_CALL(peer, FUSE_UNLINK, ROOT, PEER_NAME(names[i])), 0);
    }
    check_canary(peer);
}

Test(hostdir, links_to_directories_are_not_followed)
{
    struct peer *peer = peer_with_canary("outside");
    uint64_t link = peer_lookup(peer, ROOT, "absolute"), node, fh;
    struct fuse_mkdir_in mkdir = {.mode = 0755};
    cr_expect_eq(peer_opendir(peer, link), 0);
    cr_expect_eq(peer_create(peer, link, "new", O_RDWR, 0644, &node, &fh), -ENOTDIR);
    cr_expect_eq(PEER_CALL(peer, FUSE_MKDIR, link, PEER_ARGS(mkdir), PEER_NAME("new")), -ENOTDIR);
    cr_expect_eq(PEER_CALL(peer, FUSE_RMDIR, ROOT, PEER_NAME("relative")), -ENOTDIR);
    check_canary(peer);
}

Test(hostdir, a_name_swapped_for_a_link_is_not_followed)
{
    struct peer *peer = peer_with_canary("outside");
    cr_assert_eq(mkdirat(peer->tree_fd, "d", 0755), 0);
    uint64_t dir = peer_lookup(peer, ROOT, "d"), node, fh;
    /* what a racing process on this side may do between two requests */
    cr_assert_eq(unlinkat(peer->tree_fd, "d", AT_REMOVEDIR), 0);
    cr_assert_eq(symlinkat("../outside", peer->tree_fd, "d"), 0);
    cr_expect_eq(peer_create(peer, dir, "new", O_RDWR, 0644, &node, &fh), -ENOENT);
    cr_expect_eq(peer_lookup_error(peer, dir, "new"), -ENOENT);
    peer_put_file(peer->tree_fd, "f", "mine");
    uint64_t file = peer_lookup(peer, ROOT, "f");
    cr_assert_eq(unlinkat(peer->tree_fd, "f", 0), 0);
    cr_assert_eq(symlinkat("../canary", peer->tree_fd, "f"), 0);
    fh = peer_open(peer, file, O_RDWR | O_TRUNC);
    cr_expect_neq(fh, 0, "the old file, without a name now");
    cr_expect_eq(peer_write(peer, file, fh, 0, "overwritten", 0, 0), 0);
    cr_expect_eq(setattr(peer, file, (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0777}), 0);
    check_canary(peer);
}

Test(hostdir, the_root_s_parent_is_not_shown)
{
    struct peer *peer = peer_new(&defaults);
    struct stat st;
    cr_assert_eq(fstat(peer->tree_fd, &st), 0);
    struct fuse_read_in in = {.fh = peer_opendir(peer, ROOT), .size = 4096};
    cr_assert_eq(PEER_CALL(peer, FUSE_READDIR, ROOT, PEER_ARGS(in)), 0);
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    while (wire_dirent_next((const uint8_t *)peer_reply(peer)->body, peer_reply(peer)->len, &at, &entry, &name) > 0)
        cr_expect_eq(entry.ino, st.st_ino);
    peer_free(peer);
}

Test(hostdir, devices_only_where_allowed)
{
    struct peer *peer = peer_new(&defaults);
    struct fuse_mknod_in in = {.mode = S_IFCHR | 0666, .rdev = 0x103};
    cr_expect_eq(PEER_CALL(peer, FUSE_MKNOD, ROOT, PEER_ARGS(in), PEER_NAME("null")), -EPERM);
    in.mode = S_IFBLK | 0666;
    cr_expect_eq(PEER_CALL(peer, FUSE_MKNOD, ROOT, PEER_ARGS(in), PEER_NAME("disk")), -EPERM);
    in.mode = S_IFSOCK | 0600;
    cr_expect_eq(PEER_CALL(peer, FUSE_MKNOD, ROOT, PEER_ARGS(in), PEER_NAME("socket")), 0);
    in.mode = S_IFIFO | 0600;
    cr_expect_eq(PEER_CALL(peer, FUSE_MKNOD, ROOT, PEER_ARGS(in), PEER_NAME("fifo")), 0);
    peer_free(peer);
}

/* --- data ---------------------------------------------------------------------------------------------------- */

Test(hostdir, create_write_read)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    cr_assert_eq(peer_create(peer, ROOT, "new", O_RDWR | O_EXCL, 0666, &node, &fh), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "new"), 0644, "umask 022");
    cr_expect_eq(peer_write(peer, node, fh, 0, "hello world", 0, 0), 0);
    cr_expect_eq(peer_reply(peer)->body[0] & UINT32_MAX, 11);
    cr_expect_eq(peer_write(peer, node, fh, 6, "there", 0, 0), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "new"), "hello there");
    cr_expect_str_eq(peer_read(peer, node, fh, 6, 100), "there");
    cr_expect_str_eq(peer_read(peer, node, fh, 100, 100), "");
    peer_free(peer);
}

Test(hostdir, create_of_a_name_taken_meanwhile_opens_it)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    peer_put_file(peer->tree_fd, "f", "text");
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR, 0600, &node, &fh), 0);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "text");
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 0644);
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR | O_TRUNC, 0600, &node, &fh), 0);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "");
    cr_expect_eq(peer_create(peer, ROOT, "f", O_RDWR | O_EXCL, 0600, &node, &fh), -EEXIST);
    mkfifoat(peer->tree_fd, "fifo", 0644);
    cr_expect_eq(peer_create(peer, ROOT, "fifo", O_RDWR, 0600, &node, &fh), -ESTALE);
    peer_free(peer);
}

Test(hostdir, append_goes_to_the_end_as_it_is_now)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "log", "one ");
    uint64_t node = peer_lookup(peer, ROOT, "log"), fh = peer_open(peer, node, O_WRONLY | O_APPEND);
    peer_put_file(peer->tree_fd, "log", "one two ");
    cr_expect_eq(peer_write(peer, node, fh, 4, "three ", O_WRONLY | O_APPEND, 0), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "log"), "one two three ");
    cr_expect_eq(peer_write(peer, node, fh, 0, "ONE", O_WRONLY | O_APPEND, FUSE_WRITE_CACHE), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "log"), "ONE two three ", "write-back knows its place");
    cr_expect_eq(peer_write(peer, node, fh, 4, "TWO", O_WRONLY, 0), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "log"), "ONE TWO three ", "O_APPEND was switched off");
    peer_free(peer);
}

/* How many of the first pages of a file the page cache has. */
static unsigned cached_pages(int dir_fd, const char *name, unsigned pages)
{
    unsigned char resident[256];
    unsigned count = 0;
    cr_assert_leq(pages, sizeof resident);
    int fd = openat(dir_fd, name, O_RDONLY);
    void *map = mmap(NULL, pages * 4096, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq(map, MAP_FAILED);
    cr_assert_eq(mincore(map, pages * 4096, resident), 0);
    for (unsigned i = 0; i < pages; i++)
        count += resident[i] & 1;
    munmap(map, pages * 4096);
    close(fd);
    return count;
}

static bool can_be_written_directly(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_DIRECT);
    struct statfs st;
    bool can = fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == EXT4_SUPER_MAGIC;
    close(fd);
    return can;
}

Test(hostdir, large_pieces_that_lengthen_a_file_go_past_the_cache)
{
    enum { PIECE = PEER_MAX_WRITE, PAGES = PIECE / 4096 };
    struct peer *peer = peer_new(&(struct peer_options){.direct = true, .workers = 1});
    static char text[PIECE + 1], expected[2 * PIECE];
    uint64_t node, fh;
    struct fuse_attr attr;
    memset(text, 'a', PIECE);
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    cr_expect_eq(peer_write(peer, node, fh, 0, text, 0, 0), 0);
    cr_expect_eq(peer_reply(peer)->body[0] & UINT32_MAX, PIECE);
    cr_expect_eq(peer_write(peer, node, fh, PIECE, text, 0, 0), 0);
    if (can_be_written_directly(peer->tree_fd, "f"))
        cr_expect_eq(cached_pages(peer->tree_fd, "f", 2 * PAGES), 0);
    memset(text, 'b', PIECE);
    cr_expect_eq(peer_write(peer, node, fh, PIECE / 2, text, 0, 0), 0, "what is there is written in the cache");
    cr_expect_geq(cached_pages(peer->tree_fd, "f", 2 * PAGES), PAGES);
    cr_expect_eq(peer_write(peer, node, fh, 2 * PIECE + 3, "tail", 0, 0), 0);
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect_eq(attr.size, 2 * PIECE + 7);
    cr_expect_eq(peer_write(peer, node, fh, 2 * PIECE + 4096, text, O_DSYNC, 0), 0);
    memset(expected, 'a', 2 * PIECE);
    memset(expected + PIECE / 2, 'b', PIECE);
    int fd = openat(peer->tree_fd, "f", O_RDONLY);
    cr_expect_eq(pread(fd, text, PIECE, 0), PIECE);
    cr_expect_arr_eq(text, expected, PIECE);
    cr_expect_eq(pread(fd, text, PIECE, PIECE), PIECE);
    cr_expect_arr_eq(text, expected + PIECE, PIECE);
    cr_expect_eq(pread(fd, text, 8, 2 * PIECE), 8);
    cr_expect_arr_eq(text, "\0\0\0tail\0", 8);
    close(fd);
    peer_free(peer);
}

Test(hostdir, unlinked_files_stay_usable)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    struct fuse_attr attr;
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    cr_expect_eq(PEER_CALL(peer, FUSE_UNLINK, ROOT, PEER_NAME("f")), 0);
    cr_expect_eq(peer_write(peer, node, fh, 0, "still", 0, 0), 0);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 10), "still");
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(attr.nlink == 0 && attr.size == 5);
    cr_expect_eq(setattr(peer, node, (struct fuse_setattr_in){.valid = FATTR_MODE | FATTR_SIZE, .mode = 0600}), 0);
    peer_free(peer);
}

Test(hostdir, holes)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    cr_assert_eq(peer_create(peer, ROOT, "sparse", O_RDWR, 0644, &node, &fh), 0);
    cr_expect_eq(peer_write(peer, node, fh, 1 << 20, "data", 0, 0), 0);
    struct fuse_lseek_in seek = {.fh = fh, .whence = SEEK_DATA};
    cr_expect_eq(PEER_CALL(peer, FUSE_LSEEK, node, PEER_ARGS(seek)), 0);
    cr_expect_eq(peer_reply(peer)->body[0], 1 << 20);
    struct fuse_fallocate_in punch = {.fh = fh, .offset = 1 << 20, .length = 4096,
                                      .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    cr_expect_eq(PEER_CALL(peer, FUSE_FALLOCATE, node, PEER_ARGS(punch)), 0);
    cr_expect_eq(PEER_CALL(peer, FUSE_LSEEK, node, PEER_ARGS(seek)), -ENXIO);
    seek.whence = SEEK_HOLE;
    cr_expect_eq(PEER_CALL(peer, FUSE_LSEEK, node, PEER_ARGS(seek)), 0);
    cr_expect_eq(peer_reply(peer)->body[0], 0);
    peer_free(peer);
}

Test(hostdir, copy_within_the_tree)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    peer_put_file(peer->tree_fd, "from", "0123456789");
    uint64_t from = peer_lookup(peer, ROOT, "from");
    cr_assert_eq(peer_create(peer, ROOT, "to", O_RDWR, 0644, &node, &fh), 0);
    struct fuse_copy_file_range_in in = {.fh_in = peer_open(peer, from, O_RDONLY), .off_in = 2, .nodeid_out = node,
                                         .fh_out = fh, .len = 5};
    cr_expect_eq(PEER_CALL(peer, FUSE_COPY_FILE_RANGE, from, PEER_ARGS(in)), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "to"), "23456");
    peer_free(peer);
}

/* --- modes, owners, times --------------------------------------------------------------------------------------- */

Test(hostdir, writes_clear_suid_when_asked_to)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "text");
    uint64_t node = peer_lookup(peer, ROOT, "f"), fh = peer_open(peer, node, O_RDWR);
    cr_assert_eq(fchmodat(peer->tree_fd, "f", 06755, 0), 0);
    cr_expect_eq(peer_write(peer, node, fh, 0, "x", 0, FUSE_WRITE_KILL_SUIDGID), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 0755);

    cr_assert_eq(fchmodat(peer->tree_fd, "f", 06755, 0), 0);
    struct fuse_setattr_in size = {.valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 1};
    cr_expect_eq(setattr(peer, node, size), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 0755);

    cr_assert_eq(fchmodat(peer->tree_fd, "f", 06755, 0), 0);
    struct fuse_open_in in = {.flags = O_WRONLY | O_TRUNC, .open_flags = FUSE_OPEN_KILL_SUIDGID};
    cr_expect_eq(PEER_CALL(peer, FUSE_OPEN, node, PEER_ARGS(in)), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 0755);

    cr_assert_eq(fchmodat(peer->tree_fd, "f", 02745, 0), 0);
    cr_expect_eq(peer_write(peer, node, fh, 0, "x", 0, FUSE_WRITE_KILL_SUIDGID), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 02745, "sgid without group execution is not a privilege");
    peer_free(peer);
}

Test(hostdir, root_s_writes_keep_suid)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "text");
    uint64_t node = peer_lookup(peer, ROOT, "f"), fh = peer_open(peer, node, O_RDWR);
    cr_assert_eq(fchmodat(peer->tree_fd, "f", 06755, 0), 0);
    cr_expect_eq(peer_write(peer, node, fh, 0, "x", 0, 0), 0);
    cr_expect_eq(mode_of(peer->tree_fd, "f"), 06755);
    peer_free(peer);
}

Test(hostdir, times_have_nanoseconds)
{
    struct peer *peer = peer_new(&defaults);
    struct fuse_attr attr;
    peer_put_file(peer->tree_fd, "f", "");
    uint64_t node = peer_lookup(peer, ROOT, "f");
    struct fuse_setattr_in in = {.valid = FATTR_ATIME | FATTR_MTIME, .atime = 5, .atimensec = 6,
                                 .mtime = (uint64_t)-7, .mtimensec = 8};
    cr_expect_eq(setattr(peer, node, in), 0);
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(attr.atime == 5 && attr.atimensec == 6 && attr.mtime == (uint64_t)-7 && attr.mtimensec == 8);
    in.valid = FATTR_MTIME_NOW;
    cr_expect_eq(setattr(peer, node, in), 0);
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(attr.atime == 5 && attr.mtime > 1000000000 && attr.mtime < (uint64_t)-7);
    peer_free(peer);
}

Test(hostdir, things_are_made_on_the_caller_s_behalf)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    struct peer *peer = peer_new(&(struct peer_options){.as_caller = true});
    uint64_t node, fh;
    struct fuse_attr attr;
    umask(013);
    cr_assert_eq(mkdirat(peer->tree_fd, "private", 0700), 0);
    cr_assert_eq(mkdirat(peer->tree_fd, "shared", 0777), 0);
    cr_assert_eq(fchownat(peer->tree_fd, "shared", 0, 4321, 0), 0);
    cr_assert_eq(fchmodat(peer->tree_fd, "shared", 02777, 0), 0);
    uint64_t private = peer_lookup(peer, ROOT, "private"), shared = peer_lookup(peer, ROOT, "shared");
    peer->header.uid = 1234, peer->header.gid = 1235;
    cr_assert_eq(peer_create(peer, private, "f", O_RDWR, 0640, &node, &fh), 0, "permission is the peer's business");
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(attr.uid == 1234 && attr.gid == 1235 && attr.mode == (S_IFREG | 0640));
    struct fuse_mkdir_in in = {.mode = 0777, .umask = 027};
    cr_expect_eq(PEER_CALL(peer, FUSE_MKDIR, shared, PEER_ARGS(in), PEER_NAME("d")), 0);
    attr = ((const struct fuse_entry_out *)peer_reply(peer)->body)->attr;
    cr_expect(attr.uid == 1234 && attr.gid == 4321 && attr.mode == (S_IFDIR | 02750), "sgid directories hand it down");
    cr_expect_eq(PEER_CALL(peer, FUSE_SYMLINK, shared, PEER_NAME("l"), PEER_NAME("target")), 0);
    attr = ((const struct fuse_entry_out *)peer_reply(peer)->body)->attr;
    cr_expect(attr.uid == 1234 && attr.gid == 4321);
    peer->header.uid = UINT32_MAX;
    cr_expect_eq(peer_create(peer, ROOT, "g", O_RDWR, 0640, &node, &fh), -EOVERFLOW);
    peer->header.uid = 0, peer->header.gid = 0;
    cr_assert_eq(peer_create(peer, ROOT, "h", O_RDWR, 0640, &node, &fh), 0);
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(attr.uid == 0 && attr.gid == 0, "back to ourselves");
    cr_expect_eq(umask(022), 013, "and our umask");
    peer_free(peer);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

Test(hostdir, renames)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "A");
    peer_put_file(peer->tree_fd, "b", "B");
    uint64_t node = peer_lookup(peer, ROOT, "a");
    struct fuse_rename2_in in = {.newdir = ROOT, .flags = RENAME_NOREPLACE};
    cr_expect_eq(PEER_CALL(peer, FUSE_RENAME2, ROOT, PEER_ARGS(in), PEER_NAME("a"), PEER_NAME("b")), -EEXIST);
    in.flags = RENAME_EXCHANGE;
    cr_expect_eq(PEER_CALL(peer, FUSE_RENAME2, ROOT, PEER_ARGS(in), PEER_NAME("a"), PEER_NAME("b")), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "b"), "A");
    cr_expect_eq(peer_lookup(peer, ROOT, "b"), node);
    struct fuse_rename_in over = {.newdir = ROOT};
    cr_expect_eq(PEER_CALL(peer, FUSE_RENAME, ROOT, PEER_ARGS(over), PEER_NAME("b"), PEER_NAME("a")), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "a"), "A");
    cr_expect_eq(peer_lookup_error(peer, ROOT, "b"), -ENOENT);
    peer_free(peer);
}

Test(hostdir, names_of_any_bytes)
{
    struct peer *peer = peer_new(&defaults);
    char name[256] = "";
    uint64_t node, fh;
    for (int i = 1; i < 256; i++)
        name[i - 1] = (char)(i == '/' ? 'x' : i);
    cr_assert_eq(peer_create(peer, ROOT, name, O_RDWR, 0644, &node, &fh), 0);
    cr_expect_eq(peer_lookup(peer, ROOT, name), node);
    peer_free(peer);
}

struct seen {
    unsigned entries, with_node;
    uint64_t next;
};

/* One READDIR or READDIRPLUS from seen->next on; returns whether there was anything. */
static bool list_some(struct peer *peer, uint64_t fh, uint32_t opcode, uint32_t size, struct seen *seen)
{
    struct fuse_read_in in = {.fh = fh, .offset = seen->next, .size = size};
    cr_assert_eq(PEER_CALL(peer, opcode, ROOT, PEER_ARGS(in)), 0);
    const struct peer_reply *reply = peer_reply(peer);
    cr_assert_leq(reply->len, size);
    struct fuse_entry_out plus = {0};
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    const uint8_t *body = (const uint8_t *)reply->body;
    for (;;) {
        int rc = opcode == FUSE_READDIR ? wire_dirent_next(body, reply->len, &at, &entry, &name)
                                        : wire_direntplus_next(body, reply->len, &at, &plus, &entry, &name);
        cr_assert_geq(rc, 0);
        if (rc == 0)
            break;
        seen->entries++;
        seen->with_node += plus.nodeid != 0;
        seen->next = entry.off;
    }
    return reply->len > 0;
}

static struct seen list_all(struct peer *peer, uint64_t fh, uint32_t opcode, uint32_t size)
{
    struct seen seen = {0};
    while (list_some(peer, fh, opcode, size, &seen))
        ;
    return seen;
}

Test(hostdir, large_directories_in_pieces)
{
    enum { FILES = 3000 };
    struct rlimit fds;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &fds), 0);
    if (fds.rlim_max < FILES + 100)
        cr_skip_test("needs a file descriptor for each file");
    fds.rlim_cur = fds.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &fds), 0);
    struct peer *peer = peer_new(&(struct peer_options){.max_nodes = FILES + 1});
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%d", i);
        peer_put_file(peer->tree_fd, name, "");
    }
    uint64_t fh = peer_opendir(peer, ROOT);
    cr_expect_eq(list_all(peer, fh, FUSE_READDIR, 4096).entries, FILES + 2);
    cr_expect_eq(list_all(peer, fh, FUSE_READDIR, 512).entries, FILES + 2, "from the start again");
    struct seen seen = list_all(peer, fh, FUSE_READDIRPLUS, 128 * 1024);
    cr_expect(seen.entries == FILES + 2 && seen.with_node == FILES, "no nodes for . and ..");
    peer_free(peer);
}

Test(hostdir, a_listing_too_small_for_one_entry_is_no_end)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "");
    struct fuse_read_in in = {.fh = peer_opendir(peer, ROOT), .size = 16};
    cr_expect_eq(PEER_CALL(peer, FUSE_READDIR, ROOT, PEER_ARGS(in)), -EINVAL);
    cr_assert_eq(unlinkat(peer->tree_fd, "f", 0), 0);
    cr_expect_eq(list_all(peer, in.fh, FUSE_READDIR, 4096).entries, 2, "read anew from the start");
    peer_free(peer);
}

Test(hostdir, listing_goes_on_where_any_entry_ended)
{
    struct peer *peer = peer_new(&defaults);
    for (char name[] = "a"; *name <= 'z'; ++*name)
        peer_put_file(peer->tree_fd, name, "");
    uint64_t fh = peer_opendir(peer, ROOT);
    struct seen first = {0};
    list_some(peer, fh, FUSE_READDIR, 320, &first);
    struct seen rest = {.next = first.next};
    list_all(peer, fh, FUSE_READDIR, 4096);
    while (list_some(peer, fh, FUSE_READDIR, 4096, &rest))
        ;
    cr_expect_eq(first.entries + rest.entries, 28);
    cr_expect_eq(unlinkat(peer->tree_fd, "a", 0), 0);
    cr_expect_eq(list_all(peer, fh, FUSE_READDIR, 4096).entries, 27, "rewinddir sees what has changed");
    peer_free(peer);
}

Test(hostdir, entries_beyond_the_node_limit_are_listed_without_nodes)
{
    struct peer *peer = peer_new(&(struct peer_options){.max_nodes = 5});
    for (char name[] = "a"; *name <= 'z'; ++*name)
        peer_put_file(peer->tree_fd, name, "");
    struct seen seen = list_all(peer, peer_opendir(peer, ROOT), FUSE_READDIRPLUS, 128 * 1024);
    cr_expect(seen.entries == 28 && seen.with_node == 5);
    peer_free(peer);
}

/* --- extended attributes ----------------------------------------------------------------------------------------- */

static int getxattr_call(struct peer *peer, uint64_t node, const char *name, uint32_t size)
{
    struct fuse_getxattr_in in = {.size = size};
    return PEER_CALL(peer, FUSE_GETXATTR, node, PEER_ARGS(in), PEER_NAME(name));
}

Test(hostdir, extended_attributes)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "");
    uint64_t node = peer_lookup(peer, ROOT, "f");
    struct wire_setxattr_in set = {.size = 5, .flags = XATTR_CREATE};
    if (getxattr_call(peer, node, "user.a", 0) == -EOPNOTSUPP)
        cr_skip_test("/tmp is on a file system without user attributes");
    cr_expect_eq(PEER_CALL(peer, FUSE_SETXATTR, node, PEER_ARGS(set), PEER_NAME("user.a"), {"va\0ue", 5}), 0);
    cr_expect_eq(PEER_CALL(peer, FUSE_SETXATTR, node, PEER_ARGS(set), PEER_NAME("user.a"), {"va\0ue", 5}), -EEXIST);
    cr_expect_eq(getxattr_call(peer, node, "user.a", 0), 0);
    cr_expect_eq(peer_reply(peer)->body[0] & UINT32_MAX, 5);
    cr_expect_eq(getxattr_call(peer, node, "user.a", 4), -ERANGE);
    cr_expect_eq(getxattr_call(peer, node, "user.a", 100), 0);
    cr_expect(peer_reply(peer)->len == 5 && !memcmp(peer_reply(peer)->body, "va\0ue", 5));
    cr_expect_eq(getxattr_call(peer, node, "user.b", 100), -ENODATA);
    cr_expect_eq(PEER_CALL(peer, FUSE_REMOVEXATTR, node, PEER_NAME("user.a")), 0);
    cr_expect_eq(getxattr_call(peer, node, "user.a", 100), -ENODATA);
    peer_free(peer);
}

Test(hostdir, only_user_attributes_unless_all_are_wanted)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    for (int all = 0; all < 2; all++) {
        struct peer *peer = peer_new(&(struct peer_options){.all_xattrs = all});
        char path[128];
        peer_put_file(peer->tree_fd, "f", "");
        snprintf(path, sizeof path, "%s/tree/f", peer->dir);
        cr_assert_eq(setxattr(path, "user.u", "1", 1, 0), 0);
        cr_assert_eq(setxattr(path, "trusted.t", "1", 1, 0), 0);
        uint64_t node = peer_lookup(peer, ROOT, "f");
        struct wire_setxattr_in set = {.size = 1};
        int refused = all ? 0 : -EOPNOTSUPP;
        cr_expect_eq(getxattr_call(peer, node, "trusted.t", 100), refused);
        cr_expect_eq(PEER_CALL(peer, FUSE_SETXATTR, node, PEER_ARGS(set), PEER_NAME("trusted.n"), {"x", 1}), refused);
        cr_expect_eq(PEER_CALL(peer, FUSE_REMOVEXATTR, node, PEER_NAME("trusted.t")), refused);
        struct fuse_getxattr_in list = {.size = 1000};
        cr_expect_eq(PEER_CALL(peer, FUSE_LISTXATTR, node, PEER_ARGS(list)), 0);
        cr_expect_eq(peer_reply(peer)->len, all ? strlen("user.u") + strlen("trusted.n") + 2 : strlen("user.u") + 1);
        peer_free(peer);
    }
}
