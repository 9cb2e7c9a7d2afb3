/* SPDX-License-Identifier: Apache-2.0 */
/* The static agent of the guest: /init of the initramfs, then PID 1 for as long as the machine runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.h"
#include "guest/boot.h"
#include "guest/identity.h"
#include "guest/job.h"
#include "guest/log.h"
#include "guest/mounts.h"
#include "guest/ports.h"
#include "guest/power.h"
#include "guest/rootserve.h"
#include "guest/session.h"
#include "guest/standstill.h"
#include "guest/uevent.h"
#include "guest/vfsmount.h"
#include "src/err.h"
#include "src/loop.h"
#include "src/proto.h"

enum { PORT_WAIT_MS = 10000, GUEST_GRACE_MS = 5000, MOUNTS_DRAIN_MS = 300 };

struct agent {
    struct loop *loop;
    struct power *power;
    struct session *session;
    struct boot_times times;
    bool root_writable;
    int uevents, signals;
    struct watch *uevents_watch; /* until the root port is there */
    struct rootserve *rootserve;
    int rootserve_ended; /* an eventfd */
    uint64_t earlier_notices; /* sent by file services that have ended */
    uint64_t others_notices;  /* sent to the host of the machine that this one is a clone of */
    struct standstill standstill;
    struct vfsmount *vfsmount;
};

static const struct account_files account_files = {.passwd = "/etc/passwd", .group = "/etc/group"};

static int stand_still(void *data, uint64_t *notices)
{
    struct agent *agent = data;
    vfsmount_hold(agent->vfsmount, MOUNTS_DRAIN_MS); /* while those who answer still run */
    *notices = agent->earlier_notices + (agent->rootserve ? rootserve_hold(agent->rootserve) : 0) - agent->others_notices;
    return standstill_begin(&agent->standstill);
}

static void let_run(struct agent *agent)
{
    if (agent->rootserve)
        rootserve_release(agent->rootserve);
    standstill_end(&agent->standstill);
}

static void go_on(void *data)
{
    struct agent *agent = data;
    let_run(agent);
    vfsmount_release(agent->vfsmount);
}

static void set_clock(void *data, uint64_t realtime_ns)
{
    (void)data;
    identity_set_clock(realtime_ns);
}

static void drop_mounts(struct agent *agent)
{
    vfsmount_drop(agent->vfsmount);
    agent->vfsmount = NULL;
}

static void configure(void *data, const struct session_config *config)
{
    struct agent *agent = data;
    identity_renew(config);
    if (config->cloned) {
        agent->others_notices += config->notices;
        let_run(agent);
        if (!config->keep_mounts) /* they were the other's; its threads have to run to end */
            drop_mounts(agent);
    }
    identity_name_machine(config, agent->root_writable);
}

static int freeze(void *data, bool frozen)
{
    const struct agent *agent = data;
    /* A read-only root has nothing to freeze. */
    return agent->root_writable ? mounts_freeze_root(frozen) : 0;
}

static void shut_down(void *data, uint64_t grace_ms)
{
    struct agent *agent = data;
    power_down(agent->power, POWER_OFF, grace_ms);
}

/* Called in the serving thread. */
static void root_ended(void *data, const char *why)
{
    const struct agent *agent = data;
    log_line(LOG_LEVEL_ERROR, "%s", why);
    eventfd_write(agent->rootserve_ended, 1);
}

/* Returns whether there is nothing to wait for any more. */
static bool serve_root(struct agent *agent)
{
    int port = ports_open(PORT_ROOT);
    if (port == -ENOENT)
        return false;
    agent->rootserve = port >= 0 ? rootserve_start(port, root_ended, agent) : NULL;
    if (agent->rootserve)
        return true;
    log_line(LOG_LEVEL_ERROR, "serve the root file system: %s", strerror(port < 0 ? -port : errno));
    if (port >= 0)
        close(port);
    return true;
}

static void device_announced(void *data, uint32_t events)
{
    struct agent *agent = data;
    (void)events;
    uevent_drain(agent->uevents);
    if (serve_root(agent)) {
        watch_del(agent->uevents_watch);
        close(agent->uevents);
    }
}

/* For the job engine: what a job did to files is told before what it prints. */
static uint64_t flush_notices(void *data)
{
    const struct agent *agent = data;
    return agent->earlier_notices + (agent->rootserve ? rootserve_flush_notices(agent->rootserve) : 0) -
           agent->others_notices;
}

/* A fresh session for a host that begins anew. */
static void root_serving_ended(void *data, uint32_t events)
{
    struct agent *agent = data;
    eventfd_t count;
    (void)events;
    eventfd_read(agent->rootserve_ended, &count);
    agent->earlier_notices += rootserve_flush_notices(agent->rootserve);
    rootserve_stop(agent->rootserve);
    agent->rootserve = NULL;
    session_log(agent->session, "serving the root file system failed; started again");
    serve_root(agent);
}

static void mounts_applied(void *data, struct json_object *answer)
{
    const struct agent *agent = data;
    session_answer_mounts(agent->session, answer);
}

static void mounts_failed(void *data, const char *why)
{
    (void)data;
    log_line(LOG_LEVEL_ERROR, "files of the host: %s", why);
}

static int take_mounts(void *data, struct json_object *request, struct err *err)
{
    static const struct vfsmount_ops ops = {.applied = mounts_applied, .failed = mounts_failed};
    struct agent *agent = data;
    if (!agent->vfsmount && !(agent->vfsmount = vfsmount_new(agent->loop, &ops, agent)))
        return err_errno(err, errno, "mounts");
    return vfsmount_take(agent->vfsmount, request, err);
}

/* The file system has to be at rest for its disk to be consistent; before that, what was written to mapped files of the
 * host has to get there. */
static void finish(void *data)
{
    struct agent *agent = data;
    sync();
    vfsmount_drop(agent->vfsmount);
    agent->vfsmount = NULL;
    rootserve_stop(agent->rootserve);
    agent->rootserve = NULL;
    mounts_finish();
}

/* A machine that nobody directs any more must not run on. */
static void broken(void *data, const struct err *err)
{
    struct agent *agent = data;
    log_line(LOG_LEVEL_ERROR, "control session: %s; powering off", err->text);
    power_down(agent->power, POWER_OFF, 0);
}

static const struct session_ops session_ops = {
    .configure = configure,
    .stand_still = stand_still,
    .go_on = go_on,
    .set_clock = set_clock,
    .freeze = freeze,
    .shutdown = shut_down,
    .mounts = take_mounts,
    .broken = broken,
};

/* What busybox's, sysvinit's and systemd's tools send to PID 1. */
static void take_signal(struct agent *agent, int number)
{
    if (number == SIGCHLD) {
        jobs_reap(session_jobs(agent->session));
        power_children_changed(agent->power);
        return;
    }
    bool reboot = number == SIGTERM || number == SIGINT || number == SIGRTMIN + 5;
    log_line(LOG_LEVEL_INFO, "%s asked for by a program of the guest", reboot ? "reboot" : "power-off");
    power_down(agent->power, reboot ? POWER_REBOOT : POWER_OFF, GUEST_GRACE_MS);
}

static void signals_ready(void *data, uint32_t events)
{
    struct agent *agent = data;
    struct signalfd_siginfo info;
    (void)events;
    while (read(agent->signals, &info, sizeof info) == sizeof info)
        take_signal(agent, (int)info.ssi_signo);
}

static int block_signals(void)
{
    const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGPWR, SIGRTMIN + 3, SIGRTMIN + 4,
                           SIGRTMIN + 5};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        sigaddset(&set, handled[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_control_port(const struct agent *agent, struct err *err)
{
    uint64_t deadline = loop_now_ms() + PORT_WAIT_MS;
    int fd;
    while ((fd = ports_open(PORT_CTL)) == -ENOENT) {
        if (!uevent_wait(agent->uevents, deadline))
            return err_set(err, ENODEV, "open port " PORT_CTL ": it did not appear in %d s", PORT_WAIT_MS / 1000);
    }
    return fd >= 0 ? fd : err_errno(err, -fd, "open port " PORT_CTL);
}

static int set_up_loop(struct agent *agent)
{
    agent->loop = loop_new();
    agent->power = agent->loop ? power_new(agent->loop, finish, agent) : NULL;
    agent->signals = block_signals();
    agent->rootserve_ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!agent->power || agent->signals < 0 || agent->rootserve_ended < 0 ||
        !loop_watch(agent->loop, agent->signals, EPOLLIN, signals_ready, agent) ||
        !loop_watch(agent->loop, agent->rootserve_ended, EPOLLIN, root_serving_ended, agent))
        return -errno;
    return 0;
}

static int start(struct agent *agent, struct err *err)
{
    agent->uevents = uevent_open();
    if (agent->uevents < 0)
        return err_errno(err, -agent->uevents, "listen for devices");
    int rc = boot_run(agent->uevents, &agent->times, &agent->root_writable, err);
    if (rc < 0)
        return rc;
    int port = open_control_port(agent, err);
    if (port < 0)
        return port;
    agent->times.ports = boot_now_us();
    rc = set_up_loop(agent);
    if (rc < 0)
        return err_errno(err, -rc, "set up the agent");
    if (!serve_root(agent))
        agent->uevents_watch = loop_watch(agent->loop, agent->uevents, EPOLLIN, device_announced, agent);
    agent->session = session_new(agent->loop, port, &account_files, agent->root_writable, &agent->times,
                                 &session_ops, agent);
    if (!agent->session)
        return err_errno(err, errno, "open port " PORT_CTL);
    session_set_notices(agent->session, agent->rootserve && rootserve_watches(agent->rootserve));
    jobs_set_notices(session_jobs(agent->session), flush_notices, agent);
    power_set_session(agent->power, agent->session);
    return 0;
}

int main(void)
{
    struct agent agent = {0};
    struct err err = {0};
    if (getpid() != 1) {
        fprintf(stderr, "gondolin-guest " PACKAGE_VERSION ": runs as the first process of a guest only\n");
        return EXIT_GONDOLIN;
    }
    int rc = start(&agent, &err);
    if (rc == 0)
        rc = loop_run(agent.loop);
    /* The loop has no other end. */
    if (err.code == 0)
        err_errno(&err, -rc, "event loop");
    log_line(LOG_LEVEL_ERROR, "%s; powering off", err.text);
    power_off_now();
}
