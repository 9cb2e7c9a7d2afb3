/* SPDX-License-Identifier: Apache-2.0 */
/* Owners, modes and types that are remembered in an extended attribute, and what becomes of one that somebody made up. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/unit/peer.h"

#define OWNER "user.gondolin.owner"

enum { ROOT = FUSE_ROOT_ID, NULL_RDEV = 0x103, UID = 1234, GID = 1235 };

static const char *path_of(struct peer *peer, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/tree/%s", peer->dir, name);
    return path;
}

static struct peer *peer_with(const struct peer_options *options)
{
    struct peer *peer = peer_new(options);
    peer_put_file(peer->tree_fd, "probe", "");
    if (setxattr(path_of(peer, "probe"), "user.a", "", 0, 0) < 0)
        cr_skip_test("/tmp is on a file system without user attributes");
    cr_assert_eq(unlinkat(peer->tree_fd, "probe", 0), 0);
    peer->header.uid = UID, peer->header.gid = GID;
    return peer;
}

static struct peer *mapped_peer(void)
{
    return peer_with(&(struct peer_options){.mapped = true});
}

static void remember(struct peer *peer, const char *name, const void *text, size_t len)
{
    cr_assert_eq(setxattr(path_of(peer, name), OWNER, text, len, 0), 0);
}

static struct fuse_attr attr_of(struct peer *peer, const char *name)
{
    struct fuse_attr attr = {0};
    cr_assert_eq(peer_getattr(peer, peer_lookup(peer, ROOT, name), &attr), 0);
    return attr;
}

static int make_node(struct peer *peer, const char *name, uint32_t mode)
{
    struct fuse_mknod_in in = {.mode = mode, .rdev = NULL_RDEV, .umask = 022};
    return PEER_CALL(peer, FUSE_MKNOD, ROOT, PEER_ARGS(in), PEER_NAME(name));
}

static int setattr(struct peer *peer, const char *name, struct fuse_setattr_in in)
{
    return PEER_CALL(peer, FUSE_SETATTR, peer_lookup(peer, ROOT, name), PEER_ARGS(in));
}

/* The DT_* that a listing of the root has for a name. */
static uint32_t listed_type(struct peer *peer, const char *wanted)
{
    struct fuse_read_in in = {.fh = peer_opendir(peer, ROOT), .size = 4096};
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    cr_assert_eq(PEER_CALL(peer, FUSE_READDIR, ROOT, PEER_ARGS(in)), 0);
    const struct peer_reply *reply = peer_reply(peer);
    while (wire_dirent_next((const uint8_t *)reply->body, reply->len, &at, &entry, &name) > 0)
        if (entry.namelen == strlen(wanted) && !memcmp(name, wanted, entry.namelen))
            return entry.type;
    cr_assert_fail("%s is not listed", wanted);
    return DT_UNKNOWN;
}

Test(hostdir_owner, what_is_no_file_stands_as_an_empty_one)
{
    struct peer *peer = mapped_peer();
    static const uint32_t types[] = {S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
    for (int i = 0; i < 4; i++) {
        uint32_t rdev = i < 2 ? NULL_RDEV : 0;
        uint64_t node, fh;
        struct stat st;
        cr_assert_eq(make_node(peer, "n", types[i] | 06666), 0);
        struct fuse_attr attr = attr_of(peer, "n");
        cr_expect(attr.mode == (types[i] | 06644) && attr.rdev == rdev && attr.uid == UID && attr.gid == GID);
        cr_expect_eq(listed_type(peer, "n"), types[i] >> 12);
        cr_assert_eq(fstatat(peer->tree_fd, "n", &st, AT_SYMLINK_NOFOLLOW), 0);
        cr_expect(S_ISREG(st.st_mode) && st.st_size == 0 && !(st.st_mode & 07000) && st.st_uid == geteuid());

        cr_expect_eq(setattr(peer, "n", (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_MODE, .uid = 7, .mode = 0}), 0);
        attr = attr_of(peer, "n");
        cr_expect(attr.mode == types[i] && attr.rdev == rdev && attr.uid == 7 && attr.gid == GID);
        cr_expect_eq(peer_open(peer, peer_lookup(peer, ROOT, "n"), O_RDWR), 0);
        cr_expect_eq(peer_create(peer, ROOT, "n", O_RDWR, 0644, &node, &fh), -ESTALE);
        cr_expect_eq(setattr(peer, "n", (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 9}), -EINVAL);
        cr_expect_eq(PEER_CALL(peer, FUSE_UNLINK, ROOT, PEER_NAME("n")), 0);
    }
    peer_free(peer);
}

Test(hostdir_owner, where_owners_are_the_host_s_own_only_devices_are_stood_in_for)
{
    struct peer *peer = peer_with(&(struct peer_options){.stand_ins = true});
    struct stat st;
    cr_assert_eq(make_node(peer, "b", S_IFBLK | 0660), 0);
    cr_assert_eq(make_node(peer, "fifo", S_IFIFO | 0660), 0);
    struct fuse_attr attr = attr_of(peer, "b");
    cr_expect(attr.mode == (S_IFBLK | 0640) && attr.rdev == NULL_RDEV && attr.uid == geteuid());
    cr_expect_eq(listed_type(peer, "b"), DT_BLK);
    cr_assert_eq(fstatat(peer->tree_fd, "b", &st, AT_SYMLINK_NOFOLLOW), 0);
    cr_expect(S_ISREG(st.st_mode) && st.st_size == 0 && (st.st_mode & 07777) == 0640);
    cr_assert_eq(fstatat(peer->tree_fd, "fifo", &st, AT_SYMLINK_NOFOLLOW), 0);
    cr_expect(S_ISFIFO(st.st_mode));
    cr_expect_eq(setattr(peer, "b", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0600}), 0);
    cr_expect_eq(attr_of(peer, "b").mode, S_IFBLK | 0600);
    cr_expect_eq(peer_open(peer, peer_lookup(peer, ROOT, "b"), O_RDWR), 0);
    cr_assert_eq(fchmodat(peer->tree_fd, "b", 0604, 0), 0);
    cr_expect_eq(attr_of(peer, "b").mode, S_IFBLK | 0604, "the mode is the host's");
    peer_free(peer);
}

Test(hostdir_owner, a_file_that_became_a_stand_in_is_not_opened)
{
    struct peer *peer = mapped_peer();
    peer_put_file(peer->tree_fd, "f", "text");
    uint64_t node = peer_lookup(peer, ROOT, "f");
    cr_expect_neq(peer_open(peer, node, O_RDWR), 0);
    remember(peer, "f", "0 0 666 c 1 3", strlen("0 0 666 c 1 3"));
    cr_expect_eq(peer_open(peer, node, O_RDWR), 0);
    cr_expect_eq(attr_of(peer, "f").size, 0, "what is in it is not the peer's");
    peer_free(peer);
}

Test(hostdir_owner, only_what_is_written_here_is_believed)
{
    struct peer *peer = mapped_peer();
    static const char *const forged[] = {
        "", "0", "0 0", "5 6", "5 6 ", "5 6 888", "5 6 10755", "5 6 100644", "5 6 644 ", " 5 6 644", "5  6 644", "5 6 0644",
        "+5 6 644", "-1 6 644", "5 -6 644", "05 6 644", "5 4294967295 644", "4294967301 6 644", "18446744073709551621 6 644",
        "5 6 644 x", "5 6 644 c", "5 6 644 c 1", "5 6 644 c 1 3 ", "5 6 644 c 1 3 4", "5 6 644 c 4097 3", "5 6 644 c 1 1048576",
        "5 6 644 c -1 3", "5 6 644 p 1 3", "5 6 644 d", "5 6 644 l", "5 6 644\n", "5\t6 644", "5 6 644c 1 3", "0x5 6 644",
        "5 6 644 b 99999999999999999999999999999999999999999999999999 1",
    };
    peer_put_file(peer->tree_fd, "f", "text");
    cr_assert_eq(fchmodat(peer->tree_fd, "f", 0640, 0), 0);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        remember(peer, "f", forged[i], strlen(forged[i]));
        struct fuse_attr attr = attr_of(peer, "f");
        cr_expect(attr.uid == 0 && attr.gid == 0 && attr.mode == (S_IFREG | 0640), "'%s' was believed", forged[i]);
    }
    remember(peer, "f", "5 6 644\0x", 9);
    cr_expect_eq(attr_of(peer, "f").uid, 0, "a NUL was believed");
    remember(peer, "f", "5 6 4751", 8);
    struct fuse_attr attr = attr_of(peer, "f");
    cr_expect(attr.uid == 5 && attr.gid == 6 && attr.mode == (S_IFREG | 04751));
    cr_assert_eq(mkdirat(peer->tree_fd, "d", 0750), 0);
    remember(peer, "d", "5 6 666 c 1 3", strlen("5 6 666 c 1 3"));
    attr = attr_of(peer, "d");
    cr_expect(attr.uid == 0 && attr.mode == (S_IFDIR | 0750), "a directory stands for nothing");
    cr_expect_eq(listed_type(peer, "d"), DT_DIR);
    peer_free(peer);
}

Test(hostdir_owner, the_attribute_is_not_the_peer_s)
{
    for (int mapped = 0; mapped < 2; mapped++) {
        struct peer *peer = mapped_peer();
        if (!mapped) {
            peer_free(peer);
            peer = peer_new(&(struct peer_options){0});
        }
        peer_put_file(peer->tree_fd, "f", "text");
        remember(peer, "f", "5 6 644", 7);
        uint64_t node = peer_lookup(peer, ROOT, "f");
        struct wire_setxattr_in set = {.size = 7};
        struct fuse_getxattr_in get = {.size = 100};
        cr_expect_eq(PEER_CALL(peer, FUSE_SETXATTR, node, PEER_ARGS(set), PEER_NAME(OWNER), {"0 0 777", 7}), -EOPNOTSUPP);
        cr_expect_eq(PEER_CALL(peer, FUSE_GETXATTR, node, PEER_ARGS(get), PEER_NAME(OWNER)), -EOPNOTSUPP);
        cr_expect_eq(PEER_CALL(peer, FUSE_REMOVEXATTR, node, PEER_NAME(OWNER)), -EOPNOTSUPP);
        cr_expect_eq(PEER_CALL(peer, FUSE_LISTXATTR, node, PEER_ARGS(get)), 0);
        cr_expect_eq(peer_reply(peer)->len, 0);
        cr_expect_eq(setattr(peer, "f", (struct fuse_setattr_in){.valid = FATTR_UID, .uid = UINT32_MAX}),
                     mapped ? -EINVAL : 0, "no owner at all");
        peer_free(peer);
    }
}

Test(hostdir_owner, set_id_bits_of_the_host_go_with_the_first_write)
{
    struct peer *peer = mapped_peer();
    peer_put_file(peer->tree_fd, "f", "text");
    cr_assert_eq(fchmodat(peer->tree_fd, "f", 04755, 0), 0);
    uint64_t node = peer_lookup(peer, ROOT, "f"), fh = peer_open(peer, node, O_RDWR);
    struct stat st;
    cr_expect_eq(peer_write(peer, node, fh, 0, "x", 0, FUSE_WRITE_KILL_SUIDGID), 0);
    cr_assert_eq(fstatat(peer->tree_fd, "f", &st, 0), 0);
    cr_expect_eq(st.st_mode & 07777, 0755);
    cr_expect_eq(attr_of(peer, "f").mode & 07777, 0755);
    peer_free(peer);
}

Test(hostdir_owner, a_stand_in_goes_on_with_another_server)
{
    struct peer *peer = mapped_peer();
    struct fuse_attr attr;
    size_t len;
    cr_assert_eq(make_node(peer, "n", S_IFCHR | 0666), 0);
    uint64_t node = peer_lookup(peer, ROOT, "n");
    uint8_t *state = peer_save(peer, &len);
    peer_new_server(peer, &(struct peer_options){.mapped = true});
    cr_assert_eq(server_adopt(peer->server, state, len), 0);
    free(state);
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    cr_expect(S_ISCHR(attr.mode));
    peer_free(peer);
}

Test(hostdir_owner, what_is_made_comes_with_its_last_change)
{
    struct peer *peer = mapped_peer();
    cr_assert_eq(make_node(peer, "n", S_IFREG | 0666), 0);
    struct fuse_attr made = ((const struct fuse_entry_out *)peer_reply(peer)->body)->attr, attr = attr_of(peer, "n");
    cr_expect(made.ctime == attr.ctime && made.ctimensec == attr.ctimensec);
    peer_free(peer);
}
