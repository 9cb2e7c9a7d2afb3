/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile peer of fs/server on fs/hostdir. The input is a byte of options and then records, each a request: opcode,
 * node, handle, twist, length (a byte each) and that many bytes of body. Node and handle choose from what the server has
 * handed out so far, so that inputs get past the tables; a twist damages the frame. With the option for it, what an earlier
 * server left comes first: its length (two bytes) and that. The tree lies beside a canary that
 * it has links to, in a directory that must come out unchanged; nothing may leak.
 * SOURCES: fs/hash.c fs/hostdir*.c fs/hostwatch.c fs/fanevents.c fs/pool.c fs/server*.c fs/slots.c fs/wire.c fs/wire_reply.c */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdbool.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/hostdir.h"
#include "fs/server.h"
#include "fs/wire.h"
#include "tests/fuzz/fuzz.h"

enum {
    MAX_WRITE = 4096,
    KNOWN = 16,           /* nodes and handles remembered */
    FILE_LIMIT = 1 << 20, /* bytes of one file in the tree */
    WIRE_HEADER = sizeof(struct fuse_in_header),
    BODY_LIMIT = 255 + MAX_WRITE,
};

enum { TWIST_LENGTH = 1, TWIST_RAW_NODE = 2, TWIST_RAW_HANDLE = 4, TWIST_LONG = 8, TWIST_EXTENSION = 16,
       TWIST_ZERO_UNIQUE = 32 };
enum { WITH_WORKERS = 1, WITH_DEVICES = 2, WITH_ALL_XATTRS = 4, AS_CALLER = 8, WITH_STATE = 16 };

struct place {
    char dir[64];
    int fd, tree;
    struct stat before, canary;
    int next_fd;
};

struct session {
    pthread_mutex_t lock; /* replies come from workers too */
    uint64_t nodes[KNOWN], handles[KNOWN];
    unsigned node_count, handle_count;
    uint64_t unique;
};

struct input {
    const uint8_t *at;
    size_t left;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static struct place place;

static void clean_up(void)
{
    nftw(place.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    fuzz_require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void make_place(void)
{
    char canary[80];
    struct rlimit size = {FILE_LIMIT, FILE_LIMIT};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &size);
    strcpy(place.dir, "/dev/shm/gondolin-fuzz-XXXXXX");
    fuzz_require(mkdtemp(place.dir));
    atexit(clean_up);
    place.fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(place.fd, "canary", "untouched");
    snprintf(canary, sizeof canary, "%s/canary", place.dir);
    fuzz_require(fstatat(place.fd, "canary", &place.canary, 0) == 0);
}

/* d/ f h->f up->.. abs->/.../canary rel->../canary fifo */
static void make_tree(void)
{
    char canary[80];
    snprintf(canary, sizeof canary, "%s/canary", place.dir);
    fuzz_require(mkdirat(place.fd, "tree", 0755) == 0);
    place.tree = openat(place.fd, "tree", O_PATH | O_DIRECTORY | O_CLOEXEC);
    write_file(place.tree, "f", "some data in a file\n");
    fuzz_require(mkdirat(place.tree, "d", 0755) == 0 && linkat(place.tree, "f", place.tree, "h", 0) == 0);
    fuzz_require(symlinkat("..", place.tree, "up") == 0 && symlinkat(canary, place.tree, "abs") == 0);
    fuzz_require(symlinkat("../canary", place.tree, "rel") == 0 && mkfifoat(place.tree, "fifo", 0644) == 0);
    fuzz_require(fstat(place.fd, &place.before) == 0);
    place.next_fd = dup(0);
    close(place.next_fd);
}

static void check_place(void)
{
    char tree[80];
    struct stat now;
    fuzz_require(fstat(place.fd, &now) == 0 && now.st_nlink == place.before.st_nlink);
    fuzz_require(now.st_mtim.tv_nsec == place.before.st_mtim.tv_nsec && now.st_mode == place.before.st_mode);
    fuzz_require(fstatat(place.fd, "canary", &now, AT_SYMLINK_NOFOLLOW) == 0);
    fuzz_require(now.st_ino == place.canary.st_ino && now.st_size == place.canary.st_size);
    fuzz_require(now.st_ctim.tv_sec == place.canary.st_ctim.tv_sec &&
                 now.st_ctim.tv_nsec == place.canary.st_ctim.tv_nsec);
    int fd = dup(0);
    fuzz_require(fd == place.next_fd); /* nothing stays open */
    close(fd);
    close(place.tree);
    snprintf(tree, sizeof tree, "%s/tree", place.dir);
    nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remember(uint64_t *known, unsigned *count, uint64_t value)
{
    known[(*count)++ % KNOWN] = value;
}

static void take_reply(void *data, const void *message, size_t whole)
{
    struct session *session = data;
    struct fuse_out_header header;
    fuzz_require(whole >= sizeof header);
    memcpy(&header, message, sizeof header);
    size_t len = whole - sizeof header;
    fuzz_require(header.len == whole);
    fuzz_require(header.error <= 0 && header.error > -512 && (header.error == 0 || len == 0));
    /* which request it answers does not matter: an entry begins with a node id, an open reply is a handle */
    const uint8_t *body = (const uint8_t *)message + sizeof header;
    uint64_t first;
    pthread_mutex_lock(&session->lock);
    if (len == sizeof(struct fuse_open_out)) {
        memcpy(&first, body, sizeof first);
        remember(session->handles, &session->handle_count, first);
    }
    if (len == sizeof(struct fuse_entry_out) || len == sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)) {
        memcpy(&first, body, sizeof first);
        remember(session->nodes, &session->node_count, first);
        if (len > sizeof(struct fuse_entry_out)) {
            memcpy(&first, body + sizeof(struct fuse_entry_out), sizeof first);
            remember(session->handles, &session->handle_count, first);
        }
    }
    pthread_mutex_unlock(&session->lock);
}

static uint8_t take(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static uint64_t choose(struct session *session, const uint64_t *known, unsigned count, uint8_t which)
{
    uint64_t chosen = FUSE_ROOT_ID;
    pthread_mutex_lock(&session->lock);
    unsigned have = count < KNOWN ? count : KNOWN;
    if (have && which)
        chosen = known[(which - 1u) % have];
    pthread_mutex_unlock(&session->lock);
    return chosen;
}

static void put_ids(struct session *session, uint8_t *body, uint32_t opcode, uint8_t node, uint8_t handle,
                    uint8_t twist)
{
    const struct wire_op *op = wire_op_find(opcode);
    uint64_t fh = choose(session, session->handles, session->handle_count, handle);
    uint64_t second = choose(session, session->nodes, session->node_count, (uint8_t)(node + handle));
    if (!op || (twist & TWIST_RAW_HANDLE))
        return;
    if (op->handle != WIRE_HANDLE_NONE)
        memcpy(body, &fh, sizeof fh);
    if (opcode == FUSE_GETATTR || opcode == FUSE_SETATTR)
        memcpy(body + 8, &fh, sizeof fh);
    if (op->node_offset)
        memcpy(body + op->node_offset - WIRE_HEADER, &second, sizeof second);
    if (opcode == FUSE_COPY_FILE_RANGE)
        memcpy(body + offsetof(struct fuse_copy_file_range_in, fh_out), &fh, sizeof fh);
}

/* Returns the length of the frame. */
static size_t build(struct session *session, struct input *in, uint8_t *frame)
{
    uint8_t opcode = take(in), node = take(in), handle = take(in), twist = take(in), len = take(in);
    uint8_t *body = frame + WIRE_HEADER;
    if (len > in->left)
        len = (uint8_t)in->left;
    memset(body, 0, BODY_LIMIT);
    memcpy(body, in->at, len);
    in->at += len;
    in->left -= len;
    put_ids(session, body, opcode, node, handle, twist);
    size_t total = WIRE_HEADER + len + (twist & TWIST_LONG ? MAX_WRITE : 0);
    struct fuse_in_header header = {
        .len = (uint32_t)(twist & TWIST_LENGTH ? total + handle : total),
        .opcode = opcode,
        .unique = twist & TWIST_ZERO_UNIQUE ? 0 : ++session->unique * 2,
        .nodeid = twist & TWIST_RAW_NODE ? (uint64_t)node << (handle % 64)
                                         : choose(session, session->nodes, session->node_count, node),
        .uid = handle,
        .gid = node,
        .total_extlen = twist & TWIST_EXTENSION ? 1 : 0,
    };
    memcpy(frame, &header, sizeof header);
    return total;
}

static void send_init(struct server *server)
{
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } frame = {{.len = sizeof frame, .opcode = FUSE_INIT, .unique = 2}, {.major = 7, .minor = 38, .flags = ~0u}};
    fuzz_require(server_receive(server, (uint8_t *)&frame, sizeof frame) == 0);
}

/* Whether the server goes on from a state. */
static bool adopt(struct server *server, struct input *in)
{
    size_t len = take(in) << 8;
    len |= take(in);
    if (len > in->left)
        len = in->left;
    uint8_t *exact = malloc(len ? len : 1);
    fuzz_require(exact);
    memcpy(exact, in->at, len);
    in->at += len;
    in->left -= len;
    int rc = server_adopt(server, exact, len);
    free(exact);
    fuzz_require(rc == 0 || rc == -EPROTO);
    return rc == 0;
}

/* What it leaves is good for the next one. */
static void hand_over(struct server *server, struct server *next)
{
    char *state;
    size_t len;
    FILE *out = open_memstream(&state, &len);
    fuzz_require(out && server_save(server, out) == 0);
    fclose(out);
    fuzz_require(server_adopt(next, (uint8_t *)state, len) == 0);
    free(state);
}

static void run(struct server *server, struct session *session, struct input *in, bool with_state)
{
    static uint8_t frame[WIRE_HEADER + BODY_LIMIT];
    if (!with_state || !adopt(server, in))
        send_init(server);
    while (in->left > 0) {
        size_t len = build(session, in, frame);
        uint8_t *exact = malloc(len);
        fuzz_require(exact);
        memcpy(exact, frame, len);
        int rc = server_receive(server, exact, len);
        free(exact);
        fuzz_require(rc == 0 || rc == -EPROTO);
        if (rc < 0)
            break;
    }
}

static uint8_t window[WIRE_WINDOW_PIECES * WIRE_IO_LIMIT];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct session session = {.unique = 1};
    if (!place.dir[0])
        make_place();
    make_tree();
    uint8_t options = take(&in);
    struct hostdir_config dir = {
        .root_fd = place.tree,
        .cred = options & AS_CALLER ? HOSTDIR_AS_CALLER : HOSTDIR_AS_SELF,
        .allow_devices = options & WITH_DEVICES,
        .all_xattrs = options & WITH_ALL_XATTRS,
    };
    struct server_config config = {
        .max_write = MAX_WRITE, .window = window, .max_nodes = 64, .max_handles = 32, .locks = true,
        .workers = options & WITH_WORKERS ? 2 : 0};
    pthread_mutex_init(&session.lock, NULL);
    struct vfs *vfs = hostdir_new(&dir);
    struct server *server = vfs ? server_new(&config, vfs, take_reply, &session) : NULL;
    fuzz_require(server);
    run(server, &session, &in, options & WITH_STATE);
    if (!(options & WITH_WORKERS)) {
        struct server *next = server_new(&config, vfs, take_reply, &session);
        fuzz_require(next);
        hand_over(server, next);
        server_free(next);
    }
    server_free(server);
    hostdir_free(vfs);
    pthread_mutex_destroy(&session.lock);
    check_place();
    return 0;
}
