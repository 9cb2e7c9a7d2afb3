/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's kernel gets to see of the guest, and the guest of the host. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/pumpbench.h"

static struct bench *connected(void)
{
    struct bench *b = bench_new(NULL);
    bench_connect(b);
    return b;
}

static struct bench *connected_raw(void)
{
    static const struct hostview_config raw = {.uid = 0, .raw_owner = true, .exec = true, .entry_timeout_ms = 1000};
    struct bench *b = bench_new(&raw);
    bench_connect(b);
    return b;
}

static int error_of(const struct bench *b, uint64_t unique)
{
    const struct fuse_out_header *out = bench_answer(b, unique);
    return out ? out->error : 1;
}

/* ---- requests ---- */

Test(hostview, the_guest_learns_no_ids_of_the_host)
{
    struct bench *b = connected();
    BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    const struct fuse_in_header *h = bench_take(b);
    cr_assert(h);
    cr_expect_eq(h->nodeid, FUSE_ROOT_ID);
    cr_expect_eq(h->uid, 0u);
    cr_expect_eq(h->gid, 0u);
    cr_expect_eq(h->pid, 0u);
    bench_free(b);

    b = connected_raw();
    BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    h = bench_take(b);
    cr_assert(h);
    cr_expect_eq(h->uid, 1000u);
    cr_expect_eq(h->pid, 0u);
    bench_free(b);
}

static int open_with(struct bench *b, uint64_t node, uint32_t flags)
{
    struct fuse_open_in in = {.flags = flags};
    return error_of(b, BENCH_ASK(b, FUSE_OPEN, node, BENCH_ARGS(in)));
}

Test(hostview, programs_are_not_executed_unless_asked_for)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "sh", 7, S_IFREG | 0755);
    cr_expect_eq(open_with(b, node, O_RDONLY | 0x20), -EACCES);
    cr_expect_eq(open_with(b, node, O_RDONLY), 1, "sent");
    bench_free(b);
    b = connected_raw();
    node = bench_lookup(b, bench_root(b), "sh", 7, S_IFREG | 0755);
    cr_expect_eq(open_with(b, node, O_RDONLY | 0x20), 1, "sent");
    bench_free(b);
}

static int chown_to(struct bench *b, uint64_t node, uint32_t valid, uint32_t uid, uint32_t gid)
{
    struct fuse_setattr_in in = {.valid = valid, .uid = uid, .gid = gid, .mode = 0600};
    return error_of(b, BENCH_ASK(b, FUSE_SETATTR, node, BENCH_ARGS(in)));
}

Test(hostview, a_user_gives_files_only_to_himself)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    cr_expect_eq(chown_to(b, node, FATTR_UID, 0, 0), -EPERM);
    cr_expect_eq(chown_to(b, node, FATTR_GID, 0, 5), -EPERM);
    cr_expect_eq(chown_to(b, node, FATTR_UID | FATTR_GID | FATTR_MODE, 1000, 1000), 1, "sent");
    cr_assert(bench_take_opcode(b, FUSE_SETATTR));
    cr_expect_eq(((const struct fuse_setattr_in *)bench_body(b))->valid, (uint32_t)FATTR_MODE);
    bench_free(b);
    b = connected_raw();
    node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    cr_expect_eq(chown_to(b, node, FATTR_UID, 33, 0), 1, "sent");
    bench_free(b);
}

Test(hostview, what_need_not_travel_is_answered_here)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    struct fuse_getxattr_in get = {.size = 100};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETXATTR, node, BENCH_ARGS(get), BENCH_NAME("security.capability"))),
                 -ENODATA);
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETXATTR, node, BENCH_ARGS(get), BENCH_NAME("system.posix_acl_access"))),
                 -EOPNOTSUPP);
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETXATTR, node, BENCH_ARGS(get), BENCH_NAME("security.selinux"))),
                 -EOPNOTSUPP);
    struct fuse_flush_in flush = {.fh = 1};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_FLUSH, node, BENCH_ARGS(flush))), 0);
    struct wire_setxattr_in set = {.size = 1};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_SETXATTR, node, BENCH_ARGS(set), BENCH_NAME("system.posix_acl_default"),
                                       {"x", 1})),
                 -EOPNOTSUPP);
    cr_expect_null(bench_take(b), "nothing of this is sent");
    BENCH_ASK(b, FUSE_GETXATTR, node, BENCH_ARGS(get), BENCH_NAME("user.x"));
    cr_expect(bench_take_opcode(b, FUSE_GETXATTR));
    bench_free(b);
}

Test(hostview, unknown_nodes_are_stale)
{
    struct bench *b = connected();
    uint64_t root = bench_root(b), node = bench_lookup(b, root, "f", 7, S_IFREG);
    struct fuse_getattr_in in = {0};
    struct fuse_rename_in rename = {.newdir = root + 99};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETATTR, root + 99, BENCH_ARGS(in))), -ESTALE);
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_RENAME, root, BENCH_ARGS(rename), BENCH_NAME("a"), BENCH_NAME("b"))),
                 -ESTALE);
    pump_forget(b->pump, node, 1);
    struct fuse_release_in release = {.fh = 5};
    BENCH_ASK(b, FUSE_RELEASE, node, BENCH_ARGS(release));
    cr_expect(bench_take_opcode(b, FUSE_RELEASE), "a file may be closed after its node was forgotten");
    bench_free(b);
}

Test(hostview, names_of_a_page_are_refused_before_anything_is_kept_of_them)
{
    struct bench *b = connected();
    static char name[3000];
    memset(name, 'n', sizeof name - 1);
    struct fuse_rename_in rename = {.newdir = bench_root(b)};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME(name))), -ENAMETOOLONG);
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_RENAME, bench_root(b), BENCH_ARGS(rename), BENCH_NAME("a"),
                                       BENCH_NAME(name))),
                 -ENAMETOOLONG);
    name[255] = '\0';
    cr_expect(bench_lookup(b, bench_root(b), name, 5, S_IFREG), "255 bytes are a name");
    bench_free(b);
}

/* ---- replies ---- */

Test(hostview, attributes_are_the_users_and_sane)
{
    struct bench *b = connected();
    struct fuse_entry_out entry = bench_entry(7, S_IFREG | 0600);
    entry.attr.uid = 0;
    entry.attr.gid = 4;
    entry.attr.blksize = 0x80000000;
    entry.attr.flags = 0xffffffff;
    entry.entry_valid = entry.attr_valid = UINT64_MAX;
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("f"));
    bench_reply(b, unique, 0, &entry, sizeof entry);
    memcpy(&entry, bench_answer_body(b, unique), sizeof entry);
    cr_expect_eq(entry.attr.uid, 1000u);
    cr_expect_eq(entry.attr.gid, 1000u);
    cr_expect_eq(entry.attr.blksize, 4096u);
    cr_expect_eq(entry.attr.flags, 0u);
    cr_expect_eq(entry.entry_valid, 1u);
    cr_expect_eq(entry.entry_valid_nsec, 500000000u);
    cr_expect_eq(entry.attr_valid, 2u);
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out attr = {.attr_valid = UINT64_MAX, .attr = {.uid = 4, .mode = S_IFREG, .blksize = 3}};
    unique = BENCH_ASK(b, FUSE_GETATTR, entry.nodeid, BENCH_ARGS(in));
    bench_reply(b, unique, 0, &attr, sizeof attr);
    memcpy(&attr, bench_answer_body(b, unique), sizeof attr);
    cr_expect_eq(attr.attr.uid, 1000u);
    cr_expect_eq(attr.attr.blksize, 4096u);
    cr_expect_eq(attr.attr_valid, 2u);
    bench_free(b);
}

Test(hostview, an_operation_missing_in_the_guest_is_not_missing_everywhere)
{
    struct bench *b = connected();
    struct fuse_open_in in = {0};
    uint64_t unique = BENCH_ASK(b, FUSE_OPENDIR, bench_root(b), BENCH_ARGS(in));
    bench_reply(b, unique, -ENOSYS, NULL, 0);
    cr_expect_eq(error_of(b, unique), -EOPNOTSUPP);
    bench_free(b);
}

Test(hostview, entries_that_cannot_be_are_errors)
{
    struct bench *b = connected();
    cr_expect_eq(bench_lookup(b, bench_root(b), "a", 0, S_IFREG), 0u);
    cr_expect_eq(error_of(b, b->unique), -EIO);
    cr_expect_eq(bench_lookup(b, bench_root(b), "a", FUSE_ROOT_ID, S_IFDIR), 0u);
    cr_expect_eq(error_of(b, b->unique), -EIO);
    cr_expect_eq(b->closed, 0u);
    uint64_t huge = bench_lookup(b, bench_root(b), "a", UINT64_MAX, S_IFREG);
    cr_expect(pump_serves(huge), "whatever number the guest uses, the host's is its own");
    struct fuse_getattr_in in = {0};
    BENCH_ASK(b, FUSE_GETATTR, huge, BENCH_ARGS(in));
    cr_expect_eq(bench_take_opcode(b, FUSE_GETATTR)->nodeid, UINT64_MAX);
    bench_free(b);
}

static size_t put_entry(uint8_t *at, bool plus, uint64_t guest_id, const char *name, uint32_t namelen)
{
    struct fuse_entry_out entry = bench_entry(guest_id, S_IFREG | 0644);
    struct fuse_dirent dirent = {.ino = 5, .off = 1, .namelen = namelen, .type = 8};
    size_t head = plus ? sizeof entry : 0;
    memcpy(at, &entry, head);
    memcpy(at + head, &dirent, FUSE_NAME_OFFSET);
    memcpy(at + head + FUSE_NAME_OFFSET, name, strlen(name));
    return head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + strlen(name));
}

Test(hostview, listings_with_bad_entries_are_refused_whole)
{
    static const struct {
        const char *name;
        uint32_t namelen;
    } bad[] = {{"a/b", 3}, {"abc", 300}, {"abc", 0xffffffff}, {"abc", 0}, {"ab", 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int plus = 0; plus < 2; plus++) {
            struct bench *b = connected();
            uint8_t body[512] = {0};
            size_t at = put_entry(body, plus, 20, "good", 4);
            at += put_entry(body + at, plus, 21, bad[i].name, bad[i].namelen);
            struct fuse_read_in in = {.size = 4096};
            uint64_t unique = BENCH_ASK(b, plus ? FUSE_READDIRPLUS : FUSE_READDIR, bench_root(b), BENCH_ARGS(in));
            bench_reply(b, unique, 0, body, at);
            cr_expect_eq(error_of(b, unique), -EIO, "entry %zu plus %d", i, plus);
            cr_expect_eq(b->closed, 0u);
            bench_free(b);
        }
    }
}

Test(hostview, listed_entries_are_mapped_and_dots_hold_no_reference)
{
    struct bench *b = connected();
    uint8_t body[1024] = {0};
    size_t first = put_entry(body, true, 1, ".", 1), second = put_entry(body + first, true, 20, "file", 4);
    struct fuse_read_in in = {.size = 4096};
    uint64_t unique = BENCH_ASK(b, FUSE_READDIRPLUS, bench_root(b), BENCH_ARGS(in));
    bench_reply(b, unique, 0, body, first + second);
    struct fuse_entry_out entry;
    const uint8_t *shown = bench_answer_body(b, unique);
    memcpy(&entry, shown, sizeof entry);
    cr_expect_eq(entry.nodeid, 0u);
    memcpy(&entry, shown + first, sizeof entry);
    cr_expect(pump_serves(entry.nodeid));
    cr_expect_eq(entry.attr.uid, 1000u);
    bench_free(b);
}

/* ---- symlinks ---- */

Test(hostview, links_are_jailed_at_their_depth)
{
    struct bench *b = connected();
    uint64_t root = bench_root(b), dir = bench_lookup(b, root, "d", 2, S_IFDIR),
             deep = bench_lookup(b, dir, "e", 3, S_IFDIR), link = bench_lookup(b, deep, "l", 4, S_IFLNK),
             top = bench_lookup(b, root, "t", 5, S_IFLNK);
    cr_expect_str_eq(bench_readlink(b, link, "../../x"), "../../x");
    cr_expect_str_eq(bench_readlink(b, link, "../../../x"), "../../x");
    cr_expect_str_eq(bench_readlink(b, link, "/etc/passwd"), "../../etc/passwd");
    cr_expect_str_eq(bench_readlink(b, top, "../../etc/passwd"), "etc/passwd");
    cr_expect_str_eq(bench_readlink(b, top, ""), "Input/output error");
    bench_free(b);
}

Test(hostview, a_second_name_further_up_makes_a_link_shallow)
{
    struct bench *b = connected();
    uint64_t root = bench_root(b), dir = bench_lookup(b, root, "d", 2, S_IFDIR),
             link = bench_lookup(b, dir, "l", 4, S_IFLNK);
    cr_expect_eq(bench_lookup(b, root, "hard", 4, S_IFLNK), link, "one file, one id");
    cr_expect_str_eq(bench_readlink(b, link, "../x"), "x");
    bench_free(b);
}

/* Were it the old id, the kernel would move the directory it knows, under the feet of whoever stands in it with
 * "../../.." still to walk. */
Test(hostview, a_directory_moved_by_the_guest_gets_another_id)
{
    struct bench *b = connected();
    uint64_t root = bench_root(b), a = bench_lookup(b, root, "a", 2, S_IFDIR),
             old = bench_lookup(b, a, "d", 3, S_IFDIR), link = bench_lookup(b, old, "l", 4, S_IFLNK);
    uint64_t moved = bench_lookup(b, root, "d", 3, S_IFDIR);
    cr_expect_neq(moved, old);
    cr_expect_eq(bench_lookup(b, root, "d", 3, S_IFDIR), moved, "from then on it is the same");
    cr_expect_eq(bench_lookup(b, root, "renamed", 3, S_IFDIR), moved, "also under another name in the same place");
    struct fuse_getattr_in in = {0};
    BENCH_ASK(b, FUSE_GETATTR, moved, BENCH_ARGS(in));
    cr_expect_eq(bench_take_opcode(b, FUSE_GETATTR)->nodeid, 3u);
    BENCH_ASK(b, FUSE_GETATTR, old, BENCH_ARGS(in));
    cr_expect_eq(bench_take_opcode(b, FUSE_GETATTR)->nodeid, 3u, "who is in it goes on");
    cr_expect_eq(bench_lookup(b, moved, "l", 4, S_IFLNK), link);
    cr_expect_str_eq(bench_readlink(b, link, "../../x"), "../x");

    struct fuse_notify_inval_inode_out inode = {.ino = 3};
    bench_notify(b, FUSE_NOTIFY_INVAL_INODE, &inode, sizeof inode);
    cr_expect_eq(b->notice_count, 2u, "a notice concerns both");
    pump_forget(b->pump, old, 1);
    const struct fuse_in_header *h = bench_take_opcode(b, FUSE_FORGET);
    cr_assert(h);
    cr_expect_eq(h->nodeid, 3u);
    bench_free(b);
}

Test(hostview, a_rename_by_the_host_moves_what_it_knows)
{
    struct bench *b = connected();
    uint64_t root = bench_root(b), a = bench_lookup(b, root, "a", 2, S_IFDIR),
             d = bench_lookup(b, a, "d", 3, S_IFDIR), link = bench_lookup(b, d, "l", 4, S_IFLNK);
    struct fuse_rename2_in in = {.newdir = root};
    cr_expect_str_eq(bench_readlink(b, link, "../../x"), "../../x");
    uint64_t unique = BENCH_ASK(b, FUSE_RENAME2, a, BENCH_ARGS(in), BENCH_NAME("d"), BENCH_NAME("up"));
    cr_assert(bench_take_opcode(b, FUSE_RENAME2));
    cr_expect_eq(((const struct fuse_rename2_in *)bench_body(b))->newdir, FUSE_ROOT_ID);
    bench_reply(b, unique, 0, NULL, 0);
    cr_expect_str_eq(bench_readlink(b, link, "../../x"), "../x");
    cr_expect_eq(bench_lookup(b, root, "up", 3, S_IFDIR), d);
    bench_free(b);
}
