/* SPDX-License-Identifier: Apache-2.0 */
/* A pump between two fakes: a kernel (requests made by hand, replies and notifications recorded) and a guest's file server
 * at the other end of a socketpair. */
#ifndef GONDOLIN_TESTS_UNIT_PUMPBENCH_H
#define GONDOLIN_TESTS_UNIT_PUMPBENCH_H

#include <stdbool.h>
#include <string.h>

#include "fs/pump.h"
#include "fs/wire.h"

enum { BENCH_RECORDS = 4096 };

struct bench_message {
    size_t len;
    uint8_t *bytes; /* aligned for the structures of the protocol */
};

struct bench {
    struct loop *loop;
    struct pump *pump;
    int window_fd; /* shared with the guest; -1: nothing is */
    int guest; /* the server's end, non-blocking; -1 before bench_connect */
    uint64_t unique;
    int kernel_error; /* what writing to the kernel returns */
    struct bench_message replies[BENCH_RECORDS], notices[BENCH_RECORDS];
    size_t reply_count, notice_count;
    unsigned sweep_messages, notices_ended;
    unsigned closed;
    char why[128];
    _Alignas(8) uint8_t in[WIRE_FRAME_LIMIT]; /* the request that bench_take returned */
    size_t in_len;
};

struct bench_piece {
    const void *data;
    size_t len;
};
#define BENCH_NAME(text) {(text), strlen(text) + 1}
#define BENCH_ARGS(object) {&(object), sizeof(object)}

struct bench *bench_new(const struct hostview_config *config);
void bench_free(struct bench *bench);

/* A session whose INIT has been answered. */
void bench_connect(struct bench *bench);
/* The same, but the server says nothing yet. */
void bench_connect_silent(struct bench *bench);
void bench_turn(struct bench *bench);
/* Runs the loop for `ms` milliseconds. */
void bench_wait(struct bench *bench, unsigned ms);

/* A request of the kernel, of up to 4 pieces; returns its unique. */
uint64_t bench_ask(struct bench *bench, uint32_t opcode, uint64_t node, const struct bench_piece *pieces);
#define BENCH_ASK(bench, opcode, node, ...) \
    bench_ask(bench, opcode, node, (const struct bench_piece[5]){__VA_ARGS__})

/* The next message that has arrived at the server; NULL: none. */
const struct fuse_in_header *bench_take(struct bench *bench);
/* Skips to the one with this opcode. */
const struct fuse_in_header *bench_take_opcode(struct bench *bench, uint32_t opcode);
const void *bench_body(const struct bench *bench);

/* The server sends a reply, or any bytes. */
void bench_reply(struct bench *bench, uint64_t unique, int error, const void *body, size_t len);
void bench_send(struct bench *bench, const void *bytes, size_t len);
void bench_notify(struct bench *bench, int code, const void *body, size_t len);

/* The reply the kernel got, or NULL; more than one aborts. */
const struct fuse_out_header *bench_answer(const struct bench *bench, uint64_t unique);
const void *bench_answer_body(const struct bench *bench, uint64_t unique);

/* The host's root, and a LOOKUP from question to answer: the host's id of the entry, or 0. */
uint64_t bench_root(const struct bench *bench);
struct fuse_entry_out bench_entry(uint64_t guest_id, uint32_t mode);
uint64_t bench_lookup(struct bench *bench, uint64_t parent, const char *name, uint64_t guest_id, uint32_t mode);
/* READLINK from question to answer: what the kernel sees, in a static buffer. */
const char *bench_readlink(struct bench *bench, uint64_t node, const char *target);

#endif
