/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pumpbench.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void record(struct bench_message *records, size_t *count, const struct iovec *iov, int pieces)
{
    size_t len = 0;
    for (int i = 0; i < pieces; i++)
        len += iov[i].iov_len;
    cr_assert_lt(*count, (size_t)BENCH_RECORDS);
    struct bench_message *m = &records[(*count)++];
    *m = (struct bench_message){.len = len, .bytes = malloc(len)};
    size_t at = 0;
    for (int i = 0; i < pieces; i++) {
        memcpy(m->bytes + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}

static int to_kernel(void *data, const struct iovec *iov, int count)
{
    struct bench *b = data;
    if (b->kernel_error)
        return b->kernel_error;
    record(b->replies, &b->reply_count, iov, count);
    const struct fuse_out_header *out = (const void *)b->replies[b->reply_count - 1].bytes;
    cr_expect_eq(out->len, b->replies[b->reply_count - 1].len, "the kernel takes no reply that lies about its length");
    return 0;
}

static void notify_kernel(void *data, const void *message, size_t len, enum pump_notify what)
{
    struct bench *b = data;
    struct iovec iov = {(void *)(uintptr_t)message, len};
    b->notices_ended += what == PUMP_NOTIFY_END;
    b->sweep_messages += what == PUMP_NOTIFY_SWEEP;
    if (what != PUMP_NOTIFY_END)
        record(b->notices, &b->notice_count, &iov, 1);
}

static void closed(void *data, const char *why)
{
    struct bench *b = data;
    b->closed++;
    snprintf(b->why, sizeof b->why, "%s", why);
}

struct bench *bench_new(const struct hostview_config *config)
{
    static const struct pump_ops ops = {.to_kernel = to_kernel, .notify_kernel = notify_kernel, .closed = closed};
    static const struct hostview_config plain = {.uid = 1000, .gid = 1000, .entry_timeout_ms = 1500,
                                                 .attr_timeout_ms = 2500};
    struct bench *b = calloc(1, sizeof *b);
    cr_assert(b);
    b->guest = b->window_fd = -1;
    signal(SIGPIPE, SIG_IGN); /* as in the supervisor */
    b->loop = loop_new();
    b->pump = pump_new(b->loop, config ? config : &plain, &ops, b);
    cr_assert(b->loop && b->pump);
    return b;
}

void bench_free(struct bench *b)
{
    pump_free(b->pump);
    loop_free(b->loop);
    if (b->guest >= 0)
        close(b->guest);
    if (b->window_fd >= 0)
        close(b->window_fd);
    for (size_t i = 0; i < b->reply_count; i++)
        free(b->replies[i].bytes);
    for (size_t i = 0; i < b->notice_count; i++)
        free(b->notices[i].bytes);
    free(b);
}

static void quit(void *data)
{
    loop_quit(data, 0);
}

void bench_wait(struct bench *b, unsigned ms)
{
    loop_timer(b->loop, ms, quit, b->loop);
    loop_run(b->loop);
}

void bench_turn(struct bench *b)
{
    for (int i = 0; i < 4; i++)
        bench_wait(b, 0);
}

void bench_connect_silent(struct bench *b)
{
    int ends[2];
    if (b->guest >= 0)
        close(b->guest);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    b->guest = ends[1];
    b->in_len = 0;
    cr_assert_eq(pump_connect(b->pump, ends[0], b->window_fd), 0);
    pump_greet(b->pump);
}

void bench_connect(struct bench *b)
{
    bench_connect_silent(b);
    const struct fuse_in_header *init = bench_take(b);
    cr_assert(init && init->opcode == FUSE_INIT, "a session begins with INIT");
    struct fuse_init_out out = {.major = 7, .minor = 38, .max_write = WIRE_IO_LIMIT};
    const uint32_t pieces = b->window_fd < 0 ? 0 : WIRE_WINDOW_PIECES;
    memcpy((uint8_t *)&out + WIRE_INIT_WINDOW_OFFSET - sizeof(struct fuse_out_header), &pieces, sizeof pieces);
    bench_reply(b, init->unique, 0, &out, sizeof out);
}

uint64_t bench_ask(struct bench *b, uint32_t opcode, uint64_t node, const struct bench_piece *pieces)
{
    struct fuse_in_header header = {.len = sizeof header, .opcode = opcode, .unique = b->unique += 2, .nodeid = node,
                                    .uid = 1000, .gid = 1000, .pid = 77};
    for (int i = 0; i < 4 && pieces[i].data; i++)
        header.len += (uint32_t)pieces[i].len;
    uint8_t *message = malloc(header.len); /* exactly, for the sanitizer */
    size_t at = sizeof header;
    memcpy(message, &header, sizeof header);
    for (int i = 0; i < 4 && pieces[i].data; i++) {
        memcpy(message + at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
    }
    pump_request(b->pump, message, header.len);
    free(message);
    return header.unique;
}

const struct fuse_in_header *bench_take(struct bench *b)
{
    uint32_t len = 0;
    for (int turns = 0; turns < 2; turns++) {
        ssize_t n = recv(b->guest, &len, sizeof len, MSG_PEEK);
        if (n == (ssize_t)sizeof len)
            break;
        bench_turn(b);
    }
    if (len < sizeof(struct fuse_in_header) || len > sizeof b->in)
        return NULL;
    for (b->in_len = 0; b->in_len < len;) {
        ssize_t n = read(b->guest, b->in + b->in_len, len - b->in_len);
        if (n > 0)
            b->in_len += (size_t)n;
        else
            bench_turn(b);
    }
    return (const struct fuse_in_header *)(const void *)b->in;
}

const struct fuse_in_header *bench_take_opcode(struct bench *b, uint32_t opcode)
{
    const struct fuse_in_header *in = bench_take(b);
    while (in && in->opcode != opcode)
        in = bench_take(b);
    return in;
}

const void *bench_body(const struct bench *b)
{
    return b->in + sizeof(struct fuse_in_header);
}

void bench_send(struct bench *b, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len && !b->closed) {
        ssize_t n = send(b->guest, at, len, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            break;
        }
        bench_turn(b);
    }
    bench_turn(b);
}

void bench_reply(struct bench *b, uint64_t unique, int error, const void *body, size_t len)
{
    struct fuse_out_header out = {.len = (uint32_t)(sizeof out + len), .error = error, .unique = unique};
    uint8_t *message = malloc(out.len);
    memcpy(message, &out, sizeof out);
    if (len)
        memcpy(message + sizeof out, body, len);
    bench_send(b, message, out.len);
    free(message);
}

void bench_notify(struct bench *b, int code, const void *body, size_t len)
{
    bench_reply(b, 0, code, body, len);
}

const struct fuse_out_header *bench_answer(const struct bench *b, uint64_t unique)
{
    const struct fuse_out_header *found = NULL;
    for (size_t i = 0; i < b->reply_count; i++) {
        const struct fuse_out_header *out = (const void *)b->replies[i].bytes;
        if (out->unique != unique)
            continue;
        cr_assert(!found, "request %llu was answered twice", (unsigned long long)unique);
        found = out;
    }
    return found;
}

const void *bench_answer_body(const struct bench *b, uint64_t unique)
{
    const struct fuse_out_header *out = bench_answer(b, unique);
    cr_assert(out && !out->error, "request %llu has no good answer", (unsigned long long)unique);
    return out + 1;
}

uint64_t bench_root(const struct bench *b)
{
    return pump_root_id(b->pump);
}

struct fuse_entry_out bench_entry(uint64_t guest_id, uint32_t mode)
{
    return (struct fuse_entry_out){.nodeid = guest_id, .attr = {.ino = guest_id, .mode = mode, .nlink = 1, .blksize = 4096}};
}

uint64_t bench_lookup(struct bench *b, uint64_t parent, const char *name, uint64_t guest_id, uint32_t mode)
{
    struct fuse_entry_out entry = bench_entry(guest_id, mode);
    uint64_t unique = BENCH_ASK(b, FUSE_LOOKUP, parent, BENCH_NAME(name));
    if (!bench_take_opcode(b, FUSE_LOOKUP))
        return 0;
    bench_reply(b, unique, 0, &entry, sizeof entry);
    const struct fuse_out_header *out = bench_answer(b, unique);
    if (!out || out->error)
        return 0;
    memcpy(&entry, out + 1, sizeof entry);
    return entry.nodeid;
}

const char *bench_readlink(struct bench *b, uint64_t node, const char *target)
{
    static char shown[4200];
    uint64_t unique = BENCH_ASK(b, FUSE_READLINK, node, {0});
    cr_assert(bench_take_opcode(b, FUSE_READLINK));
    bench_reply(b, unique, 0, target, strlen(target));
    const struct fuse_out_header *out = bench_answer(b, unique);
    cr_assert(out);
    snprintf(shown, sizeof shown, "%.*s", (int)(out->len - sizeof *out), (const char *)(out + 1));
    return out->error ? strerror(-out->error) : shown;
}
