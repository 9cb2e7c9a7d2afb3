/* SPDX-License-Identifier: Apache-2.0 */
/* The pump and the host view between a kernel that asks and a guest that answers as it likes. The input is a list of
 * commands, each a byte and its operands: a request of the kernel, an interrupt, forgets, an answer of a plausible shape,
 * any bytes from the guest, a kernel that refuses answers.
 * SOURCES: fs/pump.c fs/window.c fs/hostview.c fs/nodes.c fs/hash.c fs/jail.c fs/wire.c fs/wire_reply.c src/channel.c src/loop.c */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pump.h"
#include "fs/window.h"
#include "src/loop.h"
#include "tests/fuzz/fuzz.h"

enum { ASKED = 64, SEEN = 32 };

struct input {
    const uint8_t *at, *end;
};

struct world {
    struct loop *loop;
    struct pump *pump;
    int guest, window; /* window: -1: nothing is shared */
    int kernel_error;
    uint64_t unique;
    struct {
        uint64_t unique;
        uint32_t opcode;
        unsigned answers;
    } asked[ASKED]; /* a ring */
    uint64_t nodes[SEEN]; /* ids that the kernel has been given */
    unsigned seen;
    unsigned closed;
    volatile uint8_t last;
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static uint64_t number(struct input *in, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n |= (uint64_t)byte(in) << (8 * i);
    return n;
}

static void note_node(struct world *w, const uint8_t *entry)
{
    struct fuse_entry_out out;
    memcpy(&out, entry, sizeof out);
    if (!out.nodeid)
        return;
    fuzz_require(pump_serves(out.nodeid) && out.nodeid != pump_root_id(w->pump));
    w->nodes[w->seen++ % SEEN] = out.nodeid;
}

static void note_listing(struct world *w, const uint8_t *body, size_t len)
{
    struct fuse_entry_out plus;
    struct fuse_dirent entry;
    const char *name;
    size_t before = 0;
    for (size_t at = 0; wire_direntplus_next(body, len, &at, &plus, &entry, &name) > 0; before = at)
        note_node(w, body + before);
}

/* A link the kernel is shown is relative, and climbs only at its beginning. */
static void check_link(const char *target, size_t len)
{
    fuzz_require(len > 0 && target[0] != '/');
    bool named = false;
    for (size_t i = 0; i < len;) {
        size_t n = 0;
        while (i + n < len && target[i + n] != '/')
            n++;
        bool up = n == 2 && target[i] == '.' && target[i + 1] == '.';
        fuzz_require(!up || !named);
        named = named || (n && !up && !(n == 1 && target[i] == '.'));
        i += n + 1;
    }
}

static int to_kernel(void *data, const struct iovec *iov, int count)
{
    struct world *w = data;
    struct fuse_out_header out;
    fuzz_require((count == 1 || count == 2) && iov[0].iov_len >= sizeof out);
    memcpy(&out, iov[0].iov_base, sizeof out);
    const uint8_t *body = (const uint8_t *)iov[0].iov_base + sizeof out;
    size_t beside = count == 2 ? iov[1].iov_len : 0; /* in the window */
    fuzz_require(out.len == iov[0].iov_len + beside && out.error <= 0 && out.error > -512);
    if (beside) /* all of it can be read */
        w->last = ((const uint8_t *)iov[1].iov_base)[beside - 1];
    for (size_t i = 0; i < ASKED; i++) {
        if (!w->asked[i].unique || w->asked[i].unique != out.unique)
            continue;
        const struct wire_op *op = wire_op_find(w->asked[i].opcode);
        fuzz_require(++w->asked[i].answers == 1 || w->kernel_error);
        fuzz_require(out.error != -ENOSYS || !op);
        if (!out.error && op && op->entry_offset && !w->kernel_error)
            note_node(w, body);
        if (!out.error && w->asked[i].opcode == FUSE_READDIRPLUS && !w->kernel_error)
            note_listing(w, body, out.len - sizeof out);
        if (!out.error && w->asked[i].opcode == FUSE_READLINK)
            check_link((const char *)body, out.len - sizeof out);
    }
    return w->kernel_error;
}

static void notify_kernel(void *data, const void *message, size_t len, enum pump_notify what)
{
    struct world *w = data;
    uint64_t id;
    if (what == PUMP_NOTIFY_END)
        return;
    fuzz_require(len >= sizeof(struct fuse_out_header) + sizeof id);
    memcpy(&id, (const uint8_t *)message + sizeof(struct fuse_out_header), sizeof id);
    fuzz_require(pump_serves(id));
    (void)w;
}

static void closed(void *data, const char *why)
{
    struct world *w = data;
    fuzz_require(why && *why && ++w->closed == 1);
}

static void quit(void *data)
{
    loop_quit(data, 0);
}

static void turn(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        loop_timer(w->loop, 0, quit, w->loop);
        loop_run(w->loop);
    }
}

static void guest_sends(struct world *w, const void *bytes, size_t len)
{
    uint8_t drain[4096];
    while (recv(w->guest, drain, sizeof drain, MSG_DONTWAIT) > 0)
        ;
    if (len && send(w->guest, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
    turn(w);
}

static uint64_t some_node(struct world *w, struct input *in)
{
    uint8_t which = byte(in);
    if (which < 64)
        return pump_root_id(w->pump);
    if (which < 250)
        return w->nodes[which % SEEN];
    return number(in, 8);
}

/* A request as the kernel makes them: whole, with names that end. */
static void ask(struct world *w, struct input *in)
{
    uint8_t message[8192] = {0};
    struct fuse_in_header header = {.opcode = byte(in) % 55, .unique = w->unique += 2};
    const struct wire_op *op = wire_op_find(header.opcode);
    header.nodeid = some_node(w, in);
    header.uid = header.gid = 1000;
    size_t len = sizeof header + (op ? op->args : 0);
    for (size_t i = sizeof header; i < len && i < sizeof header + 24; i++)
        message[i] = byte(in);
    if (op && op->node_offset) {
        uint64_t other = some_node(w, in);
        memcpy(message + op->node_offset, &other, sizeof other);
    }
    for (int i = 0; op && i < 2 && op->names[i] != WIRE_NAME_NONE; i++) {
        size_t n = byte(in);
        n = n < 200 ? n % 5 + 1 : n * 14; /* newer kernels take long ones */
        memset(message + len, "abc."[byte(in) % 4], n);
        len += n + 1;
    }
    if (op && op->reply == WIRE_REPLY_NONE) /* these come another way */
        return;
    header.len = (uint32_t)len;
    memcpy(message, &header, sizeof header);
    size_t slot = header.unique / 2 % ASKED;
    w->asked[slot].unique = header.unique;
    w->asked[slot].opcode = header.opcode;
    w->asked[slot].answers = 0;
    uint8_t *exact = malloc(len);
    memcpy(exact, message, len);
    pump_request(w->pump, exact, len);
    free(exact);
}

/* An answer of the right shape for some request, with bytes of the input in it. */
static void answer(struct world *w, struct input *in)
{
    uint8_t message[4096] = {0};
    size_t slot = byte(in) % ASKED;
    const struct wire_op *op = wire_op_find(w->asked[slot].opcode);
    size_t body = !op ? 0 : op->reply == WIRE_REPLY_PAYLOAD || op->reply == WIRE_REPLY_XATTR ? number(in, 2) % 2000
                                                                                        : op->reply_size;
    struct fuse_out_header out = {.unique = w->asked[slot].unique, .error = -(int)(byte(in) % 64)};
    if (out.error < -40)
        out.error = 0;
    if (out.error)
        body = 0;
    for (size_t i = 0; i < body; i++)
        message[sizeof out + i] = byte(in);
    out.len = (uint32_t)(sizeof out + body);
    memcpy(message, &out, sizeof out);
    guest_sends(w, message, out.len);
}

static void raw(struct world *w, struct input *in)
{
    size_t len = byte(in), have = (size_t)(in->end - in->at);
    len = len < have ? len : have;
    guest_sends(w, in->at, len);
    in->at += len;
}

static void connect_guest(struct world *w, struct input *in)
{
    int ends[2];
    struct {
        struct fuse_out_header out;
        struct fuse_init_out init;
    } reply = {{.len = sizeof reply}, {.major = 7, .minor = 38, .max_write = WIRE_IO_LIMIT}};
    const uint32_t pieces = WIRE_WINDOW_PIECES;
    memcpy((uint8_t *)&reply + WIRE_INIT_WINDOW_OFFSET, &pieces, sizeof pieces);
    struct fuse_in_header init;
    if (w->guest >= 0)
        close(w->guest);
    fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    w->guest = ends[1];
    w->closed = 0;
    fuzz_require(pump_connect(w->pump, ends[0], w->window) == 0);
    pump_greet(w->pump);
    if (byte(in) == 0xff) /* it says what the input says */
        return;
    fuzz_require(recv(w->guest, &init, sizeof init, MSG_DONTWAIT) == (ssize_t)sizeof init);
    reply.out.unique = init.unique;
    guest_sends(w, &reply, sizeof reply);
}

static void command(struct world *w, struct input *in)
{
    switch (byte(in) % 16) {
    case 0:
        pump_interrupt(w->pump, w->asked[byte(in) % ASKED].unique);
        break;
    case 1:
        pump_forget(w->pump, some_node(w, in), byte(in));
        break;
    case 2:
        raw(w, in);
        break;
    case 3:
        w->kernel_error = byte(in) % 4 ? 0 : -ENOENT;
        break;
    case 4:
        connect_guest(w, in);
        break;
    case 5:
        pump_notices_written(w->pump);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        answer(w, in);
        break;
    default:
        ask(w, in);
    }
}

static int shared_memory(void)
{
    int fd = memfd_create("window", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && ftruncate(fd, WINDOW_SIZE) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pump_ops ops = {.to_kernel = to_kernel, .notify_kernel = notify_kernel, .closed = closed};
    struct input in = {data, data + size};
    uint8_t how = byte(&in);
    struct hostview_config config = {.uid = 1000, .gid = 1000, .raw_owner = how & 1, .exec = how & 2,
                                     .entry_timeout_ms = 1000, .attr_timeout_ms = 1000};
    struct world w = {.guest = -1, .window = how & 4 ? -1 : shared_memory()};
    signal(SIGPIPE, SIG_IGN);
    w.loop = loop_new();
    w.pump = pump_new(w.loop, &config, &ops, &w);
    fuzz_require(w.loop && w.pump);
    connect_guest(&w, &in);
    while (in.at < in.end)
        command(&w, &in);
    w.kernel_error = 0;
    pump_disconnect(w.pump);
    for (size_t i = 0; i < ASKED; i++)
        fuzz_require(!w.asked[i].unique || w.asked[i].answers > 0);
    struct pump_counters counters;
    pump_counters(w.pump, &counters);
    fuzz_require(counters.sent == 0 && counters.waiting == 0);
    pump_free(w.pump);
    loop_free(w.loop);
    close(w.guest);
    if (w.window >= 0)
        close(w.window);
    return 0;
}
