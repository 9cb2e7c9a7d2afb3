/* SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 314

#include "fs/front.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/caller.h"
#include "fs/notifier.h"
#include "fs/wire.h"
#include "src/cleanup.h"
#include "vmm/program.h"

enum {
    FUSE_MAJOR = 10, FUSE_MINOR = 229, /* Documentation/admin-guide/devices.txt */
    BUFFER = WIRE_IO_LIMIT + 4096, /* the kernel wants room for max_write and a header */
    REQUESTS_PER_TURN = 64,
    LOOK_AGAIN_MS = 200, /* at a caller that goes on waiting with a signal pending */
};

struct front {
    struct loop *loop;
    struct watch *watch;
    struct fuse_session *session;
    struct control *control;
    struct pump *pump;
    struct notifier *notifier;
    const struct front_ops *ops;
    void *data;
    int fd;
    bool mounted, closing;
    uint64_t init_unique;
    struct watch *notifier_watch;
    uint64_t notices, earlier_notices; /* of the guest, so far; of machines before this one */
    uint64_t awaited;                  /* notices; with awaited_done */
    void (*awaited_done)(void *data);
    void *awaited_data;
    struct woken *woken;
    uint8_t *buffer;
};

/* A caller that was woken by a signal it need not give up for. The kernel tells of a signal once: it is asked to tell again,
 * so as to know of the next one. */
struct woken {
    struct front *front;
    struct woken *next;
    uint64_t unique; /* of the INTERRUPT */
    struct timer *timer;
};

struct pump *front_pump(struct front *front)
{
    return front->pump;
}

static ssize_t read_device(int fd, void *buf, size_t len, void *userdata)
{
    (void)userdata;
    return read(fd, buf, len);
}

/* libfuse 3.14 does not know how to accept these two in its answer to INIT; our server serves them. */
static void accept_more(struct front *front, struct iovec *iov, int count)
{
    struct fuse_out_header *out = iov[0].iov_base;
    if (!front->init_unique || out->unique != front->init_unique || out->error || count < 2)
        return;
    front->init_unique = 0;
    struct fuse_init_out *init = iov[1].iov_base;
    init->flags |= FUSE_HANDLE_KILLPRIV_V2 | FUSE_PARALLEL_DIROPS;
}

static ssize_t write_device(int fd, struct iovec *iov, int count, void *userdata)
{
    /* userdata is the session's: the control tree, whose session belongs to one front. */
    accept_more(control_front(userdata), iov, count);
    return writev(fd, iov, count);
}

/* ---- the pump's side ---- */

static int to_kernel(void *data, const struct iovec *iov, int count)
{
    struct front *front = data;
    return writev(front->fd, iov, count) < 0 ? -errno : 0;
}

static void notify_kernel(void *data, const void *message, size_t len, enum pump_notify what)
{
    struct front *front = data;
    if (what == PUMP_NOTIFY_END) {
        front->notices++;
        notifier_end(front->notifier);
    } else {
        notifier_send(front->notifier, message, len, what == PUMP_NOTIFY_SWEEP);
    }
}

static void check_awaited(struct front *front)
{
    void (*done)(void *) = front->awaited_done;
    if (!done || notifier_written(front->notifier) < front->awaited)
        return;
    front->awaited_done = NULL;
    done(front->awaited_data);
}

/* What was dropped may have concerned any file. */
static void notices_written(void *data, uint32_t events)
{
    struct front *front = data;
    uint64_t count;
    (void)events;
    if (read(notifier_event_fd(front->notifier), &count, sizeof count) < 0)
        return;
    if (notifier_idle(front->notifier))
        pump_notices_written(front->pump);
    if (notifier_overflowed(front->notifier))
        pump_invalidate_all(front->pump);
    check_awaited(front);
}

void front_await_notices(struct front *front, uint64_t count, void (*done)(void *data), void *data)
{
    front->awaited = front->earlier_notices + count;
    front->awaited_done = done;
    front->awaited_data = data;
    notifier_await(front->notifier, front->awaited);
    check_awaited(front);
}

void front_stop_awaiting(struct front *front, const void *data)
{
    if (front->awaited_data == data)
        front->awaited_done = NULL;
}

int front_connect(struct front *front, int fd, int window_fd)
{
    front->awaited_done = NULL;
    front->earlier_notices = front->notices;
    return pump_connect(front->pump, fd, window_fd);
}

static void pump_closed(void *data, const char *why)
{
    struct front *front = data;
    front->ops->guest_files_gone(front->data, why);
}

/* ---- requests ---- */

static void to_libfuse(struct front *front, void *message, size_t len)
{
    struct fuse_buf buf = {.size = len, .mem = message};
    fuse_session_process_buf(front->session, &buf);
}

static void refuse(struct front *front, uint64_t unique, int error)
{
    struct fuse_out_header out = {.len = sizeof out, .error = error, .unique = unique};
    struct iovec iov = {&out, sizeof out};
    to_kernel(front, &iov, 1);
}

static void forget_one(struct front *front, uint64_t nodeid, uint64_t count)
{
    if (front->closing)
        return;
    if (pump_serves(nodeid)) {
        pump_forget(front->pump, nodeid, count);
        return;
    }
    struct {
        struct fuse_in_header header;
        struct fuse_forget_in forget;
    } message = {{.len = sizeof message, .opcode = FUSE_FORGET, .nodeid = nodeid}, {.nlookup = count}};
    to_libfuse(front, &message, sizeof message);
}

static void forget_batch(struct front *front, const uint8_t *message, size_t len)
{
    struct fuse_batch_forget_in in;
    size_t at = sizeof(struct fuse_in_header);
    memcpy(&in, message + at, sizeof in);
    at += sizeof in;
    for (uint32_t i = 0; i < in.count && at + sizeof(struct fuse_forget_one) <= len; i++) {
        struct fuse_forget_one one;
        memcpy(&one, message + at, sizeof one);
        at += sizeof one;
        forget_one(front, one.nodeid, one.nlookup);
    }
}

/* Renames, links and copies name two nodes; the border between guest and control files is one of file systems. */
static bool crosses_border(const struct wire_op *op, const uint8_t *message, size_t len, uint64_t nodeid)
{
    uint64_t other;
    if (!op || !op->node_offset || len < op->node_offset + sizeof other)
        return false;
    memcpy(&other, message + op->node_offset, sizeof other);
    return pump_serves(other) != pump_serves(nodeid);
}

static void unlink_woken(struct woken *woken)
{
    struct woken **at = &woken->front->woken;
    while (*at != woken)
        at = &(*at)->next;
    *at = woken->next;
}

static void look_again(void *data)
{
    struct woken *woken = data;
    unlink_woken(woken);
    refuse(woken->front, woken->unique, -EAGAIN);
    free(woken);
}

static bool let_wait(struct front *front, uint64_t unique)
{
    struct woken *woken = malloc(sizeof *woken);
    if (!woken)
        return false;
    *woken = (struct woken){.front = front, .next = front->woken, .unique = unique};
    woken->timer = loop_timer(front->loop, LOOK_AGAIN_MS, look_again, woken);
    if (!woken->timer) {
        free(woken);
        return false;
    }
    front->woken = woken;
    return true;
}

static void forget_woken(struct front *front)
{
    while (front->woken) {
        struct woken *woken = front->woken;
        unlink_woken(woken);
        timer_cancel(woken->timer);
        free(woken);
    }
}

/* Programs use ALRM to limit how long they wait for a control file, and to show progress while they work on files. What is
 * not to be found has just been answered. */
static void interrupt(struct front *front, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    struct fuse_interrupt_in in;
    memcpy(&header, message, sizeof header);
    memcpy(&in, message + sizeof header, sizeof in);
    pid_t of_files = pump_caller(front->pump, in.unique), of_control = control_caller(front->control, in.unique);
    pid_t caller = of_files > 0 ? of_files : of_control;
    if (caller > 0 && !caller_gives_up(caller, of_files < 0) && let_wait(front, header.unique))
        return;
    if (of_files >= 0)
        pump_interrupt(front->pump, in.unique);
    else if (of_control >= 0 && !front->closing)
        to_libfuse(front, message, len);
}

static void dispatch(struct front *front, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    struct fuse_forget_in forget;
    memcpy(&header, message, sizeof header);
    switch (header.opcode) {
    case FUSE_INIT:
        front->init_unique = header.unique;
        to_libfuse(front, message, len);
        break;
    case FUSE_INTERRUPT:
        interrupt(front, message, len);
        break;
    case FUSE_FORGET:
        memcpy(&forget, message + sizeof header, sizeof forget);
        forget_one(front, header.nodeid, forget.nlookup);
        break;
    case FUSE_BATCH_FORGET:
        forget_batch(front, message, len);
        break;
    default:
        if (front->closing)
            refuse(front, header.unique, -ENOTCONN);
        else if (crosses_border(wire_op_find(header.opcode), message, len, header.nodeid))
            refuse(front, header.unique, -EXDEV);
        else if (pump_serves(header.nodeid))
            pump_request(front->pump, message, len);
        else {
            control_set_arriving(front->control, header.unique, (pid_t)header.pid);
            to_libfuse(front, message, len);
        }
    }
}

/* Reads and dispatches what there is, up to a limit; false when the connection is over. */
static bool answer_some(struct front *front)
{
    for (int i = 0; i < REQUESTS_PER_TURN && front->fd >= 0; i++) {
        ssize_t n = read(front->fd, front->buffer, BUFFER);
        if (n < 0 && (errno == EINTR || errno == ENOENT))
            continue; /* ENOENT: the caller gave up before we read its request */
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < (ssize_t)sizeof(struct fuse_in_header))
            return false;
        dispatch(front, front->buffer, (size_t)n);
    }
    return true;
}

static void device_ready(void *data, uint32_t events)
{
    struct front *front = data;
    (void)events;
    if (answer_some(front))
        return;
    watch_del(front->watch);
    front->watch = NULL;
    if (front->mounted) {
        front->mounted = false;
        front->ops->unmounted(front->data);
    }
}

/* ---- mounting ---- */

static struct fuse_session *new_session(const struct front_config *config, struct control *control)
{
    char *argv[] = {"gondolin", "-o",
                    config->allow_other
                        ? "fsname=gondolin,subtype=gondolin,default_permissions,nosuid,nodev,allow_other"
                        : "fsname=gondolin,subtype=gondolin,default_permissions,nosuid,nodev",
                    NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *session =
        fuse_session_new(&args, control_fuse_ops(), sizeof(struct fuse_lowlevel_ops), control);
    fuse_opt_free_args(&args);
    return session;
}

static bool others_may_be_allowed(void)
{
    char line[128];
    cleanup_fclose FILE *conf = fopen("/etc/fuse.conf", "re");
    bool found = false;
    while (conf && !found && fgets(line, sizeof line, conf))
        found = strcmp(line, "user_allow_other\n") == 0 || strcmp(line, "user_allow_other") == 0;
    return found;
}

/* libfuse says why only on standard error, which a daemon has not got. */
static int explain_refusal(const struct front_config *config, struct err *err)
{
    const char *mountpoint = config->mountpoint;
    struct stat st;
    const char *help = "gondolin doctor tells what is missing";
    if (stat("/dev/fuse", &st) < 0)
        return err_set(err, ENODEV, "mount: %s: /dev/fuse is missing; load it with: modprobe fuse (a container has to be "
                       "given the device)", mountpoint);
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))
        return err_set(err, ENODEV, "mount: %s: /dev/fuse is not the FUSE device; %s", mountpoint, help);
    if (access(mountpoint, W_OK) < 0)
        return err_errno(err, errno, "mount: %s: FUSE mounts only on directories that you may write to", mountpoint);
    cleanup_free char *helper = program_find("fusermount3");
    if (geteuid() != 0 && !helper)
        return err_set(err, ENOENT, "mount: %s: fusermount3 was not found; install it: apt-get install fuse3", mountpoint);
    if (geteuid() != 0 && config->allow_other && !others_may_be_allowed())
        return err_set(err, EPERM, "mount: %s: --allow-other is for root, unless /etc/fuse.conf has the line user_allow_other",
                       mountpoint);
    return err_set(err, EIO, "mount: %s: FUSE refused; %s", mountpoint, help);
}

static int attach(struct front *front, const struct front_config *config, struct err *err)
{
    static const struct fuse_custom_io io = {.writev = write_device, .read = read_device};
    static const struct pump_ops pump_ops = {
        .to_kernel = to_kernel, .notify_kernel = notify_kernel, .closed = pump_closed};
    if (fuse_session_mount(front->session, config->mountpoint) < 0)
        return explain_refusal(config, err);
    front->fd = fuse_session_fd(front->session);
    front->mounted = true;
    int flags = fcntl(front->fd, F_GETFL);
    if (fcntl(front->fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(front->fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fuse_session_custom_io(front->session, &io, front->fd) < 0)
        return err_errno(err, errno, "mount: %s", config->mountpoint);
    control_set_session(front->control, front->session, front);
    front->pump = pump_new(front->loop, &config->view, &pump_ops, front);
    front->notifier = front->pump ? notifier_new(front->fd) : NULL;
    front->notifier_watch = front->notifier ? loop_watch(front->loop, notifier_event_fd(front->notifier), EPOLLIN,
                                                         notices_written, front)
                                            : NULL;
    front->buffer = front->notifier_watch ? malloc(BUFFER) : NULL;
    front->watch = front->buffer ? loop_watch(front->loop, front->fd, EPOLLIN, device_ready, front) : NULL;
    if (!front->watch)
        return err_errno(err, errno, "mount: %s", config->mountpoint);
    return 0;
}

struct front *front_new(struct loop *loop, const struct front_config *config, struct control *control,
                        const struct front_ops *ops, void *data, struct err *err)
{
    struct front *front = calloc(1, sizeof *front);
    if (!front) {
        err_errno(err, ENOMEM, "mount: %s", config->mountpoint);
        return NULL;
    }
    *front = (struct front){.loop = loop, .control = control, .ops = ops, .data = data, .fd = -1};
    front->session = new_session(config, control);
    if (!front->session) {
        err_set(err, EIO, "mount: %s: libfuse did not start", config->mountpoint);
        free(front);
        return NULL;
    }
    if (attach(front, config, err) < 0) {
        front_free(front);
        return NULL;
    }
    return front;
}

void front_close(struct front *front)
{
    front->closing = true;
    if (front->pump)
        pump_disconnect(front->pump);
}

void front_unmount(struct front *front)
{
    front_close(front);
    watch_del(front->watch);
    front->watch = NULL;
    front->mounted = false;
    if (front->fd < 0)
        return;
    watch_del(front->notifier_watch);
    front->notifier_watch = NULL;
    notifier_stop(front->notifier);
    while (!notifier_join(front->notifier))
        answer_some(front);
    front->notifier = NULL;
    forget_woken(front);
    /* Closes the device and detaches the mount, lazily; a mount that is gone already does not matter. */
    fuse_session_unmount(front->session);
    front->fd = -1;
}

void front_free(struct front *front)
{
    if (!front)
        return;
    front_unmount(front);
    pump_free(front->pump);
    control_set_session(front->control, NULL, NULL);
    fuse_session_destroy(front->session);
    free(front->buffer);
    free(front);
}
