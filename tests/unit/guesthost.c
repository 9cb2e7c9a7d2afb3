/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/guesthost.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void configure(void *data, const struct session_config *config)
{
    struct guesthost *host = data;
    host->configured = *config;
    snprintf(host->hostname, sizeof host->hostname, "%s", config->hostname ? config->hostname : "");
}

static int stand_still(void *data, uint64_t *notices)
{
    struct guesthost *host = data;
    host->standing_still = true;
    *notices = 7;
    return host->stand_still_result;
}

static void go_on(void *data)
{
    struct guesthost *host = data;
    host->standing_still = false;
}

static void set_clock(void *data, uint64_t realtime_ns)
{
    struct guesthost *host = data;
    host->realtime_ns = realtime_ns;
}

static int do_freeze(void *data, bool frozen)
{
    struct guesthost *host = data;
    (void)frozen;
    return host->freeze_result;
}

static void do_shutdown(void *data, uint64_t grace_ms)
{
    struct guesthost *host = data;
    host->grace_ms = grace_ms;
}

static void broken(void *data, const struct err *err)
{
    struct guesthost *host = data;
    host->broken = *err;
}

/* Answers with the request. */
static int do_mounts(void *data, struct json_object *request, struct err *err)
{
    struct guesthost *host = data;
    (void)err;
    session_answer_mounts(host->session, json_object_get(request));
    return 0;
}

static const struct session_ops session_ops = {.configure = configure, .stand_still = stand_still, .go_on = go_on,
                                               .set_clock = set_clock,
                                               .freeze = do_freeze, .shutdown = do_shutdown, .mounts = do_mounts,
                                               .broken = broken};

static struct hostjob *find(struct guesthost *host, uint32_t id)
{
    for (size_t i = 0; i < host->job_count; i++) {
        if (host->jobs[i].id == id)
            return &host->jobs[i];
    }
    cr_assert_fail("a frame about unknown job %u", id);
    abort();
}

static void take_data(struct guesthost *host, struct hostjob *job, uint16_t stream, const uint8_t *payload, size_t len)
{
    cr_assert(stream == CTL_STDOUT || stream == CTL_STDERR);
    cr_assert_not(job->eof[stream], "data after the end of stream %u", stream);
    if (len == 0) {
        job->eof[stream] = true;
        return;
    }
    job->out[stream] = realloc(job->out[stream], job->len[stream] + len + 1);
    memcpy(job->out[stream] + job->len[stream], payload, len);
    job->len[stream] += len;
    job->out[stream][job->len[stream]] = '\0';
    uint32_t credit = (uint32_t)len;
    if (host->credit)
        guesthost_send(host, CTL_JOB_CREDIT, stream, job->id, &credit, sizeof credit);
}

static void take_exit(struct hostjob *job, const char *text)
{
    cr_assert_null(job->exit, "a second JOB_EXIT");
    job->exit = json_tokener_parse(text);
    cr_assert_not_null(job->exit);
    job->eof_before_exit = job->eof[CTL_STDOUT] && job->eof[CTL_STDERR];
}

static void message(void *data, uint8_t *msg, size_t len)
{
    struct guesthost *host = data;
    struct ctl_header header;
    memcpy(&header, msg, sizeof header);
    const uint8_t *payload = msg + sizeof header;
    len -= sizeof header;
    host->counts[header.type % 64]++;
    char *text = strndup((const char *)payload, len);
    if (header.type == CTL_JOB_DATA) {
        take_data(host, find(host, header.id), header.flags, payload, len);
    } else if (header.type == CTL_JOB_EXIT) {
        take_exit(find(host, header.id), text);
    } else if (header.type == CTL_JOB_STARTED) {
        sscanf(text, "{\"pid\":%d", &find(host, header.id)->pid);
    } else if (header.type == CTL_JOB_CREDIT) {
        uint32_t credit;
        memcpy(&credit, payload, sizeof credit);
        find(host, header.id)->granted += credit;
    } else {
        memcpy(host->last, payload, len);
        host->last[len] = '\0';
    }
    free(text);
}

static void closed(void *data, int code)
{
    (void)data;
    cr_assert_fail("the guest closed the channel: %d", code);
}

static const struct channel_ops channel_ops = {.message = message, .closed = closed};

static void reap(void *data, uint32_t events)
{
    struct guesthost *host = data;
    struct signalfd_siginfo info;
    (void)events;
    cr_assert_eq(read(host->signal_fd, &info, sizeof info), (ssize_t)sizeof info);
    jobs_reap(session_jobs(host->session));
}

static bool has_hello(struct guesthost *host, void *unused)
{
    (void)unused;
    return host->counts[CTL_HELLO] == 1;
}

static bool is_ready(struct guesthost *host, void *unused)
{
    (void)unused;
    return host->counts[CTL_READY] > 0;
}

struct guesthost *guesthost_new(void)
{
    static const struct boot_times times = {1, 2, 3, 4};
    struct guesthost *host = calloc(1, sizeof *host);
    int fds[2];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* as PID 1, it gets the orphans */
    host->loop = loop_new();
    host->credit = true;
    host->accounts = (struct account_files){"/etc/passwd", "/etc/group"};
    host->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    loop_watch(host->loop, host->signal_fd, EPOLLIN, reap, host);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    host->channel = channel_new(host->loop, fds[0], sizeof(struct ctl_header), CTL_MAX_FRAME, 0, &channel_ops, host);
    host->session = session_new(host->loop, fds[1], &host->accounts, true, &times, &session_ops, host);
    cr_assert(host->channel && host->session);
    cr_assert(guesthost_until(host, has_hello, NULL, 5000));
    return host;
}

void guesthost_configure(struct guesthost *host, const char *json)
{
    host->counts[CTL_READY] = 0;
    guesthost_send(host, CTL_CONFIG, 0, 0, json, strlen(json));
    cr_assert(guesthost_until(host, is_ready, NULL, 5000), "no READY: %s", host->broken.text);
}

void guesthost_free(struct guesthost *host)
{
    session_free(host->session);
    channel_free(host->channel);
    loop_free(host->loop);
    close(host->signal_fd);
    for (size_t i = 0; i < host->job_count; i++) {
        json_object_put(host->jobs[i].exit);
        free(host->jobs[i].out[CTL_STDOUT]);
        free(host->jobs[i].out[CTL_STDERR]);
    }
    free(host);
}

void guesthost_send(struct guesthost *host, enum ctl_type type, uint16_t flags, uint32_t id, const void *payload,
                    size_t len)
{
    struct ctl_header header;
    ctl_header_init(&header, type, flags, id, len);
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    channel_send(host->channel, iov, 2);
}

struct hostjob *guesthost_start(struct guesthost *host, const char *json)
{
    struct hostjob *job = &host->jobs[host->job_count++];
    job->id = 100 + (uint32_t)host->job_count;
    guesthost_send(host, CTL_JOB_START, 0, job->id, json, strlen(json));
    return job;
}

struct hostjob *guesthost_run(struct guesthost *host, const char *json)
{
    struct hostjob *job = guesthost_start(host, json);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, NULL, 0);
    cr_assert(guesthost_until(host, guesthost_ended, job, 10000), "job did not end: %s", json);
    return job;
}

bool guesthost_ended(struct guesthost *host, void *hostjob)
{
    const struct hostjob *job = hostjob;
    (void)host;
    return job->exit && (hostjob_string(job, "failed") || (job->eof[CTL_STDOUT] && job->eof[CTL_STDERR]));
}

bool guesthost_broken(struct guesthost *host, void *unused)
{
    (void)unused;
    return host->broken.code != 0;
}

static void expire(void *data)
{
    struct guesthost *host = data;
    host->expired = true;
    loop_quit(host->loop, 0);
}

/* The condition is looked at again each millisecond. */
static void end_turn(void *data)
{
    struct guesthost *host = data;
    loop_quit(host->loop, 0);
}

bool guesthost_until(struct guesthost *host, bool (*done)(struct guesthost *host, void *argument), void *argument,
                     unsigned ms)
{
    host->expired = false;
    struct timer *limit = loop_timer(host->loop, ms, expire, host);
    while (!done(host, argument) && !host->expired) {
        struct timer *turn = loop_timer(host->loop, 1, end_turn, host);
        loop_run(host->loop);
        if (host->expired)
            timer_cancel(turn);
    }
    if (!host->expired)
        timer_cancel(limit);
    return done(host, argument);
}

int hostjob_number(const struct hostjob *job, const char *name)
{
    struct json_object *value;
    return json_object_object_get_ex(job->exit, name, &value) ? json_object_get_int(value) : -1;
}

const char *hostjob_string(const struct hostjob *job, const char *name)
{
    struct json_object *value;
    return json_object_object_get_ex(job->exit, name, &value) ? json_object_get_string(value) : NULL;
}
