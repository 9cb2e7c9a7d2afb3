/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol side of fs/server: sessions, node ids, handles, and requests that wait. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/peer.h"

enum { ROOT = FUSE_ROOT_ID };

static const struct peer_options defaults;

static int send_args(struct peer *peer, uint32_t opcode, uint64_t node, const void *args, size_t size)
{
    struct peer_piece pieces[] = {{args, size}, {0}};
    return peer_send(peer, opcode, node, pieces);
}

Test(server, init_answers_what_it_knows_of_what_is_offered)
{
    struct peer *peer = peer_new(&(struct peer_options){.no_init = true});
    struct fuse_init_in in = {.major = 7, .minor = 45, .max_readahead = 1 << 20, .flags = UINT32_MAX,
                              .flags2 = UINT32_MAX};
    cr_assert_eq(PEER_CALL(peer, FUSE_INIT, 0, PEER_ARGS(in)), 0);
    const struct fuse_init_out *out = (const struct fuse_init_out *)peer_reply(peer)->body;
    cr_assert_eq(peer_reply(peer)->len, sizeof *out);
    cr_expect(out->major == 7 && out->minor == 38);
    cr_expect_eq(out->max_write, PEER_MAX_WRITE);
    cr_expect_eq(out->max_pages, PEER_MAX_WRITE / 4096);
    cr_expect_eq(out->max_readahead, PEER_MAX_WRITE);
    uint32_t wanted = FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_ATOMIC_O_TRUNC | FUSE_AUTO_INVAL_DATA |
                      FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_READ;
    uint32_t unwanted = FUSE_EXPORT_SUPPORT | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE |
                        FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_POSIX_ACL;
    cr_expect_eq(out->flags & wanted, wanted);
    cr_expect_eq(out->flags & unwanted, 0);
    peer_free(peer);
}

Test(server, init_acknowledges_nothing_that_was_not_offered)
{
    struct peer *peer = peer_new(&(struct peer_options){.no_init = true});
    struct fuse_init_in in = {.major = 7, .minor = 31, .flags = FUSE_BIG_WRITES};
    struct peer_piece pieces[] = {{&in, 16}, {0}};
    cr_assert_eq(peer_call(peer, FUSE_INIT, 0, pieces), 0);
    const struct fuse_init_out *out = (const struct fuse_init_out *)peer_reply(peer)->body;
    cr_expect_eq(out->minor, 31);
    cr_expect_eq(out->flags, FUSE_BIG_WRITES);
    cr_expect_eq(out->max_readahead, 0);
    peer_free(peer);
}

Test(server, init_with_versions_that_do_not_fit)
{
    struct peer *peer = peer_new(&(struct peer_options){.no_init = true});
    struct fuse_init_in in = {.major = 7, .minor = 30};
    struct peer_piece old[] = {{&in, 16}, {0}};
    cr_expect_eq(peer_call(peer, FUSE_INIT, 0, old), -EPROTO);
    in.major = 8;
    cr_expect_eq(PEER_CALL(peer, FUSE_INIT, 0, PEER_ARGS(in)), 0);
    cr_expect_eq(((const struct fuse_init_out *)peer_reply(peer)->body)->major, 7);
    cr_expect_eq(peer_init(peer), 0, "the later peer asks again");
    peer_free(peer);
}

Test(server, nothing_before_init_and_no_second_init)
{
    struct peer *peer = peer_new(&(struct peer_options){.no_init = true});
    struct fuse_getattr_in in = {0};
    struct fuse_init_in init = {.major = 7, .minor = 38};
    cr_expect_eq(send_args(peer, FUSE_GETATTR, ROOT, &in, sizeof in), -EPROTO);
    cr_assert_eq(peer_init(peer), 0);
    cr_expect_eq(peer_getattr(peer, ROOT, NULL), 0);
    cr_expect_eq(send_args(peer, FUSE_INIT, 0, &init, sizeof init), -EPROTO);
    cr_expect_eq(peer_getattr(peer, ROOT, NULL), 0, "the session is the caller's to end");
    peer_free(peer);
}

Test(server, destroy_drops_everything_and_a_new_session_starts_clean)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "text");
    uint64_t node = peer_lookup(peer, ROOT, "f");
    uint64_t fh = peer_open(peer, node, O_RDONLY);
    cr_assert(node && fh);
    cr_expect_eq(PEER_CALL(peer, FUSE_DESTROY, 0, {0}), 0);
    struct fuse_getattr_in in = {0};
    cr_expect_eq(send_args(peer, FUSE_GETATTR, ROOT, &in, sizeof in), -EPROTO);
    cr_expect_eq(peer_init(peer), 0);
    cr_expect_eq(peer_getattr(peer, node, NULL), -ESTALE);
    uint64_t again = peer_lookup(peer, ROOT, "f");
    cr_expect_neq(again, node);
    struct fuse_read_in read = {.fh = fh, .size = 10};
    cr_expect_eq(PEER_CALL(peer, FUSE_READ, again, PEER_ARGS(read)), -EBADF);
    peer_free(peer);
}

Test(server, ids_are_small_and_one_inode_has_one)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "");
    cr_assert_eq(linkat(peer->tree_fd, "a", peer->tree_fd, "b", 0), 0);
    uint64_t node = peer_lookup(peer, ROOT, "a");
    cr_expect_gt(node, ROOT);
    cr_expect_lt(node, 1ull << 48);
    cr_expect_eq(peer_lookup(peer, ROOT, "b"), node);
    const struct fuse_entry_out *entry = (const struct fuse_entry_out *)peer_reply(peer)->body;
    cr_expect(entry->attr.nlink == 2 && S_ISREG(entry->attr.mode));
    cr_expect(entry->entry_valid == 2 && entry->attr_valid == 1 && entry->attr_valid_nsec == 500000000);
    peer_free(peer);
}

Test(server, forgotten_nodes_are_stale_and_their_ids_not_reused)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "");
    uint64_t node = peer_lookup(peer, ROOT, "a");
    cr_expect_eq(peer_lookup(peer, ROOT, "a"), node);
    peer_forget(peer, node, 1);
    cr_expect_eq(peer_getattr(peer, node, NULL), 0, "one lookup is left");
    peer_forget(peer, node, 1);
    cr_expect_eq(peer_getattr(peer, node, NULL), -ESTALE);
    cr_expect_neq(peer_lookup(peer, ROOT, "a"), node);
    peer_free(peer);
}

Test(server, forgetting_too_much_changes_nothing)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "");
    uint64_t node = peer_lookup(peer, ROOT, "a");
    peer_forget(peer, node, 2);
    peer_forget(peer, node, 0);
    peer_forget(peer, node, UINT64_MAX);
    peer_forget(peer, ROOT, 1ull << 40);
    peer_forget(peer, 12345, 1);
    peer_forget(peer, 0, 1);
    cr_expect_eq(peer_getattr(peer, node, NULL), 0);
    cr_expect_eq(peer_getattr(peer, ROOT, NULL), 0);
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one[4];
    } batch = {{.count = 4}, {{node, 1}, {node, 1}, {ROOT, 1}, {99, 7}}};
    cr_expect_eq(send_args(peer, FUSE_BATCH_FORGET, 0, &batch, sizeof batch), 0);
    cr_expect_eq(peer_getattr(peer, node, NULL), -ESTALE);
    cr_expect_eq(peer_getattr(peer, ROOT, NULL), 0);
    peer_free(peer);
}

Test(server, forged_node_ids)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "");
    uint64_t node = peer_lookup(peer, ROOT, "a");
    const uint64_t forged[] = {0, 2, 1u << 25, node + 1, node ^ 1ull << 24, node | 1ull << 48, UINT64_MAX,
                               (uint64_t)(uintptr_t)peer};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        cr_expect_eq(peer_getattr(peer, forged[i], NULL), -ESTALE);
        cr_expect_eq(peer_lookup_error(peer, forged[i], "a"), -ESTALE);
        struct fuse_rename_in rename = {.newdir = forged[i]};
        cr_expect_eq(PEER_CALL(peer, FUSE_RENAME, ROOT, PEER_ARGS(rename), PEER_NAME("a"), PEER_NAME("b")), -ESTALE);
        struct fuse_link_in link = {.oldnodeid = forged[i]};
        cr_expect_eq(PEER_CALL(peer, FUSE_LINK, ROOT, PEER_ARGS(link), PEER_NAME("b")), -ESTALE);
    }
    peer_free(peer);
}

Test(server, nodes_of_the_wrong_type)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "f", "");
    mkdirat(peer->tree_fd, "d", 0755);
    mkfifoat(peer->tree_fd, "fifo", 0644);
    cr_assert_eq(symlinkat("f", peer->tree_fd, "l"), 0);
    uint64_t file = peer_lookup(peer, ROOT, "f"), dir = peer_lookup(peer, ROOT, "d");
    uint64_t fifo = peer_lookup(peer, ROOT, "fifo"), link = peer_lookup(peer, ROOT, "l");
    struct fuse_open_in in = {.flags = O_RDWR};
    cr_expect_eq(peer_lookup_error(peer, file, "x"), -ENOTDIR);
    cr_expect_eq(peer_lookup_error(peer, link, "x"), -ENOTDIR);
    cr_expect_eq(PEER_CALL(peer, FUSE_OPEN, dir, PEER_ARGS(in)), -EISDIR);
    cr_expect_eq(PEER_CALL(peer, FUSE_OPEN, fifo, PEER_ARGS(in)), -EOPNOTSUPP, "it would block");
    cr_expect_eq(PEER_CALL(peer, FUSE_OPEN, link, PEER_ARGS(in)), -EOPNOTSUPP, "it would be followed");
    cr_expect_eq(PEER_CALL(peer, FUSE_OPENDIR, file, PEER_ARGS(in)), -ENOTDIR);
    cr_expect_eq(PEER_CALL(peer, FUSE_READLINK, file, {0}), -EINVAL);
    struct fuse_link_in to_dir = {.oldnodeid = dir};
    cr_expect_eq(PEER_CALL(peer, FUSE_LINK, ROOT, PEER_ARGS(to_dir), PEER_NAME("h")), -EISDIR);
    peer_free(peer);
}

static int read_error(struct peer *peer, uint32_t opcode, uint64_t node, uint64_t fh)
{
    struct fuse_read_in in = {.fh = fh, .size = 4096};
    return PEER_CALL(peer, opcode, node, PEER_ARGS(in));
}

Test(server, forged_handles)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "text");
    peer_put_file(peer->tree_fd, "b", "other");
    uint64_t a = peer_lookup(peer, ROOT, "a"), b = peer_lookup(peer, ROOT, "b");
    uint64_t fh = peer_open(peer, a, O_RDWR), dir = peer_opendir(peer, ROOT);
    cr_assert(fh && dir);
    const uint64_t forged[] = {0, 1, 3, 4, fh + 1, fh ^ 1ull << 24, UINT64_MAX, (uint64_t)(uintptr_t)peer};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        if (forged[i] == dir)
            continue;
        cr_expect_eq(read_error(peer, FUSE_READ, a, forged[i]), -EBADF);
        cr_expect_eq(read_error(peer, FUSE_READDIR, ROOT, forged[i]), -EBADF);
        cr_expect_eq(peer_write(peer, a, forged[i], 0, "x", 0, 0), -EBADF);
        cr_expect_eq(peer_release(peer, a, forged[i], false), -EBADF);
        cr_expect_eq(peer_release(peer, ROOT, forged[i], true), -EBADF);
    }
    cr_expect_eq(read_error(peer, FUSE_READ, b, fh), -EBADF, "another file's");
    cr_expect_eq(read_error(peer, FUSE_READDIR, ROOT, fh), -EBADF, "a file's for a directory");
    cr_expect_eq(peer_release(peer, ROOT, dir, false), -EBADF, "a directory's for a file");
    cr_expect_eq(peer_release(peer, b, fh, false), -EBADF);
    struct fuse_getattr_in getattr = {.getattr_flags = FUSE_GETATTR_FH, .fh = fh};
    cr_expect_eq(PEER_CALL(peer, FUSE_GETATTR, a, PEER_ARGS(getattr)), 0);
    cr_expect_eq(PEER_CALL(peer, FUSE_GETATTR, b, PEER_ARGS(getattr)), -EBADF);
    struct fuse_copy_file_range_in copy = {.fh_in = fh, .fh_out = fh, .nodeid_out = b, .len = 4};
    cr_expect_eq(PEER_CALL(peer, FUSE_COPY_FILE_RANGE, a, PEER_ARGS(copy)), -EBADF);
    peer_free(peer);
}

Test(server, handles_end_with_release)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "text");
    uint64_t a = peer_lookup(peer, ROOT, "a"), fh = peer_open(peer, a, O_RDWR);
    cr_expect_str_eq(peer_read(peer, a, fh, 0, 100), "text");
    cr_expect_eq(peer_release(peer, a, fh, false), 0);
    cr_expect_eq(read_error(peer, FUSE_READ, a, fh), -EBADF);
    cr_expect_eq(peer_write(peer, a, fh, 0, "x", 0, 0), -EBADF);
    cr_expect_eq(peer_release(peer, a, fh, false), -EBADF);
    peer_free(peer);
}

Test(server, release_after_the_last_forget_still_closes)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "a", "text");
    int lowest = dup(0);
    close(lowest);
    uint64_t a = peer_lookup(peer, ROOT, "a"), fh = peer_open(peer, a, O_RDWR);
    peer_forget(peer, a, 1);
    cr_expect_eq(peer_release(peer, a, fh, false), 0);
    int now = dup(0);
    cr_expect_eq(now, lowest, "all descriptors are closed");
    close(now);
    peer_free(peer);
}

Test(server, tables_are_bounded_and_recover)
{
    struct peer *peer = peer_new(&(struct peer_options){.max_nodes = 2, .max_handles = 2});
    peer_put_file(peer->tree_fd, "a", "");
    peer_put_file(peer->tree_fd, "b", "");
    peer_put_file(peer->tree_fd, "c", "");
    uint64_t a = peer_lookup(peer, ROOT, "a");
    cr_assert(a && peer_lookup(peer, ROOT, "b"));
    cr_expect_eq(peer_lookup_error(peer, ROOT, "c"), -ENFILE);
    cr_expect_eq(peer_lookup(peer, ROOT, "a"), a, "known ones need no room");
    uint64_t one = peer_open(peer, a, O_RDONLY), two = peer_opendir(peer, ROOT);
    cr_assert(one && two);
    struct fuse_open_in in = {0};
    cr_expect_eq(PEER_CALL(peer, FUSE_OPEN, a, PEER_ARGS(in)), -ENFILE);
    cr_expect_eq(peer_release(peer, a, one, false), 0);
    cr_expect_neq(peer_open(peer, a, O_RDONLY), 0);
    peer_forget(peer, a, 2);
    cr_expect_neq(peer_lookup(peer, ROOT, "c"), 0);
    uint64_t node, fh;
    cr_expect_eq(peer_create(peer, ROOT, "d", O_RDWR, 0644, &node, &fh), -ENFILE);
    peer_free(peer);
}

/* Asked for at three quarters, listings without nodes from then on, and with all of them taken waiting for a FORGET. */
Test(server, a_peer_that_forgets_is_asked_to)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct peer *peer = peer_new(&(struct peer_options){.max_nodes = 4, .workers = 1, .forgets = true});
    uint64_t ids[4];
    for (size_t i = 0; i < 5; i++)
        peer_put_file(peer->tree_fd, names[i], "");
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(peer_answered(peer, 0), i == 3, "%zu", i);
        ids[i] = peer_lookup(peer, ROOT, names[i]);
        cr_assert_neq(ids[i], 0);
    }
    cr_expect_eq(peer_lookup(peer, ROOT, "a"), ids[0], "known ones need no room");
    struct fuse_read_in list = {.fh = peer_opendir(peer, ROOT), .size = 4096};
    cr_assert_eq(PEER_CALL(peer, FUSE_READDIRPLUS, ROOT, PEER_ARGS(list)), 0);
    const struct fuse_direntplus *first = (const struct fuse_direntplus *)peer_reply(peer)->body;
    cr_expect_eq(first->entry_out.nodeid, 0);

    cr_assert_eq(send_args(peer, FUSE_LOOKUP, ROOT, "e", 2), 0);
    uint64_t waiting = peer_last_unique(peer);
    cr_expect_not(peer_answered(peer, waiting));
    struct fuse_forget_in forget = {.nlookup = 1};
    cr_assert_eq(send_args(peer, FUSE_FORGET, ids[1], &forget, sizeof forget), 0);
    cr_expect_eq(peer_reply_to(peer, waiting)->header.error, 0);
    uint64_t node, fh;
    cr_expect_eq(peer_create(peer, ROOT, "f", O_RDWR, 0644, &node, &fh), -ENFILE, "nothing is forgotten");
    cr_expect_eq(faccessat(peer->tree_fd, "f", F_OK, 0), -1, "then nothing is made");
    peer_free(peer);
}

Test(server, malformed_bodies_are_answered_and_the_session_goes_on)
{
    struct peer *peer = peer_new(&defaults);
    cr_expect_eq(PEER_CALL(peer, FUSE_GETATTR, ROOT, {0}), -EINVAL);
    cr_expect_eq(PEER_CALL(peer, FUSE_LOOKUP, ROOT, PEER_NAME("..")), -EINVAL);
    cr_expect_eq(PEER_CALL(peer, FUSE_LOOKUP, ROOT, PEER_NAME("../../../etc/passwd")), -EINVAL);
    cr_expect_eq(PEER_CALL(peer, 52, ROOT, {0}), -ENOSYS);
    cr_expect_eq(PEER_CALL(peer, FUSE_SYNCFS, ROOT, {"12345678", 8}), -ENOSYS);
    unsigned before = peer->replies;
    cr_expect_eq(send_args(peer, FUSE_FORGET, ROOT, "short", 5), 0);
    cr_expect_eq(send_args(peer, FUSE_INTERRUPT, 0, "short", 5), 0);
    cr_expect_eq(send_args(peer, FUSE_NOTIFY_REPLY, 0, "short", 5), 0);
    cr_expect_eq(peer->replies, before, "nobody waits for these");
    cr_expect_eq(peer_getattr(peer, ROOT, NULL), 0);
    peer_free(peer);
}

static int not_implemented(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    (void)vfs, (void)file, (void)mode, (void)offset, (void)length;
    return -ENOSYS;
}

Test(server, a_provider_cannot_switch_an_operation_off_for_all_nodes)
{
    struct peer *peer = peer_new(&defaults);
    struct vfs_ops ops = *peer->vfs->ops;
    ops.fallocate = not_implemented;
    peer->vfs->ops = &ops;
    peer_put_file(peer->tree_fd, "a", "");
    uint64_t a = peer_lookup(peer, ROOT, "a");
    struct fuse_fallocate_in in = {.fh = peer_open(peer, a, O_RDWR), .length = 1};
    cr_expect_eq(PEER_CALL(peer, FUSE_FALLOCATE, a, PEER_ARGS(in)), -EOPNOTSUPP);
    struct fuse_poll_in poll = {.fh = in.fh};
    cr_expect_eq(PEER_CALL(peer, FUSE_POLL, a, PEER_ARGS(poll)), 0);
    struct fuse_ioctl_in ioctl = {.fh = in.fh};
    cr_expect_eq(PEER_CALL(peer, FUSE_IOCTL, a, PEER_ARGS(ioctl)), -ENOTTY);
    peer_free(peer);
}

/* An fsync that lasts until the test lets it go. */
static sem_t fsync_began, fsync_may_end;

static int slow_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    (void)vfs, (void)file, (void)data_only;
    sem_post(&fsync_began);
    sem_wait(&fsync_may_end);
    return 0;
}

struct slow {
    struct peer *peer;
    struct vfs_ops ops;
    uint64_t node, fh;
};

static void slow_new(struct slow *slow)
{
    sem_init(&fsync_began, 0, 0);
    sem_init(&fsync_may_end, 0, 0);
    slow->peer = peer_new(&(struct peer_options){.workers = 1});
    slow->ops = *slow->peer->vfs->ops;
    slow->ops.fsync = slow_fsync;
    slow->peer->vfs->ops = &slow->ops;
    peer_put_file(slow->peer->tree_fd, "a", "text");
    slow->node = peer_lookup(slow->peer, ROOT, "a");
    slow->fh = peer_open(slow->peer, slow->node, O_RDWR);
    cr_assert(slow->fh);
}

static uint64_t send_fsync(const struct slow *slow)
{
    struct fuse_fsync_in in = {.fh = slow->fh};
    cr_assert_eq(send_args(slow->peer, FUSE_FSYNC, slow->node, &in, sizeof in), 0);
    return peer_last_unique(slow->peer);
}

static void send_interrupt(const struct slow *slow, uint64_t unique)
{
    struct fuse_interrupt_in in = {.unique = unique};
    cr_assert_eq(send_args(slow->peer, FUSE_INTERRUPT, 0, &in, sizeof in), 0);
}

Test(server, a_slow_request_delays_no_other)
{
    struct slow slow;
    slow_new(&slow);
    uint64_t unique = send_fsync(&slow);
    sem_wait(&fsync_began);
    cr_expect_str_eq(peer_read(slow.peer, slow.node, slow.fh, 0, 100), "text");
    cr_expect_not(peer_answered(slow.peer, unique));
    sem_post(&fsync_may_end);
    cr_expect_eq(peer_reply_to(slow.peer, unique)->header.error, 0);
    peer_free(slow.peer);
}

Test(server, interrupt_answers_what_has_not_begun)
{
    struct slow slow;
    slow_new(&slow);
    uint64_t running = send_fsync(&slow);
    sem_wait(&fsync_began);
    uint64_t waiting = send_fsync(&slow);
    uint64_t waiting_too = send_fsync(&slow);
    send_interrupt(&slow, waiting);
    cr_expect_eq(peer_reply_to(slow.peer, waiting)->header.error, -EINTR);
    send_interrupt(&slow, waiting);
    send_interrupt(&slow, running);
    send_interrupt(&slow, 424242);
    cr_expect_not(peer_answered(slow.peer, running));
    sem_post(&fsync_may_end);
    sem_post(&fsync_may_end);
    cr_expect_eq(peer_reply_to(slow.peer, running)->header.error, 0);
    cr_expect_eq(peer_reply_to(slow.peer, waiting_too)->header.error, 0);
    peer_free(slow.peer);
}

/* Asks first, and then makes what the other one makes. */
static const struct vfs_ops *plain_ops;

static int symlink_with_consent(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                                const char *target, struct vfs_entry *out)
{
    sem_post(&fsync_began);
    sem_wait(&fsync_may_end);
    return plain_ops->symlink(vfs, cred, dir, name, target, out);
}

Test(server, what_waits_for_consent_delays_no_other_and_keeps_its_names, .timeout = 20)
{
    char target[16] = "";
    sem_init(&fsync_began, 0, 0);
    sem_init(&fsync_may_end, 0, 0);
    struct peer *peer = peer_new(&(struct peer_options){.workers = 1, .slow = true});
    plain_ops = peer->vfs->ops;
    struct vfs_ops ops = *plain_ops;
    ops.symlink = symlink_with_consent;
    peer->vfs->ops = &ops;
    peer_put_file(peer->tree_fd, "a", "");
    struct peer_piece names[] = {PEER_NAME("link"), PEER_NAME("its target"), {0}};
    cr_assert_eq(peer_send(peer, FUSE_SYMLINK, ROOT, names), 0);
    uint64_t unique = peer_last_unique(peer);
    sem_wait(&fsync_began);
    cr_expect(peer_lookup(peer, ROOT, "a"), "the buffer of the request is used for others now");
    cr_expect_not(peer_answered(peer, unique));
    sem_post(&fsync_may_end);
    cr_expect_eq(peer_reply_to(peer, unique)->header.error, 0);
    cr_expect_eq(readlinkat(peer->tree_fd, "link", target, sizeof target - 1), 10);
    cr_expect_str_eq(target, "its target");
    peer_free(peer);
}

Test(server, release_and_forget_wait_for_what_is_being_done)
{
    struct slow slow;
    slow_new(&slow);
    uint64_t unique = send_fsync(&slow);
    sem_wait(&fsync_began);
    cr_expect_eq(peer_release(slow.peer, slow.node, slow.fh, false), 0);
    cr_expect_eq(read_error(slow.peer, FUSE_READ, slow.node, slow.fh), -EBADF);
    peer_forget(slow.peer, slow.node, 1);
    sem_post(&fsync_may_end);
    cr_expect_eq(peer_reply_to(slow.peer, unique)->header.error, 0);
    peer_free(slow.peer); /* the sanitizers see it if anything was freed too early or never */
}

Test(server, a_full_queue_holds_the_peer_back_instead_of_failing)
{
    struct slow slow;
    slow_new(&slow);
    for (int i = 0; i < 200; i++)
        sem_post(&fsync_may_end);
    for (int i = 0; i < 150; i++)
        send_fsync(&slow);
    cr_expect_eq(peer_reply(slow.peer)->header.error, 0);
    cr_expect_eq(PEER_CALL(slow.peer, FUSE_DESTROY, 0, {0}), 0);
    cr_expect_eq(slow.peer->replies, 1 + 1 + 1 + 150 + 1, "INIT, LOOKUP, OPEN, all the FSYNCs, DESTROY");
    peer_free(slow.peer);
}

Test(server, config_out_of_range)
{
    struct peer *peer = peer_new(&defaults);
    struct server_config config = {.max_write = 2 * WIRE_IO_LIMIT, .max_nodes = 1, .max_handles = 1};
    cr_expect_null(server_new(&config, peer->vfs, NULL, NULL));
    cr_expect_eq(errno, EINVAL);
    config.max_write = 100;
    cr_expect_null(server_new(&config, peer->vfs, NULL, NULL));
    peer_free(peer);
}

/* ---- data in the window ---- */

static uint32_t pieces_of(struct peer *peer)
{
    uint32_t pieces;
    memcpy(&pieces, (const uint8_t *)peer_reply(peer)->body + WIRE_INIT_WINDOW_OFFSET - sizeof(struct fuse_out_header),
           sizeof pieces);
    return pieces;
}

/* Through a piece of the window: the count of the reply, or its error. */
static int windowed(struct peer *peer, uint32_t opcode, uint64_t node, struct fuse_write_in in)
{
    int rc = PEER_CALL(peer, opcode, node, PEER_ARGS(in));
    const struct peer_reply *reply = peer_reply(peer);
    if (rc < 0)
        return rc;
    cr_expect_eq(reply->len, sizeof(struct fuse_write_out));
    return (int)((const struct fuse_write_out *)(const void *)reply->body)->size;
}

Test(server, reads_and_writes_go_through_the_window)
{
    uint8_t *window = calloc(WIRE_WINDOW_PIECES, WIRE_IO_LIMIT), *third = window + 2 * (size_t)WIRE_IO_LIMIT;
    struct peer *peer = peer_new(&(struct peer_options){.workers = 1, .window = window});
    uint64_t node, fh;
    cr_expect_eq(pieces_of(peer), WIRE_WINDOW_PIECES);
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    strcpy((char *)third, "through the window");
    cr_expect_eq(windowed(peer, FUSE_WRITE, node, (struct fuse_write_in){.fh = fh, .size = 18, .padding = 3}), 18);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "f"), "through the window");
    /* One that waits for the disk is run by another thread. */
    strcpy((char *)third, "synced");
    cr_expect_eq(windowed(peer, FUSE_WRITE, node, (struct fuse_write_in){.fh = fh, .size = 6, .flags = O_SYNC, .padding = 3}), 6);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "f"), "syncedh the window");
    memset(third, 0, 100);
    cr_expect_eq(windowed(peer, FUSE_READ, node, (struct fuse_write_in){.fh = fh, .size = 100, .padding = 3}), 18);
    cr_expect_str_eq((const char *)third, "syncedh the window");
    cr_expect_eq(windowed(peer, FUSE_READ, node, (struct fuse_write_in){.fh = fh, .size = 100, .offset = 18, .padding = 3}), 0);
    cr_expect_eq(windowed(peer, FUSE_READ, node, (struct fuse_write_in){.fh = fh + 1, .size = 9, .padding = 3}), -EBADF);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 6), "synced", "and without it, as before");
    peer_free(peer);
    free(window);
}

Test(server, nothing_is_shared_unless_told)
{
    struct peer *peer = peer_new(&(struct peer_options){.workers = 0});
    uint64_t node, fh;
    cr_expect_eq(pieces_of(peer), 0u);
    cr_assert_eq(peer_create(peer, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    cr_expect_eq(windowed(peer, FUSE_READ, node, (struct fuse_write_in){.fh = fh, .size = 9, .padding = 1}), -EINVAL);
    peer_free(peer);
}
