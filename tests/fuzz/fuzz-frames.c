/* SPDX-License-Identifier: Apache-2.0 */
/* Control frames of a hostile guest, with jobs in every state and users who read, write and give up meanwhile. The input is
 * a list of commands, each a byte and its operands.
 * SOURCES: src/agent_link.c src/bin_dir.c images/names.c src/jobs.c src/job_dir.c src/job_files.c src/job_input.c src/job_run.c src/job_values.c src/job_wait.c src/outstream.c src/readers.c src/ctl_verbs.c src/shquote.c src/nearest.c src/channel.c src/loop.c src/err.c src/printable.c fs/control.c fs/control_fuse.c fs/control_list.c -lfuse3 -ljson-c */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/bin_dir.h"
#include "src/jobs_internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/ctlversion.h"

enum { FILES = 16, ASKED = 64 };

struct input {
    const uint8_t *at, *end;
};

struct world {
    struct loop *loop;
    struct control *control;
    struct fuse_session *session;
    struct jobs *jobs;
    struct bin_dir *bin;
    struct agent_link *link;
    int guest;
    uint64_t unique, nodeid; /* of the last request, and what its reply began with */
    struct {
        uint64_t node, fh;
    } files[FILES];
    struct {
        uint64_t unique;
        uint32_t size;
        bool answered;
    } asked[ASKED];
    unsigned closed;
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static ssize_t take_reply(int fd, struct iovec *iov, int count, void *userdata)
{
    struct world *w = control_front(userdata);
    struct fuse_out_header out;
    (void)fd;
    memcpy(&out, iov[0].iov_base, sizeof out);
    size_t slot = out.unique / 2 % ASKED;
    if (out.unique && w->asked[slot].unique == out.unique) {
        fuzz_require(!w->asked[slot].answered);
        fuzz_require(out.len - sizeof out <= w->asked[slot].size || w->asked[slot].size == 0);
        w->asked[slot].answered = true;
    }
    if (!out.error && count > 1 && iov[1].iov_len >= sizeof w->nodeid)
        memcpy(&w->nodeid, iov[1].iov_base, sizeof w->nodeid); /* of a LOOKUP; of an OPEN it is the handle */
    if (out.error)
        w->nodeid = 0;
    return (ssize_t)out.len;
}

static ssize_t never_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)fd, (void)buf, (void)len, (void)userdata;
    return -1;
}

static void ask(struct world *w, uint32_t opcode, uint64_t node, const void *body, size_t len, uint32_t size)
{
    struct fuse_in_header header = {.len = (uint32_t)(sizeof header + len), .opcode = opcode, .unique = w->unique += 2,
                                    .nodeid = node};
    size_t slot = header.unique / 2 % ASKED;
    w->asked[slot].unique = opcode == FUSE_READ ? header.unique : 0;
    w->asked[slot].size = size;
    w->asked[slot].answered = false;
    uint8_t *message = malloc(header.len);
    memcpy(message, &header, sizeof header);
    if (len)
        memcpy(message + sizeof header, body, len);
    struct fuse_buf buf = {.size = header.len, .mem = message};
    w->nodeid = 0;
    control_set_arriving(w->control, header.unique, 1);
    fuse_session_process_buf(w->session, &buf);
    free(message);
}

static uint64_t lookup(struct world *w, uint64_t dir, const char *name)
{
    ask(w, FUSE_LOOKUP, dir, name, strlen(name) + 1, 0);
    return w->nodeid;
}

static void open_file(struct world *w, struct input *in)
{
    static const char *const names[] = {"stdout", "stderr", "stdin", "wait", "status", "ctl", "cmd", "env"};
    static const char *const jobs[] = {"a", "b", "c", "1", "4"};
    size_t slot = byte(in) % FILES;
    uint64_t dir = lookup(w, CONTROL_ROOT_ID, "jobs"), node;
    if (w->files[slot].node)
        return;
    uint8_t which = byte(in);
    if (which >= 250)
        node = lookup(w, dir, "clone");
    else if (which >= 240)
        node = lookup(w, CONTROL_ROOT_ID, "run");
    else
        node = lookup(w, lookup(w, dir, jobs[which % 5]), names[which / 5 % 8]);
    struct fuse_open_in open = {.flags = O_RDWR};
    if (!node)
        return;
    ask(w, FUSE_OPEN, node, &open, sizeof open, 0);
    if (!w->nodeid)
        return;
    w->files[slot].node = node;
    w->files[slot].fh = w->nodeid;
}

static void read_file(struct world *w, struct input *in)
{
    size_t slot = byte(in) % FILES;
    struct fuse_read_in read = {.fh = w->files[slot].fh, .size = byte(in) * 300u + 1, .offset = byte(in)};
    if (byte(in) & 1)
        read.flags = O_NONBLOCK;
    if (w->files[slot].node)
        ask(w, FUSE_READ, w->files[slot].node, &read, sizeof read, read.size);
}

static void write_file(struct world *w, struct input *in)
{
    size_t slot = byte(in) % FILES, len = byte(in);
    struct {
        struct fuse_write_in in;
        uint8_t data[128 * 1024];
    } *write = calloc(1, sizeof *write);
    if (len > 200)
        len = (len - 199) * 2000;
    else if (len > (size_t)(in->end - in->at))
        len = (size_t)(in->end - in->at);
    if (len <= 200) {
        memcpy(write->data, in->at, len);
        in->at += len;
    }
    write->in = (struct fuse_write_in){.fh = w->files[slot].fh, .size = (uint32_t)len};
    if (w->files[slot].node)
        ask(w, FUSE_WRITE, w->files[slot].node, write, sizeof write->in + len, 0);
    free(write);
}

static void interrupt(struct world *w, size_t slot)
{
    struct fuse_interrupt_in in = {.unique = w->asked[slot].unique};
    if (in.unique && !w->asked[slot].answered)
        ask(w, FUSE_INTERRUPT, 0, &in, sizeof in, 0);
}

static void close_file(struct world *w, size_t slot)
{
    struct fuse_release_in release = {.fh = w->files[slot].fh};
    for (size_t i = 0; i < ASKED; i++) /* the kernel does not close under a read */
        interrupt(w, i);
    if (w->files[slot].node)
        ask(w, FUSE_RELEASE, w->files[slot].node, &release, sizeof release, 0);
    w->files[slot].node = 0;
}

static void quit(void *data)
{
    loop_quit(data, 0);
}

static void guest_sends(struct world *w, const void *bytes, size_t len)
{
    uint8_t drain[4096];
    while (recv(w->guest, drain, sizeof drain, MSG_DONTWAIT) > 0)
        ;
    if (len && send(w->guest, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
    for (int i = 0; i < 2; i++) {
        loop_timer(w->loop, 0, quit, w->loop);
        loop_run(w->loop);
    }
}

/* A frame with an honest length; its payload is the input's, or many zeros. */
static void frame(struct world *w, struct input *in)
{
    static uint8_t bytes[CTL_MAX_FRAME];
    struct ctl_header header = {.type = byte(in), .flags = byte(in) % 4, .id = byte(in)};
    size_t len = byte(in), have = (size_t)(in->end - in->at);
    if (len > 240) {
        len = (len - 240) * 4000;
        memset(bytes + sizeof header, 0, len);
    } else {
        len = len < have ? len : have;
        memcpy(bytes + sizeof header, in->at, len);
        in->at += len;
    }
    if (header.type >= 128)
        header.type = CTL_JOB_STARTED + header.type % 4;
    header.length = (uint32_t)(sizeof header + len);
    memcpy(bytes, &header, sizeof header);
    guest_sends(w, bytes, header.length);
}

static void raw(struct world *w, struct input *in)
{
    size_t len = byte(in), have = (size_t)(in->end - in->at);
    len = len < have ? len : have;
    guest_sends(w, in->at, len);
    in->at += len;
}

static void command(struct world *w, struct input *in)
{
    char name[2] = "a";
    switch (byte(in) % 16) {
    case 0:
        open_file(w, in);
        break;
    case 1:
    case 2:
        read_file(w, in);
        break;
    case 3:
        write_file(w, in);
        break;
    case 4:
        close_file(w, byte(in) % FILES);
        break;
    case 5:
        interrupt(w, byte(in) % ASKED);
        break;
    case 6:
        name[0] = (char)('a' + byte(in) % 4);
        ask(w, FUSE_RMDIR, lookup(w, CONTROL_ROOT_ID, "jobs"), name, 2, 0);
        break;
    case 7:
        raw(w, in);
        break;
    case 8:
        name[0] = (char)('a' + byte(in) % 8);
        lookup(w, lookup(w, CONTROL_ROOT_ID, "bin"), name);
        break;
    default:
        frame(w, in);
    }
}

/* ---- the world ---- */

static void hello(void *data, struct json_object *object, struct json_object *config)
{
    (void)data, (void)object, (void)config;
}

static void ready(void *data, struct json_object *object)
{
    (void)data, (void)object;
}

static void notices(void *data, uint64_t count)
{
    (void)data, (void)count;
}

static void quiet(void *data, uint64_t count, int code)
{
    (void)data, (void)count, (void)code;
}

static void frozen(void *data, int code)
{
    (void)data, (void)code;
}

static int job_frame(void *data, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    struct world *w = data;
    return jobs_frame(w->jobs, header, payload, len);
}

static int programs(void *data, const uint8_t *payload, size_t len)
{
    struct world *w = data;
    return bin_dir_frame(w->bin, payload, len);
}

static int mounts(void *data, struct json_object *answer)
{
    (void)data;
    return answer ? 0 : -EPROTO;
}

static void log_line(void *data, const char *line)
{
    (void)data;
    fuzz_require(strlen(line) <= 1024);
    for (; *line; line++)
        fuzz_require((unsigned char)*line >= ' ' && *line != 0x7f);
}

static void goodbye(void *data)
{
    (void)data;
}

static void link_closed(void *data, const char *why)
{
    struct world *w = data;
    fuzz_require(why && *why && ++w->closed == 1);
    jobs_set_link(w->jobs, NULL, why);
    bin_dir_set_link(w->bin, NULL);
}

static void job_event(void *data, const char *what, const struct job *job)
{
    char line[JOB_RESULT_MAX];
    (void)data, (void)what;
    job_describe_result(job, line, sizeof line);
}

static void open_session(struct world *w)
{
    static const struct fuse_custom_io io = {.writev = take_reply, .read = never_read};
    char *argv[] = {"fuzz", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    struct fuse_init_in init = {.major = 7, .minor = 31};
    w->control = control_new(0, 0);
    w->session = fuse_session_new(&args, control_fuse_ops(), sizeof(struct fuse_lowlevel_ops), w->control);
    fuse_opt_free_args(&args);
    control_set_session(w->control, w->session, w);
    fuse_session_custom_io(w->session, &io, open("/dev/null", O_RDWR | O_CLOEXEC));
    ask(w, FUSE_INIT, 0, &init, 16, 0);
}

static void add_jobs(struct world *w)
{
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        struct err err;
        struct job *job = job_new(w->jobs, names[i], i == 2);
        job->cmd = strdup("x");
        if (i)
            job_start(job, &err);
    }
}

static void open_link(struct world *w, bool greet)
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
    static const struct {
        struct ctl_header header;
        char text[13];
    } greeting = {{.length = sizeof(struct ctl_header) + 13, .type = CTL_HELLO}, "{" CTL_VERSION_JSON "}"};
    static const struct ctl_header is_ready = {.length = sizeof is_ready, .type = CTL_READY};
    int ends[2];
    w->loop = loop_new();
    fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    w->guest = ends[1];
    w->jobs = jobs_new(w->control, "/tmp", &events, w);
    w->link = agent_link_new(w->loop, ends[0], false, &ops, w);
    w->bin = bin_dir_new(w->loop, w->control, "/helper", "/mnt");
    fuzz_require(w->loop && w->jobs && w->link && w->bin);
    jobs_set_link(w->jobs, w->link, NULL);
    bin_dir_set_link(w->bin, w->link);
    if (greet) {
        guest_sends(w, &greeting, sizeof(struct ctl_header) + 13);
        guest_sends(w, &is_ready, sizeof is_ready);
        fuzz_require(agent_link_ready(w->link));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct world w = {.guest = -1};
    signal(SIGPIPE, SIG_IGN);
    open_session(&w);
    open_link(&w, byte(&in) != 0xff);
    add_jobs(&w);
    while (in.at < in.end)
        command(&w, &in);
    jobs_set_link(w.jobs, NULL, "the end");
    bin_dir_set_link(w.bin, NULL);
    agent_link_free(w.link);
    control_close_handles(w.control);
    jobs_free(w.jobs);
    bin_dir_free(w.bin);
    control_abort_requests(w.control);
    fuse_session_destroy(w.session);
    control_free(w.control);
    loop_free(w.loop);
    close(w.guest);
    return 0;
}
