/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/peer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void take_reply(void *data, const void *message, size_t len)
{
    struct peer *peer = data;
    pthread_mutex_lock(&peer->lock);
    struct peer_reply *reply = &peer->reply[peer->replies % PEER_REPLIES];
    cr_assert_geq(len, sizeof reply->header);
    memcpy(&reply->header, message, sizeof reply->header);
    cr_assert_eq(reply->header.len, len);
    reply->len = len - sizeof reply->header;
    cr_assert_leq(reply->len, PEER_BODY);
    memcpy(reply->body, (const uint8_t *)message + sizeof reply->header, reply->len);
    peer->replies++;
    pthread_cond_broadcast(&peer->replied);
    pthread_mutex_unlock(&peer->lock);
}

static void make_server(struct peer *peer, const struct peer_options *options)
{
    struct hostdir_config dir = {
        .root_fd = peer->tree_fd,
        .cred = options->as_caller ? HOSTDIR_AS_CALLER : HOSTDIR_AS_SELF,
        .allow_devices = options->allow_devices,
        .all_xattrs = options->all_xattrs,
        .mapped = options->mapped,
        .stand_ins = options->stand_ins,
        .direct = options->direct,
    };
    struct server_config config = {
        .max_write = PEER_MAX_WRITE,
        .window = options->window,
        .max_nodes = options->max_nodes ? options->max_nodes : 64,
        .max_handles = options->max_handles ? options->max_handles : 16,
        .workers = options->workers,
        .locks = options->locks,
        .forgets = options->forgets,
        .slow = options->slow,
        .attr_timeout = 1.5,
        .entry_timeout = 2,
    };
    peer->vfs = options->vfs ? NULL : hostdir_new(&dir);
    struct vfs *served = options->vfs ? options->vfs : peer->vfs;
    cr_assert_not_null(served);
    peer->server = server_new(&config, served, take_reply, peer);
    cr_assert_not_null(peer->server);
}

struct peer *peer_new(const struct peer_options *options)
{
    struct peer *peer = calloc(1, sizeof *peer);
    cr_assert_not_null(peer);
    strcpy(peer->dir, "/tmp/gondolin-test-XXXXXX");
    cr_assert_not_null(mkdtemp(peer->dir));
    peer->dir_fd = open(peer->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(mkdirat(peer->dir_fd, "tree", 0755), 0);
    peer->tree_fd = openat(peer->dir_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < PEER_REPLIES; i++)
        peer->reply[i].body = calloc(1, PEER_BODY);
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->replied, NULL);
    make_server(peer, options);
    if (!options->no_init)
        cr_assert_eq(peer_init(peer), 0);
    return peer;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void peer_free(struct peer *peer)
{
    server_free(peer->server);
    hostdir_free(peer->vfs);
    close(peer->tree_fd);
    close(peer->dir_fd);
    nftw(peer->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (int i = 0; i < PEER_REPLIES; i++)
        free(peer->reply[i].body);
    free(peer);
}

uint8_t *peer_save(struct peer *peer, size_t *len)
{
    char *state = NULL;
    FILE *out = open_memstream(&state, len);
    cr_assert_not_null(out);
    cr_assert_eq(server_save(peer->server, out), 0);
    fclose(out);
    return (uint8_t *)state;
}

void peer_new_server(struct peer *peer, const struct peer_options *options)
{
    server_free(peer->server);
    hostdir_free(peer->vfs);
    make_server(peer, options);
}

int peer_send(struct peer *peer, uint32_t opcode, uint64_t node, const struct peer_piece *pieces)
{
    uint8_t *message = malloc(WIRE_FRAME_LIMIT); /* of its own, so that the sanitizers see reads of what is not there */
    size_t len = sizeof peer->header;
    for (; pieces->data; pieces++) {
        memcpy(message + len, pieces->data, pieces->len);
        len += pieces->len;
    }
    peer->header.len = (uint32_t)len;
    peer->header.opcode = opcode;
    peer->header.unique += 2;
    peer->header.nodeid = node;
    memcpy(message, &peer->header, sizeof peer->header);
    message = realloc(message, len);
    int rc = server_receive(peer->server, message, len);
    explicit_bzero(message, len); /* who still looks at it finds nothing, with other builds too */
    free(message);
    return rc;
}

static const struct peer_reply *find_reply(const struct peer *peer, uint64_t unique)
{
    for (unsigned i = 0; i < PEER_REPLIES && i < peer->replies; i++) {
        if (peer->reply[i].header.unique == unique)
            return &peer->reply[i];
    }
    return NULL;
}

const struct peer_reply *peer_reply_to(struct peer *peer, uint64_t unique)
{
    const struct peer_reply *reply;
    pthread_mutex_lock(&peer->lock);
    while (!(reply = find_reply(peer, unique)))
        pthread_cond_wait(&peer->replied, &peer->lock);
    pthread_mutex_unlock(&peer->lock);
    return reply;
}

bool peer_answered(struct peer *peer, uint64_t unique)
{
    pthread_mutex_lock(&peer->lock);
    bool answered = find_reply(peer, unique) != NULL;
    pthread_mutex_unlock(&peer->lock);
    return answered;
}

uint64_t peer_last_unique(const struct peer *peer)
{
    return peer->header.unique;
}

const struct peer_reply *peer_reply(struct peer *peer)
{
    return peer_reply_to(peer, peer->header.unique);
}

int peer_call(struct peer *peer, uint32_t opcode, uint64_t node, const struct peer_piece *pieces)
{
    cr_assert_eq(peer_send(peer, opcode, node, pieces), 0);
    return peer_reply(peer)->header.error;
}

int peer_init(struct peer *peer)
{
    struct fuse_init_in in = {.major = 7, .minor = 38, .max_readahead = 131072, .flags = 0x73fffffb};
    return PEER_CALL(peer, FUSE_INIT, 0, PEER_ARGS(in));
}

int peer_lookup_error(struct peer *peer, uint64_t dir, const char *name)
{
    return PEER_CALL(peer, FUSE_LOOKUP, dir, PEER_NAME(name));
}

uint64_t peer_lookup(struct peer *peer, uint64_t dir, const char *name)
{
    return peer_lookup_error(peer, dir, name) == 0 ? peer_reply(peer)->body[0] : 0;
}

void peer_forget(struct peer *peer, uint64_t node, uint64_t count)
{
    struct fuse_forget_in in = {.nlookup = count};
    struct peer_piece pieces[] = {PEER_ARGS(in), {0}};
    unsigned before = peer->replies;
    cr_assert_eq(peer_send(peer, FUSE_FORGET, node, pieces), 0);
    cr_assert_eq(peer->replies, before, "FORGET is never answered");
}

int peer_getattr(struct peer *peer, uint64_t node, struct fuse_attr *attr)
{
    struct fuse_getattr_in in = {0};
    int rc = PEER_CALL(peer, FUSE_GETATTR, node, PEER_ARGS(in));
    if (rc == 0 && attr)
        *attr = ((const struct fuse_attr_out *)peer_reply(peer)->body)->attr;
    return rc;
}

static uint64_t open_with(struct peer *peer, uint32_t opcode, uint64_t node, uint32_t flags)
{
    struct fuse_open_in in = {.flags = flags};
    return PEER_CALL(peer, opcode, node, PEER_ARGS(in)) == 0 ? peer_reply(peer)->body[0] : 0;
}

uint64_t peer_open(struct peer *peer, uint64_t node, uint32_t flags)
{
    return open_with(peer, FUSE_OPEN, node, flags);
}

uint64_t peer_opendir(struct peer *peer, uint64_t node)
{
    return open_with(peer, FUSE_OPENDIR, node, 0);
}

int peer_create(struct peer *peer, uint64_t dir, const char *name, uint32_t flags, uint32_t mode, uint64_t *node,
                uint64_t *fh)
{
    struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = S_IFREG | mode, .umask = 022};
    int rc = PEER_CALL(peer, FUSE_CREATE, dir, PEER_ARGS(in), PEER_NAME(name));
    const uint64_t *body = peer_reply(peer)->body;
    if (rc == 0) {
        *node = body[0];
        *fh = body[sizeof(struct fuse_entry_out) / 8];
    }
    return rc;
}

int peer_write(struct peer *peer, uint64_t node, uint64_t fh, uint64_t offset, const char *text, uint32_t flags,
               uint32_t write_flags)
{
    struct fuse_write_in in = {
        .fh = fh, .offset = offset, .size = (uint32_t)strlen(text), .flags = flags, .write_flags = write_flags};
    return PEER_CALL(peer, FUSE_WRITE, node, PEER_ARGS(in), {text, strlen(text)});
}

const char *peer_read(struct peer *peer, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size)
{
    static char text[PEER_MAX_WRITE + 1];
    struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
    cr_assert_eq(PEER_CALL(peer, FUSE_READ, node, PEER_ARGS(in)), 0);
    const struct peer_reply *reply = peer_reply(peer);
    memcpy(text, reply->body, reply->len);
    text[reply->len] = '\0';
    return text;
}

int peer_release(struct peer *peer, uint64_t node, uint64_t fh, bool directory)
{
    struct fuse_release_in in = {.fh = fh};
    return PEER_CALL(peer, directory ? FUSE_RELEASEDIR : FUSE_RELEASE, node, PEER_ARGS(in));
}

void peer_put_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

const char *peer_get_file(int dir_fd, const char *name)
{
    static char text[4096];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    ssize_t len = read(fd, text, sizeof text - 1);
    cr_assert_geq(len, 0);
    text[len] = '\0';
    close(fd);
    return text;
}
