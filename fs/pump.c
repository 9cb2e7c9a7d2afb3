/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fs/window.h"
#include "fs/wire.h"
#include "src/channel.h"

enum {
    BUCKETS = 512,
    SMALL = 4096, /* requests up to this size go before bulk data */
    MAX_WAITING_BYTES = 64 << 20,
    KEEP = 640, /* of a request that has been sent: header, argument and names, for its reply */
};
/* Ids of our own requests; the kernel counts up from 0 in even steps. */
#define OWN_UNIQUE (UINT64_C(1) << 63)

enum flight_state { WAITING, SENT, GIVEN_UP };

struct flight {
    struct flight *next;       /* in its bucket */
    struct flight *next_queue; /* while waiting */
    struct pump *pump;
    uint64_t unique;
    const struct wire_op *op;
    struct hostview_origin origin;
    enum flight_state state;
    uint32_t limit; /* for wire_reply_check */
    struct timer *grace;
    uint32_t piece; /* of the window, that its data is in; 0: none */
    uint8_t *message; /* whole while waiting, then its beginning */
    size_t len;
};

struct queue {
    struct flight *first, **end;
};

struct pump {
    struct loop *loop;
    const struct pump_ops *ops;
    void *data;
    struct hostview *view;
    struct channel *channel;
    void *shared; /* the half of the window that is for root/; NULL: none */
    struct window window; /* empty until the guest has said that it has it, too */
    bool used;  /* there has been a session */
    bool ready; /* the guest's server has answered INIT */
    bool gone;
    bool greeted; /* INIT has been sent */
    uint64_t own_unique, init_unique;
    bool quiet;              /* nothing is sent any more */
    uint64_t barrier_unique; /* of a request whose answer tells that what was sent before has been taken; 0: none */
    struct timer *quiet_timer; /* runs while there is nothing to wait for */
    void (*quiesced)(void *data);
    void *quiesced_data;
    bool sweeping, sweep_again; /* invalidations of all nodes are being written; and are wanted anew */
    uint64_t sweep_notices;     /* of the guest that end with the next sweep */
    struct flight *flights[BUCKETS];
    struct queue small, bulk;
    size_t waiting_bytes;
    struct pump_counters counters;
};

bool pump_serves(uint64_t nodeid)
{
    return !(nodeid >> 63) && nodeid >> HOSTVIEW_EPOCH_SHIFT;
}

struct pump *pump_new(struct loop *loop, const struct hostview_config *config, const struct pump_ops *ops, void *data)
{
    struct pump *pump = calloc(1, sizeof *pump);
    if (!pump)
        return NULL;
    *pump = (struct pump){.loop = loop, .ops = ops, .data = data, .view = hostview_new(config)};
    pump->small.end = &pump->small.first;
    pump->bulk.end = &pump->bulk.first;
    if (!pump->view || hostview_new_epoch(pump->view) < 0) {
        hostview_free(pump->view);
        free(pump);
        errno = ENOMEM;
        return NULL;
    }
    return pump;
}

uint64_t pump_root_id(const struct pump *pump)
{
    return pump->gone ? 0 : hostview_root_id(pump->view);
}

void pump_counters(const struct pump *pump, struct pump_counters *out)
{
    *out = pump->counters;
}

static void send_barrier_if_due(struct pump *pump);

/* ---- flights ---- */

static size_t bucket_of(uint64_t unique)
{
    return (unique >> 1) % BUCKETS;
}

static struct flight *find(const struct pump *pump, uint64_t unique)
{
    struct flight *f = pump->flights[bucket_of(unique)];
    while (f && f->unique != unique)
        f = f->next;
    return f;
}

static void unqueue(struct queue *queue, struct flight *f)
{
    struct flight **at = &queue->first;
    while (*at != f)
        at = &(*at)->next_queue;
    *at = f->next_queue;
    if (!*at)
        queue->end = at;
}

static void stop_waiting(struct flight *f)
{
    struct pump *pump = f->pump;
    unqueue(f->len <= SMALL ? &pump->small : &pump->bulk, f);
    pump->waiting_bytes -= f->len;
    pump->counters.waiting--;
}

static void drop(struct flight *f)
{
    struct flight **at = &f->pump->flights[bucket_of(f->unique)];
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    if (f->state == WAITING) {
        stop_waiting(f);
    } else {
        f->pump->counters.sent--;
        send_barrier_if_due(f->pump);
    }
    timer_cancel(f->grace);
    window_give(&f->pump->window, f->piece);
    free(f->message);
    free(f);
}

static void answer(struct pump *pump, uint64_t unique, int error)
{
    struct fuse_out_header out = {.len = sizeof out, .error = error, .unique = unique};
    struct iovec iov = {&out, sizeof out};
    if (error && error != -ENODATA && error != -ENOENT)
        pump->counters.errors++;
    pump->ops->to_kernel(pump->data, &iov, 1);
}

/* ---- to the guest ---- */

static void send_message(struct pump *pump, const void *message, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)message, len};
    channel_send(pump->channel, &iov, 1);
}

static bool channel_has_room(const struct pump *pump)
{
    return pump->ready && !pump->quiet && channel_queued(pump->channel) <= CHANNEL_LOW_WATER;
}

static uint64_t next_own_unique(struct pump *pump)
{
    return OWN_UNIQUE | (pump->own_unique += 2);
}

static void send_forget(void *data, uint64_t guest_id, uint64_t count)
{
    struct pump *pump = data;
    struct {
        struct fuse_in_header header;
        struct fuse_forget_in forget;
    } message = {{.len = sizeof message, .opcode = FUSE_FORGET, .unique = next_own_unique(pump), .nodeid = guest_id},
                 {.nlookup = count}};
    if (pump->ready)
        send_message(pump, &message, sizeof message);
}

static void send_release(void *data, const struct wire_op *op, uint64_t guest_id, uint64_t handle)
{
    struct pump *pump = data;
    struct {
        struct fuse_in_header header;
        struct fuse_release_in release;
    } message = {{.len = sizeof message,
                  .opcode = op->opcode == FUSE_OPENDIR ? FUSE_RELEASEDIR : FUSE_RELEASE,
                  .unique = next_own_unique(pump),
                  .nodeid = guest_id},
                 {.fh = handle}};
    if (pump->ready)
        send_message(pump, &message, sizeof message);
}

static const struct hostview_refunds refunds = {.forget = send_forget, .release = send_release};

/* FORGETs have no answer, so that all have been answered does not say that all have been taken. */
static void send_barrier_if_due(struct pump *pump)
{
    if (!pump->quiet || !pump->ready || pump->counters.sent || pump->barrier_unique)
        return;
    pump->barrier_unique = next_own_unique(pump);
    const struct fuse_in_header message = {.len = sizeof message, .opcode = FUSE_STATFS, .unique = pump->barrier_unique,
                                           .nodeid = FUSE_ROOT_ID};
    send_message(pump, &message, sizeof message);
    channel_hold(pump->channel);
}

static void handle_barrier(struct pump *pump);

static void nothing_to_wait_for(void *data)
{
    struct pump *pump = data;
    pump->quiet_timer = NULL;
    handle_barrier(pump);
}

void pump_quiesce(struct pump *pump, void (*done)(void *data), void *data)
{
    pump->quiet = true;
    pump->quiesced = done;
    pump->quiesced_data = data;
    if (pump->greeted)
        send_barrier_if_due(pump);
    else
        pump->quiet_timer = loop_timer(pump->loop, 0, nothing_to_wait_for, pump);
}

static void handle_barrier(struct pump *pump)
{
    void (*done)(void *) = pump->quiesced;
    pump->quiesced = NULL;
    if (done)
        done(pump->quiesced_data);
}

static void forget_quiet(struct pump *pump)
{
    timer_cancel(pump->quiet_timer);
    pump->quiet_timer = NULL;
    pump->quiet = false;
    pump->barrier_unique = 0;
    pump->quiesced = NULL;
}

/* Keeps of a message what its reply is understood by; the data of a WRITE is not needed again. */
static void sent(struct flight *f)
{
    f->state = SENT;
    f->pump->counters.sent++;
    if (f->len > KEEP && f->op->opcode != FUSE_SYMLINK) {
        uint8_t *shorter = realloc(f->message, KEEP);
        if (shorter)
            f->message = shorter;
    }
}

static void send_waiting(struct pump *pump)
{
    while (channel_has_room(pump)) {
        struct flight *f = pump->small.first ? pump->small.first : pump->bulk.first;
        if (!f)
            return;
        stop_waiting(f);
        send_message(pump, f->message, f->len);
        sent(f);
    }
}

void pump_go_on(struct pump *pump)
{
    if (!pump->quiet)
        return;
    bool held = pump->barrier_unique != 0;
    forget_quiet(pump);
    if (pump->gone)
        return;
    if (held)
        channel_release(pump->channel, NULL, 0);
    if (pump->counters.waiting)
        pump_greet(pump);
    send_waiting(pump);
}

static struct flight *new_flight(struct pump *pump, const struct wire_op *op, const struct hostview_origin *origin,
                                 const uint8_t *message, size_t len)
{
    struct flight *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    *f = (struct flight){.pump = pump, .unique = header.unique, .op = op, .origin = *origin, .len = len,
                         .limit = wire_reply_limit(op, message, len)};
    return f;
}

static void keep(struct flight *f, const uint8_t *message, size_t len)
{
    struct flight **at = &f->pump->flights[bucket_of(f->unique)];
    memcpy(f->message, message, len);
    f->next = *at;
    *at = f;
}

void pump_greet(struct pump *pump)
{
    if (pump->greeted || pump->quiet || !pump->channel)
        return;
    pump->greeted = true;
    pump->init_unique = next_own_unique(pump);
    struct {
        struct fuse_in_header header;
        struct fuse_init_in in;
    } message = {{.len = sizeof message, .opcode = FUSE_INIT, .unique = pump->init_unique},
                 {.major = FUSE_KERNEL_VERSION,
                  .minor = FUSE_KERNEL_MINOR_VERSION,
                  .max_readahead = WIRE_IO_LIMIT,
                  .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
                           FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS |
                           FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_DONT_MASK}};
    send_message(pump, &message, sizeof message);
}

/* Sends the request now, or puts it in the queue. The piece is given back when that fails. */
static int take(struct pump *pump, const struct wire_op *op, const struct hostview_origin *origin, uint32_t piece,
                const uint8_t *message, size_t len)
{
    bool now = channel_has_room(pump) && (len > SMALL ? !pump->bulk.first : !pump->small.first);
    size_t kept = now && len > KEEP && op->opcode != FUSE_SYMLINK ? KEEP : len;
    bool full = !now && pump->waiting_bytes + len > MAX_WAITING_BYTES;
    struct flight *f = full ? NULL : new_flight(pump, op, origin, message, len);
    if (f)
        f->message = malloc(kept);
    if (!f || !f->message) {
        window_give(&pump->window, piece);
        free(f);
        return -ENOMEM;
    }
    f->piece = piece;
    keep(f, message, kept);
    if (now) {
        send_message(pump, message, len);
        f->state = SENT;
        pump->counters.sent++;
        return 0;
    }
    struct queue *queue = len <= SMALL ? &pump->small : &pump->bulk;
    *queue->end = f;
    queue->end = &f->next_queue;
    pump->waiting_bytes += len;
    pump->counters.waiting++;
    pump_greet(pump);
    return 0;
}

void pump_request(struct pump *pump, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    const struct wire_op *op = wire_op_find(header.opcode);
    pump->counters.requests++;
    struct hostview_origin origin;
    int rc = -ENOSYS;
    if (pump->gone)
        rc = -ENOTCONN;
    else if (op)
        rc = hostview_request(pump->view, op, message, len, &origin);
    if (rc > 0) {
        uint32_t piece = window_use(&pump->window, op, message, &len);
        rc = take(pump, op, &origin, piece, message, len);
    } else if (rc == 0)
        answer(pump, header.unique, 0);
    if (rc < 0)
        answer(pump, header.unique, rc);
}

void pump_forget(struct pump *pump, uint64_t nodeid, uint64_t count)
{
    uint64_t id = hostview_forget(pump->view, nodeid, &count);
    if (id && !pump->gone)
        send_forget(pump, id, count);
}

/* ---- interrupts ---- */

static void grace_over(void *data)
{
    struct flight *f = data;
    f->grace = NULL;
    f->state = GIVEN_UP;
    f->pump->counters.interrupted++;
    answer(f->pump, f->unique, -EINTR);
}

pid_t pump_caller(const struct pump *pump, uint64_t unique)
{
    const struct flight *f = find(pump, unique);
    return f ? f->origin.caller : -1;
}

bool pump_interrupt(struct pump *pump, uint64_t unique)
{
    struct flight *f = find(pump, unique);
    if (!f || f->state == GIVEN_UP)
        return f != NULL;
    if (f->state == WAITING) {
        drop(f);
        pump->counters.interrupted++;
        answer(pump, unique, -EINTR);
        return true;
    }
    struct {
        struct fuse_in_header header;
        struct fuse_interrupt_in in;
    } message = {{.len = sizeof message, .opcode = FUSE_INTERRUPT, .unique = unique | 1}, {.unique = unique}};
    send_message(pump, &message, sizeof message);
    if (!f->grace)
        f->grace = loop_timer(pump->loop, PUMP_GRACE_MS, grace_over, f);
    return true;
}

/* ---- from the guest ---- */

static void fail_all(struct pump *pump)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (pump->flights[i]) {
            struct flight *f = pump->flights[i];
            uint64_t unique = f->unique;
            bool waited_for = f->state != GIVEN_UP;
            drop(f);
            if (waited_for)
                answer(pump, unique, -ENOTCONN);
        }
    }
}

/* Nothing may be under way. */
static void share(struct pump *pump, int window_fd)
{
    pump->window = (struct window){0};
    if (pump->shared)
        munmap(pump->shared, WINDOW_HALF);
    pump->shared = NULL;
    if (window_fd < 0)
        return;
    void *map = mmap(NULL, WINDOW_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, window_fd, WINDOW_FOR_ROOT);
    pump->shared = map == MAP_FAILED ? NULL : map;
}

void pump_disconnect(struct pump *pump)
{
    if (pump->gone)
        return;
    pump->gone = true;
    pump->ready = false;
    forget_quiet(pump);
    channel_free(pump->channel);
    pump->channel = NULL;
    fail_all(pump);
    share(pump, -1);
}

static void break_off(struct pump *pump, const char *why)
{
    pump_disconnect(pump);
    pump->ops->closed(pump->data, why);
}

static void give_back(struct pump *pump, const struct flight *f, const uint8_t *reply, size_t len, bool shown)
{
    hostview_give_back(pump->view, f->op, f->message, reply, len, shown, &refunds, pump);
}

/* What has been read is in the window. */
static void show_window(struct pump *pump, const struct flight *f, const uint8_t *reply)
{
    struct fuse_out_header out;
    struct fuse_write_out count;
    memcpy(&out, reply, sizeof out);
    memcpy(&count, reply + sizeof out, sizeof count);
    out.len = (uint32_t)(sizeof out + count.size);
    const struct iovec iov[] = {{&out, sizeof out}, {window_at(&pump->window, f->piece), count.size}};
    pump->ops->to_kernel(pump->data, iov, 2);
}

static void show_reply(struct pump *pump, const struct flight *f, uint8_t *reply, size_t len)
{
    const uint8_t *guests = reply;
    struct fuse_out_header out;
    if (f->piece && f->op->opcode == FUSE_READ && len > sizeof out) {
        show_window(pump, f, reply);
        return;
    }
    int rc = hostview_reply(pump->view, f->op, &f->origin, f->message, &reply, &len);
    if (rc < 0) {
        give_back(pump, f, guests, len, false);
        answer(pump, f->unique, rc);
        return;
    }
    memcpy(&out, reply, sizeof out);
    if (out.error && out.error != -ENOENT && out.error != -ENODATA)
        pump->counters.errors++;
    struct iovec iov = {reply, len};
    if (pump->ops->to_kernel(pump->data, &iov, 1) < 0)
        give_back(pump, f, reply, len, true); /* aborted there: it has taken no references */
}

static void handle_reply(struct pump *pump, struct flight *f, uint8_t *reply, size_t len)
{
    pump->counters.replies++;
    if (f->state == GIVEN_UP)
        give_back(pump, f, reply, len, false);
    else
        show_reply(pump, f, reply, len);
    drop(f);
}

static void handle_init_reply(struct pump *pump, const uint8_t *reply, size_t len)
{
    struct fuse_out_header out;
    struct fuse_init_out init = {0};
    memcpy(&out, reply, sizeof out);
    size_t body = len - sizeof out;
    memcpy(&init, reply + sizeof out, body < sizeof init ? body : sizeof init);
    uint32_t pieces = 0;
    if (len >= WIRE_INIT_WINDOW_OFFSET + sizeof pieces)
        memcpy(&pieces, reply + WIRE_INIT_WINDOW_OFFSET, sizeof pieces);
    if (out.unique != pump->init_unique || out.len != len || out.error || body < FUSE_COMPAT_22_INIT_OUT_SIZE ||
        init.major != FUSE_KERNEL_VERSION || init.minor < 31 || init.max_write < WIRE_IO_LIMIT) {
        break_off(pump, "the guest's file server answered the greeting with nonsense");
        return;
    }
    pump->ready = true;
    pump->window.memory = pieces >= WIRE_WINDOW_PIECES ? pump->shared : NULL;
    send_waiting(pump);
    send_barrier_if_due(pump);
}

/* ---- notifications ---- */

static void invalidate_one(void *data, uint64_t host_id)
{
    struct pump *pump = data;
    struct {
        struct fuse_out_header out;
        struct fuse_notify_inval_inode_out inode;
    } message = {{.len = sizeof message, .error = FUSE_NOTIFY_INVAL_INODE}, {.ino = host_id}};
    pump->ops->notify_kernel(pump->data, &message, sizeof message, PUMP_NOTIFY_SWEEP);
}

static void end_notices(struct pump *pump, uint64_t count)
{
    while (count--)
        pump->ops->notify_kernel(pump->data, NULL, 0, PUMP_NOTIFY_END);
}

/* One sweep at a time: more of them than the kernel takes would only pile up. */
static void sweep(struct pump *pump, uint64_t notices)
{
    if (pump->sweeping) {
        pump->sweep_again = true;
        pump->sweep_notices += notices;
        return;
    }
    pump->sweeping = true;
    hostview_each(pump->view, invalidate_one, pump);
    end_notices(pump, notices);
}

void pump_invalidate_all(struct pump *pump)
{
    sweep(pump, 0);
}

void pump_notices_written(struct pump *pump)
{
    uint64_t notices = pump->sweep_notices;
    bool again = pump->sweep_again;
    pump->sweeping = pump->sweep_again = false;
    pump->sweep_notices = 0;
    if (again)
        sweep(pump, notices);
}

void pump_set_timeouts(struct pump *pump, uint32_t entry_ms, uint32_t attr_ms)
{
    hostview_set_timeouts(pump->view, entry_ms, attr_ms);
}

struct notice {
    struct pump *pump;
    uint8_t *message;
    size_t len;
};

static void notify_one(void *data, uint64_t host_id)
{
    const struct notice *notice = data;
    memcpy(notice->message + sizeof(struct fuse_out_header), &host_id, sizeof host_id);
    notice->pump->ops->notify_kernel(notice->pump->data, notice->message, notice->len, PUMP_NOTIFY_PART);
}

static void handle_notification(struct pump *pump, uint8_t *message, size_t len)
{
    struct notice notice = {.pump = pump, .message = message, .len = len};
    uint64_t guest_id;
    if (hostview_notification(message, len, &guest_id) < 0) {
        break_off(pump, "the guest's file server sent a forged notification");
    } else if (!guest_id) {
        sweep(pump, 1);
    } else {
        hostview_each_of(pump->view, guest_id, notify_one, &notice);
        end_notices(pump, 1);
    }
}

static const struct wire_op *replied_op(const struct flight *f)
{
    return f->piece && f->op->opcode == FUSE_READ ? wire_op_windowed_read() : f->op;
}

static void handle_message(void *data, uint8_t *message, size_t len)
{
    struct pump *pump = data;
    struct fuse_out_header out;
    memcpy(&out, message, sizeof out);
    if (out.unique == 0) {
        handle_notification(pump, message, len);
    } else if (out.unique & OWN_UNIQUE) {
        if (!pump->ready)
            handle_init_reply(pump, message, len);
        else if (out.unique == pump->barrier_unique)
            handle_barrier(pump);
    } else if (!(out.unique & 1)) { /* an odd one answers an INTERRUPT and says nothing */
        struct flight *f = find(pump, out.unique);
        if (f && f->state != WAITING && wire_reply_check(replied_op(f), f->limit, message, len) == 0)
            handle_reply(pump, f, message, len);
        else
            break_off(pump, "the guest's file server sent a reply that no request asked for");
    }
}

static void handle_writable(void *data)
{
    send_waiting(data);
}

static void handle_closed(void *data, int code)
{
    struct pump *pump = data;
    char why[128];
    if (code == EPROTO)
        snprintf(why, sizeof why, "the guest's file server sent a message of an impossible length");
    else
        snprintf(why, sizeof why, "the connection to the guest's file server ended%s%s", code ? ": " : "",
                 code ? strerror(code) : "");
    break_off(pump, why);
}

int pump_connect(struct pump *pump, int fd, int window_fd)
{
    static const struct channel_ops channel_ops = {
        .message = handle_message, .writable = handle_writable, .closed = handle_closed};
    struct channel *channel =
        channel_new(pump->loop, fd, sizeof(struct fuse_out_header), WIRE_FRAME_LIMIT, false, &channel_ops, pump);
    int rc = !channel ? -errno : pump->used ? hostview_new_epoch(pump->view) : 0;
    if (rc < 0) {
        channel_free(channel);
        return rc;
    }
    forget_quiet(pump);
    if (pump->used) {
        channel_free(pump->channel);
        fail_all(pump);
    }
    share(pump, window_fd);
    pump->channel = channel;
    pump->used = true;
    pump->gone = pump->ready = pump->greeted = false;
    pump->init_unique = 0;
    if (pump->counters.waiting)
        pump_greet(pump);
    return 0;
}

void pump_free(struct pump *pump)
{
    if (!pump)
        return;
    pump_disconnect(pump);
    hostview_free(pump->view);
    free(pump);
}
