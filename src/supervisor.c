/* SPDX-License-Identifier: Apache-2.0 */
#include "src/supervisor_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "images/store.h"
#include "src/cleanup.h"
#include "src/keeper.h"
#include "src/libexec.h"
#include "src/mountpoint.h"
#include "src/printable.h"
#include "src/session_name.h"

enum {
    CONSOLE_KEPT = 64 * 1024,
    LOG_KEPT = 256 * 1024,
    EVENTS_KEPT = 64 * 1024,
    JOB_GRACE_MS = 1000,     /* between SIGTERM and SIGKILL for jobs at the end */
    SHUTDOWN_LIMIT_MS = 8000, /* for the guest to power itself off */
    VMM_GRACE_MS = 1000,
    EXIT_REASON_MS = 300,
    LINGER_MS = 200, /* for readers to fetch the last of events, log and output */
    CACHED_MS = 1000, /* attributes and entries, where the guest cannot tell of changes */
    CACHED_WITH_NOTICES_MS = 60 * 1000,
};

static const char *const state_names[] = {"new", "starting", "running", "stopping", "exited", "failed"};
static_assert(sizeof state_names / sizeof *state_names == STATES, "every state has its name");

const char *supervisor_state_name(enum supervisor_state state)
{
    return state_names[state];
}

void supervisor_log(struct supervisor *s, const char *fmt, ...)
{
    char line[1200];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ ", now.tv_nsec / 1000000);
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n = strlen(line);
    if (len < 0 || n == 0)
        return;
    if (line[n - 1] != '\n')
        line[n++] = '\n';
    record_add(s->log, line, n);
}

void supervisor_event(struct supervisor *s, const char *name, struct json_object *object)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    json_object_object_add(object, "time_ms", json_object_new_int64(now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000));
    json_object_object_add(object, "event", json_object_new_string(name));
    size_t len;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &len);
    char line[1024];
    if (text && len < sizeof line - 1) {
        memcpy(line, text, len);
        line[len++] = '\n';
        follow_add(s->events, line, len);
    }
    json_object_put(object);
}

static bool is_paused(const struct supervisor *s)
{
    return s->state == STATE_RUNNING && s->machine && s->machine->paused;
}

/* A job would be started whenever somebody resumes the machine, and its caller wait for that without knowing. */
static void hold_jobs(struct supervisor *s)
{
    static const char plain[] = "the sandbox is paused; resume it by its ctl";
    if (!s->jobs)
        return;
    if (is_paused(s) && !s->why_paused) {
        cleanup_free char *shown = printable_spelled(s->session.mountpoint);
        if (!shown || asprintf(&s->why_paused, "the sandbox is paused; echo resume > %s/ctl", shown) < 0)
            s->why_paused = NULL;
    }
    jobs_hold(s->jobs, !is_paused(s) ? NULL : s->why_paused ? s->why_paused : plain);
}

const char *supervisor_shown_state(const struct supervisor *s)
{
    return is_paused(s) ? "paused" : state_names[s->state];
}

void supervisor_show_state(struct supervisor *s)
{
    const char *name = supervisor_shown_state(s);
    hold_jobs(s);
    if (s->session.state && strcmp(s->session.state, name) == 0)
        return;
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "state", json_object_new_string(name));
    supervisor_event(s, "state", event);
    free(s->session.state);
    s->session.state = strdup(name);
    if (s->session.directory && s->state >= STATE_STARTING && s->state <= STATE_STOPPING)
        session_publish(&s->session, NULL);
}

static void set_state(struct supervisor *s, enum supervisor_state state)
{
    s->state = state;
    supervisor_show_state(s);
}

/* ---- the end ---- */

static void quit(void *data)
{
    struct supervisor *s = data;
    s->quit_wanted = true;
    if (!s->operations)
        loop_quit(s->loop, 0);
}

static void lingered(void *data)
{
    struct supervisor *s = data;
    s->linger_timer = NULL;
    quit(s);
}

/* The mount stays until nothing is open any more, but not for long. */
static void finish(struct supervisor *s)
{
    set_state(s, s->orderly ? STATE_EXITED : STATE_FAILED);
    jobs_set_link(s->jobs, NULL, s->why_ended);
    if (s->mounts)
        host_mounts_disconnect(s->mounts);
    bin_dir_set_link(s->bin, NULL);
    if (s->front)
        pump_disconnect(front_pump(s->front));
    record_end(s->console);
    record_end(s->log);
    follow_end(s->events);
    timer_cancel(s->linger_timer);
    s->linger_timer = loop_timer(s->loop, LINGER_MS, lingered, s);
    control_when_idle(s->control, quit, s);
}

static void shutdown_took_too_long(void *data)
{
    struct supervisor *s = data;
    s->stop_timer = NULL;
    supervisor_log(s, "the guest did not power off in time; ending the machine");
    s->backend->stop(s->machine->vm, VMM_GRACE_MS);
}

/* The command of a gondolin run has ended, and nothing that it has left behind will be seen by anybody: neither its disk,
 * nor, through mapped files, directories of the host. */
static bool is_worth_shutting_down(const struct supervisor *s)
{
    const struct mount_options *o = s->start->options;
    bool throw_away = !o->root_disk || (o->root_mode && strcmp(o->root_mode, "cow") == 0);
    return !supervisor_is_one_shot(s) || !throw_away || host_mounts_any(s->mounts);
}

/* Whether it goes on shows by itself: the guest ends, or the limit is over. */
static void resumed_to_end(void *data, int code, const char *sentence)
{
    (void)data, (void)code, (void)sentence;
}

void supervisor_stop(struct supervisor *s, bool orderly, const char *why)
{
    if (s->state == STATE_EXITED || s->state == STATE_FAILED)
        return;
    if (!s->why_ended[0])
        snprintf(s->why_ended, sizeof s->why_ended, "%s", why);
    if (s->state != STATE_STOPPING) {
        s->orderly = orderly;
        supervisor_log(s, "ending: %s", why);
        set_state(s, STATE_STOPPING);
    }
    timer_cancel(s->start_timer);
    s->start_timer = NULL;
    if (!s->machine || !s->machine->vm) {
        finish(s);
        return;
    }
    timer_cancel(s->stop_timer);
    s->stop_timer = NULL;
    if (orderly && agent_link_ready(s->machine->link) && is_worth_shutting_down(s)) {
        struct json_object *request = json_object_new_object();
        json_object_object_add(request, "grace_ms", json_object_new_int(JOB_GRACE_MS));
        if (agent_link_send_json(s->machine->link, CTL_SHUTDOWN, 0, request)) {
            if (s->machine->paused)
                s->backend->resume(s->machine->vm, resumed_to_end, s);
            s->stop_timer = loop_timer(s->loop, SHUTDOWN_LIMIT_MS, shutdown_took_too_long, s);
            return;
        }
    }
    s->backend->stop(s->machine->vm, VMM_GRACE_MS);
}

static void handle_signal(void *data, uint32_t events)
{
    struct supervisor *s = data;
    struct signalfd_siginfo info;
    (void)events;
    if (read(s->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    char why[64];
    snprintf(why, sizeof why, "signal %s", sigabbrev_np((int)info.ssi_signo));
    supervisor_stop(s, s->state != STATE_STOPPING, why);
}

/* ---- the machine ---- */

void supervisor_publish_machine(struct supervisor *s)
{
    const struct machine *m = s->machine;
    const struct checkpoint *base = m->disks.base.directory && !m->disks.base_is_template ? &m->disks.base : NULL;
    free(s->session.checkpoint);
    s->session.checkpoint = base ? strdup(base->name) : NULL;
    s->session.vm_pid = m->vm ? s->backend->pid(m->vm) : 0;
    session_publish(&s->session, NULL);
    supervisor_show_state(s);
}

bool supervisor_use_abilities(struct supervisor *s, const struct machine_abilities *abilities)
{
    uint32_t kept_ms = abilities->notices ? CACHED_WITH_NOTICES_MS : CACHED_MS;
    s->abilities = *abilities;
    pump_set_timeouts(front_pump(s->front), kept_ms, kept_ms);
    bool waits = host_mounts_agent(s->mounts, abilities->mounts, abilities->resumes);
    if (waits && !abilities->mounts)
        supervisor_mounts_settled(s, "bind: the image's agent knows nothing of mounts; build the image again");
    return waits;
}

static void announce(struct supervisor *s)
{
    if (s->state != STATE_STARTING)
        return;
    watch_del(s->waiter_watch);
    s->waiter_watch = NULL;
    s->ready_ms = loop_now_ms() - s->started_ms;
    supervisor_log(s, "ready after %llu ms", (unsigned long long)s->ready_ms);
    set_state(s, STATE_RUNNING);
    s->ready(s->ready_data, s->session.id);
}

/* At the start the sandbox is ready when its mounts are there, and not at all without them. */
void supervisor_mounts_settled(struct supervisor *s, const char *failure)
{
    if (failure && s->state == STATE_STARTING)
        supervisor_stop(s, false, failure);
    else if (s->state == STATE_STARTING)
        announce(s);
    else
        checkpoint_restore_settled(s, failure);
}

void supervisor_prepared(struct supervisor *s)
{
    if (s->prepared || s->state != STATE_STARTING)
        return;
    s->prepared = true;
    if (!supervisor_use_abilities(s, &s->abilities))
        announce(s);
}

/* What has been run once need not be read from the disk again by what starts from the template. */
static void take_template(void *data)
{
    checkpoint_take_template(data);
}

static void first_machine_ready(struct supervisor *s, const struct machine_abilities *abilities)
{
    struct err err = {0};
    if (supervisor_start_unmixed(s))
        return;
    timer_cancel(s->start_timer);
    s->start_timer = NULL;
    s->abilities = *abilities;
    if (s->records.jobs && jobs_restore(s->jobs, &s->records, s->machine->link, "", &err) < 0) {
        supervisor_stop(s, false, err.text);
        return;
    }
    job_records_free(&s->records);
    if (s->make_template)
        jobs_rehearse(s->jobs, take_template, s);
    else
        supervisor_prepared(s);
}

void supervisor_machine_ready(struct machine *m, const struct machine_abilities *abilities)
{
    struct supervisor *s = m->s;
    if (m == s->next)
        checkpoint_restore_ready(s, abilities);
    else if (s->state == STATE_STARTING)
        first_machine_ready(s, abilities);
}

static void machine_ended(struct supervisor *s, const char *reason)
{
    char why[sizeof s->why_ended];
    supervisor_explain(s, reason, why, sizeof why);
    supervisor_log(s, "machine ended: %s", why);
    if (s->state != STATE_STOPPING) {
        snprintf(s->why_ended, sizeof s->why_ended, "%s", why);
        s->orderly = (s->goodbye || strstr(reason, "powered off")) && s->state == STATE_RUNNING;
    }
    timer_cancel(s->stop_timer);
    s->stop_timer = NULL;
    checkpoint_guest_frozen(s, ENOTCONN);
    checkpoint_restore_ended(s);
    finish(s);
}

void supervisor_machine_ended(struct machine *m, const char *reason)
{
    struct supervisor *s = m->s;
    if (m == s->next)
        checkpoint_restore_failed(s, reason);
    else if (!supervisor_start_again(s, reason))
        machine_ended(s, reason);
}

static void still_gone(void *data)
{
    struct supervisor *s = data;
    s->gone_timer = NULL;
    if (supervisor_start_again(s, s->why_gone))
        return;
    if (s->state == STATE_STARTING || s->state == STATE_RUNNING)
        supervisor_stop(s, false, s->why_gone);
}

/* A channel ends because the machine ended, whose own reason is the better one and is about to come; or else because the
 * guest broke the protocol, which ends the machine. */
static void channel_gone(struct supervisor *s, const char *why)
{
    if ((s->state != STATE_STARTING && s->state != STATE_RUNNING) || s->gone_timer)
        return;
    supervisor_log(s, "%s", why);
    snprintf(s->why_gone, sizeof s->why_gone, "%s", why);
    s->gone_timer = loop_timer(s->loop, EXIT_REASON_MS, still_gone, s);
}

void supervisor_channel_gone(struct machine *m, const char *why)
{
    struct supervisor *s = m->s;
    if (m == s->next) {
        checkpoint_restore_failed(s, why);
        return;
    }
    jobs_set_link(s->jobs, NULL, why);
    bin_dir_set_link(s->bin, NULL);
    channel_gone(s, why);
}

static void job_event(void *data, const char *what, const struct job *job)
{
    struct supervisor *s = data;
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "job", json_object_new_string(job->name));
    if (job_over(job)) {
        char result[320];
        job_describe_result(job, result, sizeof result);
        json_object_object_add(event, "result", json_object_new_string(result));
        if (job->state == JOB_EXITED && !job->result.signal)
            json_object_object_add(event, "code", json_object_new_int(job->result.code));
    }
    supervisor_event(s, what, event);
}

/* ---- the mount ---- */

static void front_unmounted(void *data)
{
    supervisor_stop(data, true, "unmounted");
}

/* The kernel tells the server of an unmount when the last reference goes: open files and copies of the mount in other
 * namespaces keep it. For the user it is over when it is gone from here. */
static void mounts_changed(void *data, uint32_t events)
{
    struct supervisor *s = data;
    (void)events;
    char *place = mountpoint_locate(s->session.device, s->start->mountpoint);
    if (!place && s->state != STATE_STOPPING)
        supervisor_stop(s, true, "unmounted");
    free(place);
}

static int watch_mounts(struct supervisor *s)
{
    s->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    s->mounts_watch = s->mounts_fd >= 0 ? loop_watch(s->loop, s->mounts_fd, EPOLLPRI, mounts_changed, s) : NULL;
    return s->mounts_watch ? 0 : -errno;
}

static void guest_files_gone(void *data, const char *why)
{
    struct supervisor *s = data;
    channel_gone(s, why);
}

static int make_mount(struct supervisor *s, struct err *err)
{
    static const struct front_ops ops = {.unmounted = front_unmounted, .guest_files_gone = guest_files_gone};
    const struct mount_options *o = s->start->options;
    bool raw = o->owner ? strcmp(o->owner, "guest") == 0 : geteuid() == 0;
    struct front_config config = {
        .mountpoint = s->start->mountpoint,
        .allow_other = o->allow_other,
        .view = {.uid = geteuid(), .gid = getegid(), .raw_owner = raw, .exec = o->exec, .entry_timeout_ms = CACHED_MS,
                 .attr_timeout_ms = CACHED_MS},
    };
    s->front = front_new(s->loop, &config, s->control, &ops, s, err);
    return s->front ? 0 : -err->code;
}

/* ---- starting ---- */

static int open_signals(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->signal_watch = s->signal_fd >= 0 ? loop_watch(s->loop, s->signal_fd, EPOLLIN, handle_signal, s) : NULL;
    return s->signal_watch ? 0 : -errno;
}

static void waiter_gone(void *data, uint32_t events)
{
    struct supervisor *s = data;
    (void)events;
    watch_del(s->waiter_watch);
    s->waiter_watch = NULL;
    supervisor_stop(s, true, "given up while it booted");
}

static int watch_waiter(struct supervisor *s)
{
    if (s->start->waiter_fd < 0)
        return 0;
    s->waiter_watch = loop_watch(s->loop, s->start->waiter_fd, EPOLLERR, waiter_gone, s);
    return s->waiter_watch ? 0 : -errno;
}

static int make_tree(struct supervisor *s, struct err *err)
{
    static const struct jobs_events events = {.event = job_event};
    s->control = control_new(geteuid(), getegid());
    s->console = record_new(CONSOLE_KEPT, "[%llu bytes of console missed]\n");
    s->log = record_new(LOG_KEPT, "[%llu bytes of log missed]\n");
    s->events = follow_new(EVENTS_KEPT, "{\"event\":\"overflow\",\"lost_bytes\":%llu}\n");
    if (!s->control || !s->console || !s->log || !s->events)
        return err_errno(err, ENOMEM, "mount: control files");
    int rc = supervisor_files_add(s);
    rc = rc < 0 ? rc : supervisor_mounts_add(s);
    s->jobs = rc < 0 ? NULL : jobs_new(s->control, s->work_dir, &events, s);
    cleanup_free char *helper = s->jobs ? libexec_path("gondolin-bin") : NULL;
    s->bin = helper ? bin_dir_new(s->loop, s->control, helper, s->start->mountpoint) : NULL;
    return s->bin ? 0 : err_errno(err, rc < 0 ? -rc : errno, "mount: control files");
}

static void keeper_restarted(void *data)
{
    struct supervisor *s = data;
    supervisor_log(s, "the keeper died and was started again");
    s->session.keeper_pid = keeper_pid(s->keeper);
    session_publish(&s->session, NULL);
}

static int make_session(struct supervisor *s, struct err *err)
{
    const struct supervisor_start *start = s->start;
    int rc = session_create(&s->session, err);
    if (rc < 0)
        return rc;
    s->session.name = start->options->name ? strdup(start->options->name) : session_name_of(start->mountpoint);
    s->session.mountpoint = strdup(start->mountpoint);
    s->session.image = strdup(start->image->tag ? start->image->tag : start->image->build_id);
    s->session.build_id = strdup(start->image->build_id);
    s->session.state = strdup(state_names[STATE_NEW]);
    s->session.pid = getpid();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->session.started_ms = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
    struct keeper_duties duties = {.mountpoint = start->mountpoint,
                                   .remove_mountpoint = start->made_mountpoint,
                                   .session_dir = s->session.directory,
                                   .work_dir = s->work_dir,
                                   .restarted = keeper_restarted,
                                   .data = s};
    s->keeper = keeper_start(s->loop, &duties, err);
    if (!s->keeper)
        return -err->code;
    s->session.keeper_pid = keeper_pid(s->keeper);
    return session_publish(&s->session, err);
}

static int bring_up(struct supervisor *s, struct err *err)
{
    int rc = open_signals(s);
    rc = rc ? rc : watch_waiter(s);
    if (rc < 0)
        return err_errno(err, -rc, "mount: signals");
    rc = make_tree(s, err);
    rc = rc ? rc : machine_check(s, err);
    rc = rc ? rc : make_session(s, err);
    rc = rc ? rc : make_mount(s, err);
    if (rc == 0) {
        s->session.device = mountpoint_device(s->start->mountpoint);
        rc = watch_mounts(s) < 0 ? err_errno(err, errno, "mount: %s", s->start->mountpoint) : 0;
    }
    if (rc == 0) {
        cleanup_free char *shown = printable_spelled(s->session.mountpoint);
        supervisor_log(s, "sandbox %s: image %s on %s", s->session.id, s->session.image, shown ? shown : "?");
        set_state(s, STATE_STARTING);
        rc = supervisor_start_machine(s, err);
    }
    return rc;
}

static void take_down(struct supervisor *s)
{
    supervisor_record_end(s);
    timer_cancel(s->linger_timer);
    timer_cancel(s->gone_timer);
    timer_cancel(s->notices_timer);
    timer_cancel(s->start_timer);
    machine_free(s->next);
    machine_free(s->machine);
    s->next = s->machine = NULL;
    if (s->front)
        front_close(s->front);
    control_close_handles(s->control);
    jobs_free(s->jobs);
    host_mounts_free(s->mounts);
    bin_dir_free(s->bin);
    record_free(s->console);
    follow_free(s->events);
    record_free(s->log);
    control_abort_requests(s->control);
    front_free(s->front);
    control_free(s->control);
    mountpoint_clear_dead(s->session.device); /* where it has been moved or bound to */
    watch_del(s->signal_watch);
    watch_del(s->mounts_watch);
    watch_del(s->waiter_watch);
    if (s->start->made_mountpoint)
        rmdir(s->start->mountpoint);
    if (s->session.directory)
        session_remove(&s->session);
    else
        session_close(&s->session);
    keeper_dismiss(s->keeper);
    job_records_free(&s->records);
    free(s->guest_kernel);
    free(s->template_key);
    free(s->why_paused);
}

/* As systemd's machine-id(5) has it: 128 bits of chance, a random UUID's among them. */
static int make_machine_id(char text[static MACHINE_ID_DIGITS + 1], struct err *err)
{
    uint8_t bytes[MACHINE_ID_DIGITS / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_errno(err, errno, "mount: random numbers");
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int supervisor_run(const struct supervisor_start *start, supervisor_ready_fn *ready, void *data, struct err *err)
{
    struct supervisor s = {.start = start, .ready = ready, .ready_data = data, .started_ms = loop_now_ms(),
                           .session.lock_fd = -1, .signal_fd = -1, .mounts_fd = -1};
    struct store_work work = {.lock = -1};
    s.backend = vmm_backend_find(start->options->vmm, err);
    s.loop = loop_new();
    s.store = s.backend && s.loop ? store_open(err) : NULL;
    if (s.store)
        store_clean(s.store);
    int rc = s.store ? store_work_begin(s.store, "run", &work, err) : -(err->code ? err->code : ENOMEM);
    rc = rc ? rc : make_machine_id(s.machine_id, err);
    if (rc == 0) {
        s.work_dir = work.path;
        rc = bring_up(&s, err);
        if (rc == 0)
            rc = loop_run(s.loop);
        else
            supervisor_stop(&s, false, err->text);
        if (rc == 0 && !s.orderly)
            rc = supervisor_failure(&s, err);
        take_down(&s);
    }
    store_work_end(&work);
    loop_free(s.loop);
    free(s.store);
    return rc;
}
