/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of fs/server for tests: a scratch tree served by fs/hostdir, hand-made requests, and their replies. */
#ifndef GONDOLIN_TESTS_UNIT_PEER_H
#define GONDOLIN_TESTS_UNIT_PEER_H

#include <pthread.h>
#include <stdbool.h>

#include "fs/hostdir.h"
#include "fs/server.h"
#include "fs/vfs.h"
#include "fs/wire.h"

enum { PEER_MAX_WRITE = 128 * 1024, PEER_BODY = PEER_MAX_WRITE + 128, PEER_REPLIES = 16 };

struct peer {
    char dir[64]; /* scratch; holds tree/ and what a test puts beside it */
    int dir_fd, tree_fd;
    struct vfs *vfs;
    struct server *server;
    struct fuse_in_header header; /* uid, gid and the next unique; the rest is filled in for each request */

    pthread_mutex_t lock;
    pthread_cond_t replied;
    struct peer_reply {
        struct fuse_out_header header;
        uint64_t *body;
        size_t len; /* of the body */
    } reply[PEER_REPLIES]; /* a ring of the last ones */
    unsigned replies;
};

struct peer_options {
    unsigned max_nodes, max_handles, workers; /* 0: 64, 16, 0 */
    bool as_caller, allow_devices, all_xattrs, mapped, stand_ins, direct;
    bool no_init, locks, slow, forgets;
    uint8_t *window;
    struct vfs *vfs; /* served in place of the tree; borrowed */
};

/* One piece of a request's body. */
struct peer_piece {
    const void *data;
    size_t len;
};
#define PEER_NAME(text) {(text), strlen(text) + 1}
#define PEER_ARGS(object) {&(object), sizeof(object)}

/* Aborts the test on failure. */
struct peer *peer_new(const struct peer_options *options);
void peer_free(struct peer *peer);

/* What the server leaves to a later one, malloc'd. */
uint8_t *peer_save(struct peer *peer, size_t *len);
/* Another server, on the same tree, in its place. */
void peer_new_server(struct peer *peer, const struct peer_options *options);

/* Sends a request made of up to 4 pieces (ended by one without data). Returns what server_receive says. */
int peer_send(struct peer *peer, uint32_t opcode, uint64_t node, const struct peer_piece *pieces);

/* The reply to the last request sent, waited for. */
const struct peer_reply *peer_reply(struct peer *peer);
/* The reply to any request that was answered. */
const struct peer_reply *peer_reply_to(struct peer *peer, uint64_t unique);
uint64_t peer_last_unique(const struct peer *peer);
bool peer_answered(struct peer *peer, uint64_t unique);

/* Sends and waits; returns the reply's error (0 or negative). The body is peer_reply()'s. */
int peer_call(struct peer *peer, uint32_t opcode, uint64_t node, const struct peer_piece *pieces);

#define PEER_CALL(peer, opcode, node, ...) \
    peer_call(peer, opcode, node, (const struct peer_piece[5]){__VA_ARGS__})

/* Common requests; those that return an id return 0 on failure. */
int peer_init(struct peer *peer);
uint64_t peer_lookup(struct peer *peer, uint64_t dir, const char *name);
int peer_lookup_error(struct peer *peer, uint64_t dir, const char *name);
void peer_forget(struct peer *peer, uint64_t node, uint64_t count);
int peer_getattr(struct peer *peer, uint64_t node, struct fuse_attr *attr);
uint64_t peer_open(struct peer *peer, uint64_t node, uint32_t flags);
uint64_t peer_opendir(struct peer *peer, uint64_t node);
int peer_create(struct peer *peer, uint64_t dir, const char *name, uint32_t flags, uint32_t mode, uint64_t *node,
                uint64_t *fh);
int peer_write(struct peer *peer, uint64_t node, uint64_t fh, uint64_t offset, const char *text, uint32_t flags,
               uint32_t write_flags);
/* The bytes read, NUL-terminated, in a static buffer. */
const char *peer_read(struct peer *peer, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size);
int peer_release(struct peer *peer, uint64_t node, uint64_t fh, bool directory);

/* Makes a file in a directory of this machine, with this text. */
void peer_put_file(int dir_fd, const char *name, const char *text);
/* Its text, in a static buffer. */
const char *peer_get_file(int dir_fd, const char *name);

#endif
