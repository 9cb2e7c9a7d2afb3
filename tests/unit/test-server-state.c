/* SPDX-License-Identifier: Apache-2.0 */
/* A session that goes on with another server. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/peer.h"

enum { ROOT = FUSE_ROOT_ID };

static const struct peer_options defaults = {.locks = true};

static void hand_over(struct peer *peer)
{
    size_t len;
    uint8_t *state = peer_save(peer, &len);
    peer_new_server(peer, &defaults);
    cr_assert_eq(server_adopt(peer->server, state, len), 0);
    free(state);
}

static int read_error(struct peer *peer, uint64_t node, uint64_t fh)
{
    struct fuse_read_in in = {.fh = fh, .size = 10};
    return PEER_CALL(peer, FUSE_READ, node, PEER_ARGS(in));
}

Test(server_state, open_files_go_on)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t node, fh;
    cr_assert_eq(mkdirat(peer->tree_fd, "dir", 0755), 0);
    uint64_t dir = peer_lookup(peer, ROOT, "dir");
    cr_assert_eq(peer_create(peer, dir, "file", O_RDWR, 0644, &node, &fh), 0);
    cr_assert_eq(peer_write(peer, node, fh, 0, "before", O_RDWR, 0), 0);
    hand_over(peer);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "before");
    cr_expect_eq(peer_write(peer, node, fh, 6, " after", O_RDWR, 0), 0);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "dir/file"), "before after");
    cr_expect_eq(peer_lookup(peer, dir, "file"), node, "it got another number");
    cr_expect_eq(peer_release(peer, node, fh, false), 0);
    cr_expect_eq(peer_release(peer, node, fh, false), -EBADF);
    peer_free(peer);
}

Test(server_state, again_and_again)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "file", "text");
    uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDONLY);
    uint64_t dir = peer_opendir(peer, ROOT);
    for (int i = 0; i < 5; i++)
        hand_over(peer);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "text");
    cr_expect_eq(peer_release(peer, ROOT, dir, true), 0);
    struct fuse_attr attr;
    cr_expect_eq(peer_getattr(peer, node, &attr), 0);
    peer_forget(peer, node, 1);
    cr_expect_eq(peer_getattr(peer, node, &attr), -ESTALE, "a lookup has been counted twice");
    peer_free(peer);
}

Test(server_state, what_is_new_gets_other_numbers)
{
    struct peer *peer = peer_new(&defaults);
    uint64_t ids[4];
    const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        peer_put_file(peer->tree_fd, names[i], names[i]);
    for (int i = 0; i < 3; i++)
        ids[i] = peer_lookup(peer, ROOT, names[i]);
    peer_forget(peer, ids[0], 1);
    hand_over(peer);
    ids[3] = peer_lookup(peer, ROOT, "d");
    ids[0] = peer_lookup(peer, ROOT, "a");
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            cr_expect_neq(ids[i], ids[j]);
    peer_free(peer);
}

static int set_lock(struct peer *peer, uint64_t node, uint64_t fh, uint32_t type, uint64_t start, uint64_t end,
                    uint32_t flags)
{
    struct fuse_lk_in in = {
        .fh = fh, .owner = 77, .lk = {.start = start, .end = end, .type = type}, .lk_flags = flags};
    return PEER_CALL(peer, FUSE_SETLK, node, PEER_ARGS(in));
}

/* Whether another process may write there. */
static bool is_free(const struct peer *peer, off_t at)
{
    int fd = openat(peer->tree_fd, "file", O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    cr_assert(fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0);
    close(fd);
    return lock.l_type == F_UNLCK;
}

Test(server_state, locks_are_held_on)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "file", "text");
    uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDWR);
    cr_assert_eq(set_lock(peer, node, fh, F_WRLCK, 0, 99, 0), 0);
    cr_assert_eq(set_lock(peer, node, fh, F_UNLCK, 10, 19, 0), 0);
    cr_assert_eq(set_lock(peer, node, fh, F_RDLCK, 30, 39, 0), 0);
    cr_assert_eq(set_lock(peer, node, fh, F_WRLCK, 200, INT64_MAX, 0), 0);
    hand_over(peer);
    static const struct {
        off_t at;
        bool free;
    } want[] = {{0, false}, {9, false}, {10, true}, {19, true}, {20, false}, {35, false}, {99, false}, {100, true}, {5000, false}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_expect_eq(is_free(peer, want[i].at), want[i].free, "at %jd", (intmax_t)want[i].at);
    cr_expect_eq(set_lock(peer, node, fh, F_UNLCK, 0, INT64_MAX, 0), 0);
    hand_over(peer);
    cr_expect(is_free(peer, 0) && is_free(peer, 50) && is_free(peer, 5000), "what was given back is held again");
    peer_free(peer);
}

Test(server_state, flock_is_held_on)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "file", "text");
    uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDWR);
    cr_assert_eq(set_lock(peer, node, fh, F_WRLCK, 0, INT64_MAX, FUSE_LK_FLOCK), 0);
    hand_over(peer);
    int fd = openat(peer->tree_fd, "file", O_RDWR | O_CLOEXEC);
    cr_expect(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    cr_expect_eq(peer_release(peer, node, fh, false), 0);
    cr_expect_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
    close(fd);
    peer_free(peer);
}

static void take_away(const struct peer *peer, int *fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
    *fd = openat(peer->tree_fd, "file", O_RDWR | O_CLOEXEC);
    cr_assert_eq(fcntl(*fd, F_OFD_SETLK, &lock), 0);
    cr_assert_eq(flock(*fd, LOCK_EX | LOCK_NB), 0);
}

Test(server_state, without_its_lock_a_file_is_stale)
{
    for (uint32_t flags = 0; flags <= FUSE_LK_FLOCK; flags += FUSE_LK_FLOCK) {
        struct peer *peer = peer_new(&defaults);
        size_t len;
        int fd;
        peer_put_file(peer->tree_fd, "file", "text");
        uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDWR);
        cr_assert_eq(set_lock(peer, node, fh, F_WRLCK, 0, 10, flags), 0);
        uint8_t *state = peer_save(peer, &len);
        peer_new_server(peer, &defaults);
        take_away(peer, &fd);
        cr_assert_eq(server_adopt(peer->server, state, len), 0);
        cr_expect_eq(read_error(peer, node, fh), -ESTALE, "flags %u", flags);
        close(fd);
        free(state);
        peer_free(peer);
    }
}

static void expect_stale(struct peer *peer, uint64_t node, uint64_t fh)
{
    struct fuse_attr attr;
    cr_expect_eq(peer_getattr(peer, node, &attr), -ESTALE);
    cr_expect_eq(read_error(peer, node, fh), -ESTALE);
    cr_expect_eq(peer_write(peer, node, fh, 0, "never", O_RDWR, 0), -ESTALE);
    cr_expect_eq(peer_open(peer, node, O_RDONLY), 0);
    cr_expect_eq(peer_release(peer, node, fh, false), 0, "it cannot be closed");
    peer_forget(peer, node, 1);
}

Test(server_state, another_file_of_the_same_name_is_not_it)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "file", "old");
    peer_put_file(peer->tree_fd, "other", "new");
    uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDWR);
    size_t len;
    uint8_t *state = peer_save(peer, &len);
    cr_assert_eq(renameat(peer->tree_fd, "other", peer->tree_fd, "file"), 0);
    peer_new_server(peer, &defaults);
    cr_assert_eq(server_adopt(peer->server, state, len), 0);
    expect_stale(peer, node, fh);
    uint64_t now = peer_lookup(peer, ROOT, "file");
    cr_expect(now && now != node);
    cr_expect_str_eq(peer_get_file(peer->tree_fd, "file"), "new");
    free(state);
    peer_free(peer);
}

Test(server_state, what_has_gone_is_stale)
{
    struct peer *peer = peer_new(&defaults);
    cr_assert_eq(mkdirat(peer->tree_fd, "dir", 0755), 0);
    peer_put_file(peer->tree_fd, "dir/inside", "inside");
    peer_put_file(peer->tree_fd, "unlinked", "unlinked");
    uint64_t dir = peer_lookup(peer, ROOT, "dir"), inside = peer_lookup(peer, dir, "inside");
    uint64_t unlinked = peer_lookup(peer, ROOT, "unlinked");
    uint64_t inside_fh = peer_open(peer, inside, O_RDWR), fh = peer_open(peer, unlinked, O_RDWR);
    cr_assert_eq(unlinkat(peer->tree_fd, "unlinked", 0), 0);
    cr_expect_str_eq(peer_read(peer, unlinked, fh, 0, 100), "unlinked", "not yet");
    size_t len;
    uint8_t *state = peer_save(peer, &len);
    cr_assert_eq(renameat(peer->tree_fd, "dir", peer->dir_fd, "out"), 0);
    peer_new_server(peer, &defaults);
    cr_assert_eq(server_adopt(peer->server, state, len), 0);
    expect_stale(peer, unlinked, fh);
    expect_stale(peer, inside, inside_fh);
    cr_expect_eq(peer_lookup_error(peer, dir, "inside"), -ESTALE);
    cr_expect_str_eq(peer_get_file(peer->dir_fd, "out/inside"), "inside");
    free(state);
    peer_free(peer);
}

Test(server_state, what_moved_before_goes_on)
{
    struct peer *peer = peer_new(&defaults);
    cr_assert_eq(mkdirat(peer->tree_fd, "dir", 0755), 0);
    peer_put_file(peer->tree_fd, "dir/file", "text");
    uint64_t dir = peer_lookup(peer, ROOT, "dir"), node = peer_lookup(peer, dir, "file");
    uint64_t fh = peer_open(peer, node, O_RDONLY);
    cr_assert_eq(renameat(peer->tree_fd, "dir", peer->tree_fd, "renamed"), 0);
    hand_over(peer);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "text");
    peer_free(peer);
}

Test(server_state, the_peer_may_begin_anew)
{
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->tree_fd, "file", "text");
    uint64_t node = peer_lookup(peer, ROOT, "file"), fh = peer_open(peer, node, O_RDONLY);
    hand_over(peer);
    cr_assert_eq(peer_init(peer), 0);
    cr_expect_eq(read_error(peer, node, fh), -ESTALE);
    cr_expect_neq(peer_lookup(peer, ROOT, "file"), 0);
    struct fuse_init_in in = {.major = 7, .minor = 38};
    struct peer_piece pieces[] = {PEER_ARGS(in), {0}};
    cr_expect_eq(peer_send(peer, FUSE_INIT, 0, pieces), -EPROTO, "a second one");
    peer_free(peer);
}

Test(server_state, what_is_cut_off_is_refused)
{
    struct peer *peer = peer_new(&defaults);
    size_t len;
    peer_put_file(peer->tree_fd, "file", "text");
    uint64_t node = peer_lookup(peer, ROOT, "file");
    cr_assert_neq(peer_open(peer, node, O_RDONLY), 0);
    uint8_t *state = peer_save(peer, &len);
    for (size_t cut = 0; cut < len; cut++) {
        peer_new_server(peer, &defaults);
        cr_expect_eq(server_adopt(peer->server, state, cut), -EPROTO, "%zu bytes of %zu", cut, len);
        cr_expect_eq(peer_init(peer), 0);
        cr_expect_neq(peer_lookup(peer, ROOT, "file"), 0);
    }
    peer_new_server(peer, &(struct peer_options){.max_nodes = 64, .max_handles = 16});
    cr_expect_eq(server_adopt(peer->server, state, len), 0);
    free(state);
    peer_free(peer);
}

static void replace_path(uint8_t *state, size_t len, const char *path, const char *by)
{
    uint8_t *at = memmem(state, len, path, strlen(path));
    cr_assert_not_null(at);
    memcpy(at, by, strlen(by));
}

Test(server_state, no_path_leads_out_of_the_tree)
{
    static const char *const ways[] = {"../canary", "a/../../c", "l/canary/", "/../canry"};
    struct peer *peer = peer_new(&defaults);
    peer_put_file(peer->dir_fd, "canary", "untouched");
    peer_put_file(peer->tree_fd, "some-file", "text");
    cr_assert_eq(symlinkat("..", peer->tree_fd, "l") | mkdirat(peer->tree_fd, "a", 0755), 0);
    uint64_t node = peer_lookup(peer, ROOT, "some-file"), fh = peer_open(peer, node, O_RDWR);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        size_t len;
        uint8_t *state = peer_save(peer, &len);
        replace_path(state, len, "some-file", ways[i]);
        peer_new_server(peer, &defaults);
        cr_assert_eq(server_adopt(peer->server, state, len), 0);
        cr_expect_eq(read_error(peer, node, fh), -ESTALE, "%s", ways[i]);
        free(state);
        peer_new_server(peer, &defaults);
        cr_assert_eq(peer_init(peer), 0);
        node = peer_lookup(peer, ROOT, "some-file");
        fh = peer_open(peer, node, O_RDWR);
    }
    peer_free(peer);
}
