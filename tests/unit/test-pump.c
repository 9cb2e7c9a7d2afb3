/* SPDX-License-Identifier: Apache-2.0 */
/* The pump's life of a request: waiting, sent, given up; and a hostile guest. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/window.h"
#include "src/channel.h"
#include "tests/unit/pumpbench.h"

static struct bench *connected(void)
{
    struct bench *b = bench_new(NULL);
    bench_connect(b);
    return b;
}

static int error_of(const struct bench *b, uint64_t unique)
{
    const struct fuse_out_header *out = bench_answer(b, unique);
    return out ? out->error : 1;
}

static void expect_broken(struct bench *b, const char *words)
{
    bench_turn(b);
    cr_expect_eq(b->closed, 1u, "the session ends, once");
    cr_expect(strstr(b->why, words), "it says: %s", b->why);
    cr_expect_eq(bench_root(b), 0u);
    bench_free(b);
}

static struct pump_counters counters(const struct bench *b)
{
    struct pump_counters c;
    pump_counters(b->pump, &c);
    return c;
}

/* ---- waiting ---- */

Test(pump, requests_wait_for_the_guest_to_boot)
{
    struct bench *b = bench_new(NULL);
    uint64_t first = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    uint64_t second = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("b"));
    cr_expect_eq(counters(b).waiting, 2u);
    bench_connect_silent(b);
    const struct fuse_in_header *init = bench_take(b);
    cr_assert(init && init->opcode == FUSE_INIT);
    uint64_t init_unique = init->unique;
    cr_expect_null(bench_take(b), "nothing is sent before INIT has been answered");
    struct fuse_init_out out = {.major = 7, .minor = 38, .max_write = WIRE_IO_LIMIT};
    bench_reply(b, init_unique, 0, &out, sizeof out);
    cr_expect_eq(bench_take(b)->unique, first);
    cr_expect_eq(bench_take(b)->unique, second);
    cr_expect_eq(counters(b).waiting, 0u);
    cr_expect_eq(counters(b).sent, 2u);
    bench_free(b);
}

Test(pump, a_waiting_request_is_interrupted_at_once)
{
    struct bench *b = bench_new(NULL);
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    cr_expect(pump_interrupt(b->pump, unique));
    cr_expect_eq(error_of(b, unique), -EINTR);
    cr_expect_not(pump_interrupt(b->pump, unique), "it is no longer the pump's");
    cr_expect_eq(counters(b).waiting, 0u);
    bench_free(b);
}

/* Fills the channel with writes that the guest does not take; returns how many. */
static unsigned stuff(struct bench *b, uint64_t node)
{
    static const uint8_t data[WIRE_IO_LIMIT];
    struct fuse_write_in in = {.size = sizeof data};
    unsigned n = 0;
    while (counters(b).waiting < 3) {
        BENCH_ASK(b, FUSE_WRITE, node, BENCH_ARGS(in), {data, sizeof data});
        cr_assert_lt(++n, 100u, "the pump takes what the channel does not");
    }
    return n;
}

Test(pump, a_full_channel_makes_requests_wait_and_small_ones_go_first)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    unsigned writes = stuff(b, node);
    struct fuse_getattr_in in = {0};
    uint64_t stat = BENCH_ASK(b, FUSE_GETATTR, node, BENCH_ARGS(in));
    unsigned before = 0, after = 0;
    bool seen = false;
    for (const struct fuse_in_header *h; (h = bench_take(b)); ) {
        seen = seen || h->unique == stat;
        before += h->opcode == FUSE_WRITE && !seen;
        after += h->opcode == FUSE_WRITE && seen;
    }
    cr_expect_eq(before + after, writes, "all arrive: %u + %u of %u", before, after, writes);
    cr_expect_geq(after, 2u, "the question went before the bulk that waited");
    bench_free(b);
}

Test(pump, the_queue_is_bounded)
{
    struct bench *b = bench_new(NULL);
    static const uint8_t data[WIRE_IO_LIMIT];
    struct fuse_write_in in = {.size = sizeof data};
    uint64_t unique = 0;
    for (int i = 0; i < 600; i++)
        unique = BENCH_ASK(b, FUSE_WRITE, bench_root(b), BENCH_ARGS(in), {data, sizeof data});
    cr_expect_eq(error_of(b, unique), -ENOMEM);
    cr_expect_lt(counters(b).waiting, 600u);
    bench_free(b);
}

/* ---- interrupts ---- */

Test(pump, an_interrupt_reaches_the_guest_and_is_answered_after_a_grace)
{
    struct bench *b = connected();
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("slow"));
    cr_assert(bench_take_opcode(b, FUSE_LOOKUP));
    cr_expect(pump_interrupt(b->pump, unique));
    const struct fuse_in_header *h = bench_take_opcode(b, FUSE_INTERRUPT);
    cr_assert(h);
    cr_expect_eq(h->unique, unique | 1);
    cr_expect_eq(((const struct fuse_interrupt_in *)bench_body(b))->unique, unique);
    cr_expect_null(bench_answer(b, unique), "the guest has a moment to answer itself");
    bench_reply(b, unique | 1, -EAGAIN, NULL, 0);
    bench_wait(b, PUMP_GRACE_MS + 50);
    cr_expect_eq(error_of(b, unique), -EINTR);

    struct fuse_entry_out entry = bench_entry(9, S_IFREG);
    bench_reply(b, unique, 0, &entry, sizeof entry);
    h = bench_take_opcode(b, FUSE_FORGET);
    cr_assert(h, "the late entry's reference is given back");
    cr_expect_eq(h->nodeid, 9u);
    cr_expect_eq(((const struct fuse_forget_in *)bench_body(b))->nlookup, 1u);
    cr_expect_eq(error_of(b, unique), -EINTR, "and answered only once");
    cr_expect_eq(counters(b).sent, 0u);
    bench_free(b);
}

Test(pump, a_guest_that_answers_the_interrupted_request_is_heard)
{
    struct bench *b = connected();
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("slow"));
    pump_interrupt(b->pump, unique);
    bench_reply(b, unique, -ENOENT, NULL, 0);
    cr_expect_eq(error_of(b, unique), -ENOENT);
    bench_wait(b, PUMP_GRACE_MS + 50);
    cr_expect_eq(error_of(b, unique), -ENOENT);
    bench_free(b);
}

/* A request, interrupted and answered too late; what comes back is for the caller to see. */
static void answer_late(struct bench *b, uint64_t unique, const void *body, size_t len)
{
    pump_interrupt(b->pump, unique);
    bench_wait(b, PUMP_GRACE_MS + 20);
    bench_reply(b, unique, 0, body, len);
}

Test(pump, late_handles_are_released)
{
    struct bench *b = connected();
    struct fuse_open_in in = {0};
    struct fuse_open_out out = {.fh = 0x55};
    uint64_t dir = BENCH_ASK(b, FUSE_OPENDIR, bench_root(b), BENCH_ARGS(in));
    answer_late(b, dir, &out, sizeof out);
    const struct fuse_in_header *h = bench_take_opcode(b, FUSE_RELEASEDIR);
    cr_assert(h);
    cr_expect_eq(h->nodeid, FUSE_ROOT_ID);
    cr_expect_eq(((const struct fuse_release_in *)bench_body(b))->fh, 0x55u);

    struct fuse_create_in create = {.mode = S_IFREG};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } created = {bench_entry(12, S_IFREG), {.fh = 0x66}};
    uint64_t file = BENCH_ASK(b, FUSE_CREATE, bench_root(b), BENCH_ARGS(create), BENCH_NAME("f"));
    answer_late(b, file, &created, sizeof created);
    h = bench_take_opcode(b, FUSE_RELEASE);
    cr_assert(h);
    cr_expect_eq(h->nodeid, 12u);
    h = bench_take_opcode(b, FUSE_FORGET);
    cr_assert(h);
    cr_expect_eq(h->nodeid, 12u);
    bench_free(b);
}

static size_t put_plus(uint8_t *at, uint64_t guest_id, const char *name)
{
    struct fuse_entry_out entry = bench_entry(guest_id, S_IFREG);
    struct fuse_dirent dirent = {.ino = guest_id, .off = 1, .namelen = (uint32_t)strlen(name), .type = 8};
    memcpy(at, &entry, sizeof entry);
    memcpy(at + sizeof entry, &dirent, FUSE_NAME_OFFSET);
    memcpy(at + sizeof entry + FUSE_NAME_OFFSET, name, dirent.namelen);
    return sizeof entry + FUSE_DIRENT_SIZE(&dirent);
}

static unsigned forgets(struct bench *b, uint64_t ids)
{
    unsigned n = 0;
    for (const struct fuse_in_header *h; (h = bench_take_opcode(b, FUSE_FORGET)); n++)
        cr_expect(ids >> h->nodeid & 1, "a reference to %llu", (unsigned long long)h->nodeid);
    return n;
}

Test(pump, references_in_a_late_or_refused_listing_are_given_back)
{
    struct bench *b = connected();
    uint8_t body[1024] = {0};
    size_t len = put_plus(body, 0, "."), at = len;
    at += put_plus(body + at, 20, "a");
    at += put_plus(body + at, 21, "b");
    struct fuse_read_in in = {.size = 4096};
    uint64_t late = BENCH_ASK(b, FUSE_READDIRPLUS, bench_root(b), BENCH_ARGS(in));
    answer_late(b, late, body, at);
    cr_expect_eq(forgets(b, UINT64_C(3) << 20), 2u);

    b->kernel_error = -ENOENT;
    uint64_t refused = BENCH_ASK(b, FUSE_READDIRPLUS, bench_root(b), BENCH_ARGS(in));
    bench_reply(b, refused, 0, body, at);
    cr_expect_eq(forgets(b, UINT64_C(3) << 20), 2u, "the kernel did not take them");
    b->kernel_error = 0;

    uint64_t taken = BENCH_ASK(b, FUSE_READDIRPLUS, bench_root(b), BENCH_ARGS(in));
    bench_reply(b, taken, 0, body, at);
    cr_expect_eq(error_of(b, taken), 0);
    cr_expect_eq(forgets(b, 0), 0u);
    bench_free(b);
}

Test(pump, references_the_kernel_refused_are_given_back)
{
    struct bench *b = connected();
    b->kernel_error = -ENOENT;
    cr_expect_eq(bench_lookup(b, bench_root(b), "f", 30, S_IFREG), 0u);
    const struct fuse_in_header *h = bench_take_opcode(b, FUSE_FORGET);
    cr_assert(h);
    cr_expect_eq(h->nodeid, 30u);
    b->kernel_error = 0;
    uint64_t id = bench_lookup(b, bench_root(b), "f", 30, S_IFREG);
    pump_forget(b->pump, id, 5);
    h = bench_take_opcode(b, FUSE_FORGET);
    cr_assert(h);
    cr_expect_eq(((const struct fuse_forget_in *)bench_body(b))->nlookup, 1u, "no more than are owed");
    pump_forget(b->pump, id, 1);
    cr_expect_null(bench_take(b), "nothing is owed any more");
    bench_free(b);
}

/* ---- sessions ---- */

Test(pump, the_end_of_the_channel_answers_everything)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    stuff(b, node);
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("x"));
    close(b->guest);
    b->guest = -1;
    bench_turn(b);
    cr_expect_eq(b->closed, 1u);
    cr_expect_eq(error_of(b, unique), -ENOTCONN);
    cr_expect_eq(counters(b).sent + counters(b).waiting, 0u);
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_LOOKUP, node, BENCH_NAME("y"))), -ENOTCONN);
    pump_forget(b->pump, node, 1);
    cr_expect_not(pump_interrupt(b->pump, unique));
    bench_free(b);
}

Test(pump, ids_of_a_session_before_are_stale)
{
    struct bench *b = connected();
    uint64_t old_root = bench_root(b), old = bench_lookup(b, old_root, "f", 7, S_IFREG);
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, old_root, BENCH_NAME("g"));
    bench_connect(b);
    cr_expect_eq(error_of(b, unique), -ENOTCONN);
    cr_expect_neq(bench_root(b), old_root);
    struct fuse_getattr_in in = {0};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETATTR, old, BENCH_ARGS(in))), -ESTALE);
    struct fuse_release_in release = {.fh = 3};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_RELEASE, old, BENCH_ARGS(release))), 0, "there is nothing to release");
    pump_forget(b->pump, old, 1);
    cr_expect_null(bench_take(b));
    cr_expect(bench_lookup(b, bench_root(b), "f", 7, S_IFREG));
    bench_free(b);
}

Test(pump, ids_are_stale_after_a_disconnection_too)
{
    struct bench *b = connected();
    uint64_t old = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    pump_disconnect(b->pump);
    bench_connect(b);
    struct fuse_getattr_in in = {0};
    cr_expect_eq(error_of(b, BENCH_ASK(b, FUSE_GETATTR, old, BENCH_ARGS(in))), -ESTALE);
    bench_free(b);
}

/* ---- a hostile guest ---- */

Test(pump, nonsense_for_init_ends_the_session)
{
    static const struct fuse_init_out wrong[] = {
        {.major = 6, .minor = 38, .max_write = WIRE_IO_LIMIT},
        {.major = 7, .minor = 8, .max_write = WIRE_IO_LIMIT},
        {.major = 7, .minor = 38, .max_write = 4096},
    };
    for (size_t i = 0; i < 6; i++) {
        struct bench *b = bench_new(NULL);
        bench_connect_silent(b);
        uint64_t unique = bench_take(b)->unique;
        struct fuse_init_out right = {.major = 7, .minor = 38, .max_write = WIRE_IO_LIMIT};
        if (i < 3)
            bench_reply(b, unique, 0, &wrong[i], sizeof wrong[i]);
        else if (i == 3)
            bench_reply(b, unique, -EIO, NULL, 0);
        else if (i == 4)
            bench_reply(b, unique, 0, &right, 8);
        else
            bench_reply(b, unique + 2, 0, &right, sizeof right);
        expect_broken(b, "greeting");
    }
}

Test(pump, replies_nobody_asked_for_end_the_session)
{
    struct bench *b = connected();
    bench_reply(b, 4444, 0, NULL, 0);
    expect_broken(b, "no request");

    b = bench_new(NULL); /* one that has not been sent yet */
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    bench_connect_silent(b);
    bench_reply(b, unique, -ENOENT, NULL, 0);
    expect_broken(b, "no request");

    b = connected(); /* one that has been answered */
    bench_lookup(b, bench_root(b), "a", 5, S_IFREG);
    bench_reply(b, b->unique, -ENOENT, NULL, 0);
    expect_broken(b, "no request");
}

Test(pump, replies_of_a_wrong_shape_end_the_session)
{
    struct fuse_entry_out entry = bench_entry(5, S_IFREG);
    for (int i = 0; i < 5; i++) {
        struct bench *b = connected();
        uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
        if (i == 0)
            bench_reply(b, unique, 0, &entry, sizeof entry - 1);
        else if (i == 1)
            bench_reply(b, unique, 0, NULL, 0);
        else if (i == 2)
            bench_reply(b, unique, -EIO, &entry, sizeof entry);
        else if (i == 3)
            bench_reply(b, unique, -512, NULL, 0);
        else
            bench_reply(b, unique, 1, NULL, 0);
        cr_expect_eq(error_of(b, unique), -ENOTCONN, "shape %d", i);
        expect_broken(b, "no request");
    }
}

Test(pump, impossible_lengths_end_the_session)
{
    static const uint32_t lengths[] = {0, 3, 15, WIRE_FRAME_LIMIT + 1, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct bench *b = connected();
        uint32_t frame[4] = {lengths[i]};
        bench_send(b, frame, sizeof frame);
        expect_broken(b, "");
    }
}

Test(pump, a_read_may_not_bring_more_than_was_asked_for)
{
    static const uint8_t data[8192];
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    struct fuse_read_in in = {.size = 4096};
    uint64_t unique = BENCH_ASK(b, FUSE_READ, node, BENCH_ARGS(in));
    bench_reply(b, unique, 0, data, 4097);
    expect_broken(b, "no request");
}

Test(pump, answers_to_our_own_messages_are_ignored)
{
    struct bench *b = connected();
    for (uint64_t i = 0; i < 1000; i++)
        bench_reply(b, UINT64_C(1) << 63 | i, -EIO, NULL, 0);
    for (uint64_t i = 1; i < 2000; i += 2)
        bench_reply(b, i, -EAGAIN, NULL, 0);
    cr_expect_eq(b->closed, 0u);
    cr_expect_eq(b->reply_count, 0u);
    bench_free(b);
}

Test(pump, forged_notifications_end_the_session)
{
    struct {
        struct fuse_notify_inval_entry_out head;
        char name[8];
    } bad_name = {{.parent = 1, .namelen = 3}, "a/b"}, long_name = {{.parent = 1, .namelen = 70000}, "abc"},
      no_nul = {{.parent = 1, .namelen = 7}, "abcdefgh"}, nobody = {{.parent = 0, .namelen = 3}, "abc"};
    struct fuse_notify_inval_inode_out inode = {.ino = 1};
    const struct {
        int code;
        const void *body;
        size_t len;
    } forged[] = {
        {FUSE_NOTIFY_STORE, &inode, sizeof inode},
        {FUSE_NOTIFY_RETRIEVE, &inode, sizeof inode},
        {FUSE_NOTIFY_DELETE, &inode, sizeof inode},
        {FUSE_NOTIFY_POLL, &inode, 8},
        {0, NULL, 0},
        {-1, NULL, 0},
        {99, &inode, sizeof inode},
        {FUSE_NOTIFY_INVAL_INODE, &inode, sizeof inode - 1},
        {FUSE_NOTIFY_INVAL_ENTRY, &bad_name, sizeof bad_name.head + 4},
        {FUSE_NOTIFY_INVAL_ENTRY, &long_name, sizeof long_name.head + 4},
        {FUSE_NOTIFY_INVAL_ENTRY, &no_nul, sizeof no_nul.head + 8},
        {FUSE_NOTIFY_INVAL_ENTRY, &nobody, sizeof nobody.head + 4},
        {FUSE_NOTIFY_INVAL_ENTRY, &nobody, sizeof nobody.head},
    };
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct bench *b = connected();
        bench_notify(b, forged[i].code, forged[i].body, forged[i].len);
        cr_expect_eq(b->notice_count, 0u, "notice %zu", i);
        expect_broken(b, "forged");
    }
}

/* ---- notices ---- */

Test(pump, notices_reach_the_kernel_under_its_ids)
{
    struct bench *b = connected();
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    struct fuse_notify_inval_inode_out inode = {.ino = 7, .off = -1};
    bench_notify(b, FUSE_NOTIFY_INVAL_INODE, &inode, sizeof inode);
    cr_assert_eq(b->notice_count, 1u);
    memcpy(&inode, b->notices[0].bytes + sizeof(struct fuse_out_header), sizeof inode);
    cr_expect_eq(inode.ino, node);
    inode.ino = 8; /* nobody knows it */
    bench_notify(b, FUSE_NOTIFY_INVAL_INODE, &inode, sizeof inode);
    cr_expect_eq(b->notice_count, 1u);
    cr_expect_eq(b->notices_ended, 2u, "both count");
    struct {
        struct fuse_notify_inval_entry_out head;
        char name[2];
    } entry = {{.parent = 1, .namelen = 1, .flags = 0xffff}, "f"};
    bench_notify(b, FUSE_NOTIFY_INVAL_ENTRY, &entry, sizeof entry.head + 2);
    cr_assert_eq(b->notice_count, 2u);
    memcpy(&entry, b->notices[1].bytes + sizeof(struct fuse_out_header), sizeof entry.head);
    cr_expect_eq(entry.head.parent, bench_root(b));
    cr_expect_eq(entry.head.flags, 0u);
    bench_free(b);
}

Test(pump, sweeps_do_not_pile_up)
{
    struct bench *b = connected();
    for (uint64_t id = 2; id < 12; id++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", (unsigned)id);
        bench_lookup(b, bench_root(b), name, id, S_IFREG);
    }
    struct fuse_notify_inval_inode_out all = {.ino = 0};
    for (int i = 0; i < 50; i++)
        bench_notify(b, FUSE_NOTIFY_INVAL_INODE, &all, sizeof all);
    cr_expect_eq(b->sweep_messages, 11u, "one for each node");
    cr_expect_eq(b->notices_ended, 1u, "the others end with the next sweep");
    pump_notices_written(b->pump);
    cr_expect_eq(b->sweep_messages, 22u);
    cr_expect_eq(b->notices_ended, 50u);
    pump_notices_written(b->pump);
    cr_expect_eq(b->sweep_messages, 22u);
    bench_free(b);
}

/* ---- quiet ---- */

static void note_quiet(void *data)
{
    *(bool *)data = true;
}

static void answer_barrier(struct bench *b)
{
    const struct fuse_in_header *barrier = bench_take_opcode(b, FUSE_STATFS);
    cr_assert_not_null(barrier);
    bench_reply(b, barrier->unique, 0, &(struct fuse_statfs_out){{.bsize = 4096}}, sizeof(struct fuse_statfs_out));
    bench_turn(b);
}

Test(pump, is_quiet_when_everything_has_been_answered)
{
    struct bench *b = connected();
    bool quiet = false;
    uint64_t before = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    cr_assert_eq(bench_take(b)->unique, before);
    pump_quiesce(b->pump, note_quiet, &quiet);
    uint64_t meanwhile = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("b"));
    bench_turn(b);
    cr_expect_null(bench_take(b), "nothing is sent, not even the barrier, before the answer");
    bench_reply(b, before, -ENOENT, NULL, 0);
    bench_turn(b);
    cr_expect_not(quiet);
    answer_barrier(b);
    cr_expect(quiet);
    cr_expect_null(bench_take(b));
    pump_go_on(b->pump);
    cr_expect_eq(bench_take(b)->unique, meanwhile);
    bench_reply(b, meanwhile, -ENOENT, NULL, 0);
    bench_turn(b);
    cr_expect_eq(error_of(b, meanwhile), -ENOENT);
    cr_expect_eq(b->closed, 0u);
    bench_free(b);
}

Test(pump, what_is_forgotten_while_quiet_is_told_afterwards)
{
    struct bench *b = connected();
    bool quiet = false;
    uint64_t node = bench_lookup(b, bench_root(b), "a", 7, S_IFREG | 0644);
    pump_quiesce(b->pump, note_quiet, &quiet);
    answer_barrier(b);
    pump_forget(b->pump, node, 1);
    bench_turn(b);
    cr_expect(quiet);
    cr_expect_null(bench_take(b));
    pump_go_on(b->pump);
    bench_turn(b);
    cr_expect_eq(bench_take(b)->opcode, (uint32_t)FUSE_FORGET);
    bench_free(b);
}

Test(pump, a_new_session_ends_the_quiet_of_the_old_one)
{
    struct bench *b = connected();
    bool quiet = false;
    uint64_t stuck = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    pump_quiesce(b->pump, note_quiet, &quiet);
    close(b->guest);
    bench_connect(b);
    cr_expect_eq(error_of(b, stuck), -ENOTCONN);
    uint64_t asked = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    cr_expect_eq(bench_take(b)->unique, asked);
    cr_expect_not(quiet);
    bench_free(b);
}

Test(pump, greets_with_the_first_request)
{
    struct bench *b = bench_new(NULL);
    int ends[2];
    bool quiet = false;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    cr_assert_eq(pump_connect(b->pump, ends[0], -1), 0);
    b->guest = ends[1];
    bench_turn(b);
    cr_expect_null(bench_take(b));
    pump_quiesce(b->pump, note_quiet, &quiet);
    uint64_t asked = BENCH_ASK(b, FUSE_LOOKUP, bench_root(b), BENCH_NAME("a"));
    bench_wait(b, 1);
    cr_expect(quiet, "there is nothing to wait for");
    cr_expect_null(bench_take(b));
    pump_go_on(b->pump);
    const struct fuse_in_header *init = bench_take(b);
    cr_assert(init && init->opcode == FUSE_INIT);
    struct fuse_init_out out = {.major = 7, .minor = 38, .max_write = WIRE_IO_LIMIT};
    bench_reply(b, init->unique, 0, &out, sizeof out);
    bench_turn(b);
    cr_expect_eq(bench_take(b)->unique, asked);
    bench_free(b);
}

/* ---- data in the window ---- */

enum { PIECES_SEEN = WIRE_WINDOW_PIECES + 2 };

static struct bench *sharing(uint8_t **window)
{
    struct bench *b = bench_new(NULL);
    b->window_fd = memfd_create("window", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(b->window_fd, WINDOW_SIZE), 0);
    *window = mmap(NULL, WINDOW_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, b->window_fd, WINDOW_FOR_ROOT);
    cr_assert_neq(*window, MAP_FAILED);
    bench_connect(b);
    return b;
}

static uint64_t ask_read(struct bench *b, uint64_t node, uint32_t size)
{
    struct fuse_read_in in = {.fh = 1, .size = size};
    return BENCH_ASK(b, FUSE_READ, node, BENCH_ARGS(in));
}

/* The piece that the next request names. */
static uint32_t piece_of(struct bench *b, uint32_t opcode)
{
    const struct fuse_in_header *h = bench_take_opcode(b, opcode);
    cr_assert(h);
    return ((const struct fuse_write_in *)bench_body(b))->padding;
}

Test(pump, what_is_read_comes_through_the_window)
{
    uint8_t *window;
    struct bench *b = sharing(&window);
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    uint64_t unique = ask_read(b, node, 8192);
    cr_expect_eq(piece_of(b, FUSE_READ), 1u);
    memset(window, 'x', 5000);
    struct fuse_write_out count = {.size = 5000};
    bench_reply(b, unique, 0, &count, sizeof count);
    const struct fuse_out_header *out = bench_answer(b, unique);
    cr_assert(out && !out->error);
    cr_assert_eq(out->len, sizeof *out + 5000);
    cr_expect_eq(memcmp(bench_answer_body(b, unique), window, 5000), 0);

    unique = ask_read(b, node, 8192);
    cr_expect_eq(piece_of(b, FUSE_READ), 1u, "it is free again");
    bench_reply(b, unique, -EIO, NULL, 0);
    cr_expect_eq(error_of(b, unique), -EIO);
    unique = ask_read(b, node, 100);
    cr_expect_eq(piece_of(b, FUSE_READ), 0u, "little is not worth it");
    bench_reply(b, unique, 0, "abc", 3);
    cr_expect_eq(memcmp(bench_answer_body(b, unique), "abc", 3), 0);
    munmap(window, WINDOW_HALF);
    bench_free(b);
}

Test(pump, what_is_written_goes_through_the_window)
{
    static uint8_t data[8000];
    uint8_t *window;
    struct bench *b = sharing(&window);
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG);
    struct fuse_write_in in = {.size = sizeof data};
    memset(data, 'w', sizeof data);
    uint64_t unique = BENCH_ASK(b, FUSE_WRITE, node, BENCH_ARGS(in), {data, sizeof data});
    const struct fuse_in_header *h = bench_take_opcode(b, FUSE_WRITE);
    cr_assert(h);
    cr_expect_eq(h->len, sizeof *h + sizeof in);
    cr_expect_eq(((const struct fuse_write_in *)bench_body(b))->padding, 1u);
    cr_expect_eq(memcmp(window, data, sizeof data), 0);
    struct fuse_write_out count = {.size = sizeof data};
    bench_reply(b, unique, 0, &count, sizeof count);
    cr_expect_eq(error_of(b, unique), 0);
    munmap(window, WINDOW_HALF);
    bench_free(b);
}

Test(pump, a_piece_belongs_to_its_request_until_the_reply)
{
    uint8_t *window;
    struct bench *b = sharing(&window);
    uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG), unique[PIECES_SEEN];
    for (uint32_t i = 0; i < PIECES_SEEN; i++) {
        unique[i] = ask_read(b, node, 8192);
        cr_expect_eq(piece_of(b, FUSE_READ), i < WIRE_WINDOW_PIECES ? i + 1 : 0);
    }
    cr_expect(pump_interrupt(b->pump, unique[4]));
    bench_wait(b, PUMP_GRACE_MS + 50);
    cr_expect_eq(error_of(b, unique[4]), -EINTR);
    ask_read(b, node, 8192);
    cr_expect_eq(piece_of(b, FUSE_READ), 0u, "the guest may still write to it");
    struct fuse_write_out count = {.size = 1};
    bench_reply(b, unique[4], 0, &count, sizeof count);
    ask_read(b, node, 8192);
    cr_expect_eq(piece_of(b, FUSE_READ), 5u);
    munmap(window, WINDOW_HALF);
    bench_free(b);
}

Test(pump, a_guest_cannot_have_read_more_than_was_asked_for)
{
    static const uint8_t data[8192];
    struct fuse_write_out count = {.size = 8193};
    for (int i = 0; i < 2; i++) {
        uint8_t *window;
        struct bench *b = sharing(&window);
        uint64_t node = bench_lookup(b, bench_root(b), "f", 7, S_IFREG), unique = ask_read(b, node, 8192);
        cr_expect_eq(piece_of(b, FUSE_READ), 1u);
        bench_reply(b, unique, 0, i ? (const void *)&count : data, i ? sizeof count : sizeof data);
        munmap(window, WINDOW_HALF);
        expect_broken(b, "no request asked for");
    }
}
