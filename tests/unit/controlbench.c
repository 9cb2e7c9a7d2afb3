/* SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 314

#include "tests/unit/controlbench.h"
#include "tests/unit/ctlversion.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t take_reply(int fd, struct iovec *iov, int count, void *userdata)
{
    (void)fd;
    struct controlbench *b = control_front(userdata);
    struct fuse_out_header out;
    memcpy(&out, iov[0].iov_base, sizeof out);
    uint8_t *body = malloc(out.len);
    size_t len = 0;
    for (int i = 1; i < count; i++) {
        memcpy(body + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    if (out.unique == 0) {
        struct fuse_notify_poll_wakeup_out wake;
        memcpy(&wake, body, sizeof wake);
        cr_assert_eq(out.error, FUSE_NOTIFY_POLL);
        b->handles[wake.kh].notified++;
        free(body);
        return (ssize_t)out.len;
    }
    cr_assert_lt(b->reply_count, (size_t)CB_REPLIES);
    cr_expect_null(cb_reply(b, out.unique), "request %llu was answered twice", (unsigned long long)out.unique);
    b->replies[b->reply_count++] = (struct cb_reply){out.unique, out.error, len, body};
    return (ssize_t)out.len;
}

static ssize_t never_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)fd, (void)buf, (void)len, (void)userdata;
    return -1;
}

static struct fuse_session *new_session(struct controlbench *b)
{
    static const struct fuse_custom_io io = {.writev = take_reply, .read = never_read};
    char *argv[] = {"test", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    struct fuse_session *session =
        fuse_session_new(&args, control_fuse_ops(), sizeof(struct fuse_lowlevel_ops), b->control);
    fuse_opt_free_args(&args);
    cr_assert(session);
    control_set_session(b->control, session, b);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* the session owns it */
    cr_assert_eq(fuse_session_custom_io(session, &io, fd), 0);
    return session;
}

struct controlbench *cb_new(void)
{
    struct controlbench *b = calloc(1, sizeof *b);
    cr_assert(b);
    b->agent = -1;
    signal(SIGPIPE, SIG_IGN);
    b->loop = loop_new();
    b->control = control_new(1000, 1000);
    b->session = new_session(b);
    struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 131072};
    cr_assert_eq(cb_ask(b, FUSE_INIT, 0, &init, 16), 0);
    return b;
}

void cb_free(struct controlbench *b)
{
    if (b->jobs)
        jobs_set_link(b->jobs, NULL, "the end");
    agent_link_free(b->link);
    control_close_handles(b->control);
    jobs_free(b->jobs);
    bin_dir_free(b->bin);
    control_abort_requests(b->control);
    fuse_session_destroy(b->session);
    control_free(b->control);
    loop_free(b->loop);
    if (b->agent >= 0)
        close(b->agent);
    for (size_t i = 0; i < b->reply_count; i++)
        free(b->replies[i].body);
    free(b);
}

static void quit(void *data)
{
    loop_quit(data, 0);
}

void cb_wait(struct controlbench *b, unsigned ms)
{
    loop_timer(b->loop, ms, quit, b->loop);
    loop_run(b->loop);
}

void cb_turn(struct controlbench *b)
{
    for (int i = 0; i < 4; i++)
        cb_wait(b, 0);
}

const struct cb_reply *cb_reply(const struct controlbench *b, uint64_t unique)
{
    for (size_t i = b->reply_count; i-- > 0;)
        if (b->replies[i].unique == unique)
            return &b->replies[i];
    return NULL;
}

int cb_result(const struct controlbench *b, uint64_t unique)
{
    const struct cb_reply *reply = cb_reply(b, unique);
    return reply ? reply->error : CB_PENDING;
}

static void process(struct controlbench *b, uint32_t opcode, uint64_t unique, uint64_t node, const void *body, size_t len)
{
    struct fuse_in_header header = {.len = (uint32_t)(sizeof header + len), .opcode = opcode, .unique = unique,
                                    .nodeid = node, .uid = 1000, .gid = 1000, .pid = (uint32_t)getpid()};
    uint8_t *message = malloc(header.len);
    memcpy(message, &header, sizeof header);
    if (len)
        memcpy(message + sizeof header, body, len);
    struct fuse_buf buf = {.size = header.len, .mem = message};
    control_set_arriving(b->control, unique, getpid());
    fuse_session_process_buf(b->session, &buf);
    free(message);
}

int cb_ask(struct controlbench *b, uint32_t opcode, uint64_t node, const void *body, size_t len)
{
    b->unique += 2;
    process(b, opcode, b->unique, node, body, len);
    return cb_result(b, b->unique);
}

static uint64_t lookup_one(struct controlbench *b, uint64_t dir, const char *name)
{
    struct fuse_entry_out entry;
    if (cb_ask(b, FUSE_LOOKUP, dir, name, strlen(name) + 1) != 0)
        return 0;
    memcpy(&entry, cb_reply(b, b->unique)->body, sizeof entry);
    return entry.nodeid;
}

uint64_t cb_lookup(struct controlbench *b, const char *path)
{
    uint64_t node = CONTROL_ROOT_ID;
    char copy[256], *rest = copy, *name;
    snprintf(copy, sizeof copy, "%s", path);
    while (node && (name = strsep(&rest, "/")))
        node = *name ? lookup_one(b, node, name) : node;
    return node;
}

int cb_open(struct controlbench *b, const char *path, int flags)
{
    struct fuse_open_in in = {.flags = (uint32_t)flags};
    struct fuse_open_out out;
    uint64_t node = cb_lookup(b, path);
    if (!node)
        return -ENOENT;
    int rc = cb_ask(b, FUSE_OPEN, node, &in, sizeof in);
    if (rc < 0)
        return rc;
    memcpy(&out, cb_reply(b, b->unique)->body, sizeof out);
    cr_expect(out.open_flags & FOPEN_DIRECT_IO, "%s is cached", path);
    cr_assert_lt(b->handle_count, CB_HANDLES);
    b->handles[b->handle_count] = (struct cb_handle){.node = node, .fh = out.fh};
    return b->handle_count++;
}

int cb_release(struct controlbench *b, int h)
{
    struct fuse_release_in in = {.fh = b->handles[h].fh};
    return cb_ask(b, FUSE_RELEASE, b->handles[h].node, &in, sizeof in);
}

ssize_t cb_read_at(struct controlbench *b, int h, char *out, size_t size, off_t offset, int flags)
{
    struct fuse_read_in in = {.fh = b->handles[h].fh, .size = (uint32_t)size, .offset = (uint64_t)offset,
                              .flags = (uint32_t)flags};
    int rc = cb_ask(b, FUSE_READ, b->handles[h].node, &in, sizeof in);
    if (rc != 0)
        return rc;
    const struct cb_reply *reply = cb_reply(b, b->unique);
    cr_assert_leq(reply->len, size, "more than was asked for");
    memcpy(out, reply->body, reply->len);
    out[reply->len] = '\0';
    return (ssize_t)reply->len;
}

ssize_t cb_read(struct controlbench *b, int h, char *out, size_t size)
{
    return cb_read_at(b, h, out, size, 0, 0);
}

const char *cb_took(const struct controlbench *b, uint64_t unique)
{
    static char text[CB_READ_MAX + 1];
    const struct cb_reply *reply = cb_reply(b, unique);
    if (!reply || reply->error)
        return NULL;
    snprintf(text, sizeof text, "%.*s", (int)reply->len, (const char *)reply->body);
    return text;
}

ssize_t cb_write_at(struct controlbench *b, int h, const void *data, size_t len, off_t offset, int flags)
{
    struct fuse_write_in in = {.fh = b->handles[h].fh, .size = (uint32_t)len, .offset = (uint64_t)offset,
                               .flags = (uint32_t)flags};
    struct fuse_write_out out;
    uint8_t *body = malloc(sizeof in + len);
    memcpy(body, &in, sizeof in);
    if (len)
        memcpy(body + sizeof in, data, len);
    int rc = cb_ask(b, FUSE_WRITE, b->handles[h].node, body, sizeof in + len);
    free(body);
    if (rc != 0)
        return rc == CB_PENDING ? CB_PENDING_WRITE : rc;
    memcpy(&out, cb_reply(b, b->unique)->body, sizeof out);
    cr_assert_leq(out.size, len);
    return out.size == len ? 0 : (ssize_t)out.size;
}

ssize_t cb_write(struct controlbench *b, int h, const void *data, size_t len)
{
    return cb_write_at(b, h, data, len, 0, 0);
}

ssize_t cb_put(struct controlbench *b, const char *path, const char *text)
{
    int h = cb_open(b, path, O_WRONLY | O_TRUNC);
    if (h < 0)
        return h;
    ssize_t n = cb_write(b, h, text, strlen(text));
    cb_release(b, h);
    return n;
}

const char *cb_get(struct controlbench *b, const char *path)
{
    static char text[CB_READ_MAX + 1];
    size_t len = 0;
    int h = cb_open(b, path, O_RDONLY);
    if (h < 0)
        return NULL;
    ssize_t n;
    while ((n = cb_read_at(b, h, text + len, 4096, (off_t)len, 0)) > 1)
        len += (size_t)n;
    cr_expect_eq(n, 0, "%s blocks", path);
    text[len] = '\0';
    cb_release(b, h);
    return text;
}

int cb_interrupt(struct controlbench *b, uint64_t unique)
{
    struct fuse_interrupt_in in = {.unique = unique};
    process(b, FUSE_INTERRUPT, unique | 1, 0, &in, sizeof in);
    return cb_result(b, unique);
}

unsigned cb_poll(struct controlbench *b, int h)
{
    struct fuse_poll_in in = {.fh = b->handles[h].fh, .kh = (uint64_t)h, .flags = FUSE_POLL_SCHEDULE_NOTIFY,
                              .events = 0xffff};
    struct fuse_poll_out out;
    cr_assert_eq(cb_ask(b, FUSE_POLL, b->handles[h].node, &in, sizeof in), 0);
    memcpy(&out, cb_reply(b, b->unique)->body, sizeof out);
    return out.revents;
}

int cb_mkdir(struct controlbench *b, const char *dir, const char *name)
{
    uint8_t body[sizeof(struct fuse_mkdir_in) + 512] = {0};
    memcpy(body + sizeof(struct fuse_mkdir_in), name, strlen(name) + 1);
    return cb_ask(b, FUSE_MKDIR, cb_lookup(b, dir), body, sizeof(struct fuse_mkdir_in) + strlen(name) + 1);
}

int cb_rmdir(struct controlbench *b, const char *dir, const char *name)
{
    return cb_ask(b, FUSE_RMDIR, cb_lookup(b, dir), name, strlen(name) + 1);
}

/* ---- jobs ---- */

static void hello(void *data, struct json_object *object, struct json_object *config)
{
    (void)data, (void)object;
    json_object_object_add(config, "hostname", json_object_new_string("bench"));
}

static void ready(void *data, struct json_object *object)
{
    struct controlbench *b = data;
    (void)object;
    b->ready = true;
}

static void notices(void *data, uint64_t count)
{
    struct controlbench *b = data;
    b->notices = count;
}

static void quiet(void *data, uint64_t count, int code)
{
    (void)code;
    notices(data, count);
}

static void frozen(void *data, int code)
{
    (void)data, (void)code;
}

static int job_frame(void *data, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    struct controlbench *b = data;
    return jobs_frame(b->jobs, header, payload, len);
}

static int programs(void *data, const uint8_t *payload, size_t len)
{
    struct controlbench *b = data;
    return bin_dir_frame(b->bin, payload, len);
}

static int mounts(void *data, struct json_object *answer)
{
    (void)data;
    return answer ? 0 : -EPROTO;
}

static void log_line(void *data, const char *line)
{
    struct controlbench *b = data;
    b->logs++;
    snprintf(b->last_log, sizeof b->last_log, "%s", line);
}

static void goodbye(void *data)
{
    struct controlbench *b = data;
    b->goodbye = true;
}

static void link_closed(void *data, const char *why)
{
    struct controlbench *b = data;
    b->link_closed = true;
    snprintf(b->why, sizeof b->why, "%s", why);
    jobs_set_link(b->jobs, NULL, why);
    bin_dir_set_link(b->bin, NULL);
}

static void job_event(void *data, const char *what, const struct job *job)
{
    struct controlbench *b = data;
    b->events++;
    snprintf(b->last_event, sizeof b->last_event, "%s %s", what, job->name);
}

struct controlbench *cb_new_jobs_silent(void)
{
    static const struct jobs_events events = {.event = job_event};
    static const struct agent_link_ops ops = {.hello = hello,
                                              .ready = ready,
                                              .notices = notices,
                                              .quiet = quiet,
                                              .frozen = frozen,
                                              .job_frame = job_frame,
                                              .mounts = mounts,
                                              .log_line = log_line,
                                              .programs = programs,
                                              .goodbye = goodbye,
                                              .closed = link_closed};
    struct controlbench *b = cb_new();
    int ends[2];
    b->jobs = jobs_new(b->control, "/tmp", &events, b);
    b->bin = bin_dir_new(b->loop, b->control, "/helper", "/mnt");
    cr_assert(b->bin);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    b->agent = ends[1];
    b->link = agent_link_new(b->loop, ends[0], false, &ops, b);
    cr_assert(b->jobs && b->link);
    jobs_set_link(b->jobs, b->link, NULL);
    bin_dir_set_link(b->bin, b->link);
    return b;
}

struct controlbench *cb_new_jobs(void)
{
    struct controlbench *b = cb_new_jobs_silent();
    cb_agent_json(b, CTL_HELLO, 0, "{" CTL_VERSION_JSON "}");
    cr_assert(cb_agent_find(b, CTL_CONFIG));
    cb_agent_json(b, CTL_READY, 0, "{\"root\":\"rw\"}");
    cr_assert(b->ready);
    return b;
}

void cb_agent_bytes(struct controlbench *b, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len && !b->link_closed) {
        ssize_t n = send(b->agent, at, len, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            break;
        }
        cb_turn(b);
    }
    cb_turn(b);
}

void cb_agent_send(struct controlbench *b, uint16_t type, uint16_t flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t frame[CTL_MAX_FRAME];
    struct ctl_header header = {.length = (uint32_t)(sizeof header + len), .type = type, .flags = flags, .id = id};
    cr_assert_leq(header.length, (uint32_t)CTL_MAX_FRAME);
    memcpy(frame, &header, sizeof header);
    if (len)
        memcpy(frame + sizeof header, payload, len);
    cb_agent_bytes(b, frame, header.length);
}

void cb_agent_json(struct controlbench *b, uint16_t type, uint32_t id, const char *json)
{
    cb_agent_send(b, type, 0, id, json, strlen(json));
}

static bool receive(struct controlbench *b, void *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(b->agent, (char *)to + got, len - got);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || (errno == EAGAIN && got == 0))
            return false;
        else
            cb_turn(b);
    }
    return true;
}

bool cb_agent_take(struct controlbench *b)
{
    cb_turn(b);
    if (!receive(b, &b->frame, sizeof b->frame))
        return false;
    b->payload_len = b->frame.length - sizeof b->frame;
    cr_assert_lt(b->payload_len, sizeof b->payload);
    cr_assert(b->payload_len == 0 || receive(b, b->payload, b->payload_len));
    b->payload[b->payload_len] = '\0';
    return true;
}

bool cb_agent_find(struct controlbench *b, uint16_t type)
{
    while (cb_agent_take(b))
        if (b->frame.type == type)
            return true;
    return false;
}

uint32_t cb_start(struct controlbench *b, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "jobs/%s/ctl", name);
    cr_assert_eq(cb_put(b, path, "start\n"), 0);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    uint32_t id = b->frame.id;
    cb_agent_json(b, CTL_JOB_STARTED, id, "{\"pid\":42}");
    return id;
}
