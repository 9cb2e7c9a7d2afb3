/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that serves the root file system, on this machine's own root (only looked at) and with a socket for a port. */
#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/wire.h"
#include "guest/rootserve.h"

struct host {
    int port;
    struct rootserve *rootserve;
    uint64_t unique;
    uint8_t body[64 * 1024] __attribute__((aligned(8)));
    size_t body_len;
    sem_t ended;
    char why[200];
};

static void ended(void *data, const char *why)
{
    struct host *host = data;
    snprintf(host->why, sizeof host->why, "%s", why);
    sem_post(&host->ended);
}

static struct host *host_new(void)
{
    int sockets[2];
    struct host *host = calloc(1, sizeof *host);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    sem_init(&host->ended, 0, 0);
    host->port = sockets[0];
    host->rootserve = rootserve_start(sockets[1], ended, host);
    cr_assert_not_null(host->rootserve);
    return host;
}

static void host_free(struct host *host)
{
    rootserve_stop(host->rootserve);
    close(host->port);
    free(host);
}

static void read_exactly(const struct host *host, void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(host->port, (uint8_t *)to + done, len - done);
        cr_assert_gt(n, 0);
        done += (size_t)n;
    }
}

static size_t build(struct host *host, uint8_t *message, uint32_t opcode, uint64_t node, const void *body, size_t len)
{
    struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + len), .opcode = opcode, .unique = host->unique += 2, .nodeid = node};
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, body, len);
    return header.len;
}

/* Reads messages until the reply to the last request; the rest are notices about this machine's life. */
static int wait_for_reply(struct host *host)
{
    struct fuse_out_header header;
    do {
        read_exactly(host, &header, sizeof header);
        host->body_len = header.len - sizeof header;
        cr_assert_leq(host->body_len, sizeof host->body);
        read_exactly(host, host->body, host->body_len);
    } while (header.unique != host->unique);
    return header.error;
}

static int call(struct host *host, uint32_t opcode, uint64_t node, const void *body, size_t len)
{
    uint8_t message[1024];
    size_t total = build(host, message, opcode, node, body, len);
    cr_assert_eq(write(host->port, message, total), (ssize_t)total);
    return wait_for_reply(host);
}

static int init(struct host *host)
{
    struct fuse_init_in in = {.major = 7, .minor = 38};
    return call(host, FUSE_INIT, 0, &in, sizeof in);
}

static uint64_t lookup(struct host *host, const char *name)
{
    struct fuse_entry_out entry;
    if (call(host, FUSE_LOOKUP, FUSE_ROOT_ID, name, strlen(name) + 1) != 0)
        return 0;
    memcpy(&entry, host->body, sizeof entry);
    return entry.nodeid;
}

static int getattr(struct host *host, uint64_t node)
{
    struct fuse_getattr_in in = {0};
    return call(host, FUSE_GETATTR, node, &in, sizeof in);
}

Test(rootserve, shows_the_root)
{
    struct host *host = host_new();
    struct stat st;
    struct fuse_attr_out out;
    cr_assert_eq(init(host), 0);
    cr_expect_neq(lookup(host, "etc"), 0);
    cr_assert_eq(getattr(host, FUSE_ROOT_ID), 0);
    memcpy(&out, host->body, sizeof out);
    cr_assert_eq(stat("/", &st), 0);
    cr_expect_eq(out.attr.ino, st.st_ino);
    host_free(host);
}

Test(rootserve, messages_in_any_pieces)
{
    struct host *host = host_new();
    uint8_t messages[1024];
    struct fuse_getattr_in in = {0};
    cr_assert_eq(init(host), 0);
    size_t len = build(host, messages, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in);
    len += build(host, messages + len, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in);
    for (size_t at = 0; at < len; at++)
        cr_assert_eq(write(host->port, messages + at, 1), 1);
    cr_expect_eq(wait_for_reply(host), 0);
    host_free(host);
}

Test(rootserve, each_init_begins_anew)
{
    struct host *host = host_new();
    cr_assert_eq(init(host), 0);
    uint64_t node = lookup(host, "etc");
    cr_expect_eq(getattr(host, node), 0);
    cr_expect_eq(init(host), 0, "a host that was replaced does not say goodbye");
    cr_expect_eq(getattr(host, FUSE_ROOT_ID), 0);
    struct fuse_forget_in forget = {.nlookup = 1};
    uint8_t message[128];
    size_t len = build(host, message, FUSE_FORGET, node, &forget, sizeof forget);
    cr_assert_eq(write(host->port, message, len), (ssize_t)len);
    cr_expect_eq(getattr(host, node), -ESTALE);
    host_free(host);
}

static void expect_end(struct host *host, const void *message, size_t len)
{
    cr_assert_eq(write(host->port, message, len), (ssize_t)len);
    sem_wait(&host->ended);
    cr_expect_not_null(strstr(host->why, "malformed"), "%s", host->why);
    host_free(host);
}

Test(rootserve, impossible_lengths_end_it)
{
    const uint32_t lengths[] = {0, 39, WIRE_FRAME_LIMIT + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct host *host = host_new();
        struct fuse_in_header header = {.len = lengths[i], .opcode = FUSE_INIT, .unique = 2};
        expect_end(host, &header, sizeof header);
    }
}

Test(rootserve, requests_before_init_end_it)
{
    struct host *host = host_new();
    uint8_t message[128];
    struct fuse_getattr_in in = {0};
    expect_end(host, message, build(host, message, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in));
}

/* Replies that nobody reads fill the port; stopping must not wait for them. */
Test(rootserve, stops_while_the_host_does_not_read, .timeout = 20)
{
    struct host *host = host_new();
    cr_assert_eq(init(host), 0);
    struct fuse_getattr_in in = {0};
    uint8_t message[128];
    size_t len = build(host, message, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in);
    while (send(host->port, message, len, MSG_DONTWAIT) == (ssize_t)len)
        ;
    cr_expect(errno == EAGAIN || errno == EWOULDBLOCK);
    host_free(host);
}
