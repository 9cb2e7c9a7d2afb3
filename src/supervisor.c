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
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/store.h"
#include "src/cleanup.h"
#include "src/keeper.h"
#include "src/libexec.h"
#include "src/mountpoint.h"

enum {
    CONSOLE_KEPT = 64 * 1024,
    LOG_KEPT = 256 * 1024,
    EVENTS_KEPT = 64 * 1024,
    JOB_GRACE_MS = 1000,     /* between SIGTERM and SIGKILL for jobs at the end */
    SHUTDOWN_LIMIT_MS = 8000, /* for the guest to power itself off */
    VMM_GRACE_MS = 1000,
    EXIT_REASON_MS = 300,
    LINGER_MS = 200, /* for readers to fetch the last of events, log and output */
    NOTICES_LIMIT_MS = 2000,
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

static void set_state(struct supervisor *s, enum supervisor_state state)
{
    if (s->state == state)
        return;
    s->state = state;
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "state", json_object_new_string(state_names[state]));
    supervisor_event(s, "state", event);
    free(s->session.state);
    s->session.state = strdup(state_names[state]);
    if (s->session.directory && (state == STATE_STARTING || state == STATE_RUNNING || state == STATE_STOPPING))
        session_publish(&s->session, NULL);
}

/* ---- the end ---- */

static void quit(void *data)
{
    struct supervisor *s = data;
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
    s->backend->stop(s->vm, VMM_GRACE_MS);
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
    if (!s->vm) {
        finish(s);
        return;
    }
    timer_cancel(s->stop_timer);
    s->stop_timer = NULL;
    if (orderly && agent_link_ready(s->link)) {
        struct json_object *request = json_object_new_object();
        json_object_object_add(request, "grace_ms", json_object_new_int(JOB_GRACE_MS));
        if (agent_link_send_json(s->link, CTL_SHUTDOWN, 0, request)) {
            s->stop_timer = loop_timer(s->loop, SHUTDOWN_LIMIT_MS, shutdown_took_too_long, s);
            return;
        }
    }
    s->backend->stop(s->vm, VMM_GRACE_MS);
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

static void read_console(void *data, uint32_t events)
{
    struct supervisor *s = data;
    char buffer[4096];
    (void)events;
    ssize_t n = read(s->console_fd, buffer, sizeof buffer);
    if (n > 0) {
        record_add(s->console, buffer, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        watch_del(s->console_watch);
        s->console_watch = NULL;
    }
}

static void vm_exited(void *data, int wait_status, const char *reason)
{
    struct supervisor *s = data;
    (void)wait_status;
    /* The other end is closed: this reads the guest's last words and then the end. */
    while (s->console_watch)
        read_console(s, EPOLLIN);
    char why[sizeof s->why_ended];
    supervisor_explain(s, reason, why, sizeof why);
    supervisor_log(s, "machine ended: %s", why);
    if (s->state != STATE_STOPPING) {
        snprintf(s->why_ended, sizeof s->why_ended, "%s", why);
        s->orderly = (s->goodbye || strstr(reason, "powered off")) && s->state == STATE_RUNNING;
    }
    timer_cancel(s->stop_timer);
    s->stop_timer = NULL;
    finish(s);
}

static void vm_crashed(void *data, const char *what)
{
    struct supervisor *s = data;
    supervisor_log(s, "guest: %s", what);
}

static void read_vmm_log(void *data, uint32_t events)
{
    struct supervisor *s = data;
    char buffer[1024];
    (void)events;
    ssize_t n = read(s->vmm_log_fd[0], buffer, sizeof buffer - 1);
    if (n <= 0)
        return;
    buffer[n] = '\0';
    char *rest = buffer;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            supervisor_log(s, "%s", line);
}

/* ---- the agent ---- */

static void note_boot_phases(struct supervisor *s, struct json_object *hello)
{
    struct json_object *phases, *kernel;
    if (json_object_object_get_ex(hello, "kernel", &kernel) && json_object_is_type(kernel, json_type_string)) {
        free(s->guest_kernel);
        s->guest_kernel = strndup(json_object_get_string(kernel), 128);
        for (char *c = s->guest_kernel; c && *c; c++)
            if ((unsigned char)*c <= ' ' || *c == 0x7f)
                *c = '_';
    }
    if (!json_object_object_get_ex(hello, "boot_us", &phases) || !json_object_is_type(phases, json_type_object))
        return;
    size_t used = 0;
    struct json_object_iterator at = json_object_iter_begin(phases), end = json_object_iter_end(phases);
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);
        if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name) || strlen(name) > 32)
            continue;
        int n = snprintf(s->boot_phases + used, sizeof s->boot_phases - used, "boot_%s_us %lld\n", name,
                         (long long)json_object_get_int64(json_object_iter_peek_value(&at)));
        if (n < 0 || (size_t)n >= sizeof s->boot_phases - used)
            break;
        used += (size_t)n;
    }
    s->boot_phases[used] = '\0';
}

static void agent_hello(void *data, struct json_object *hello, struct json_object *config)
{
    struct supervisor *s = data;
    note_boot_phases(s, hello);
    json_object_object_add(config, "hostname", json_object_new_string(s->session.name));
}

static void agent_ready(void *data, struct json_object *ready)
{
    struct supervisor *s = data;
    struct json_object *notices;
    if (s->state != STATE_STARTING)
        return;
    s->notices = ready && json_object_object_get_ex(ready, "notices", &notices) && json_object_get_boolean(notices);
    if (s->notices)
        pump_set_timeouts(front_pump(s->front), CACHED_WITH_NOTICES_MS, CACHED_WITH_NOTICES_MS);
    watch_del(s->waiter_watch);
    s->waiter_watch = NULL;
    s->ready_ms = loop_now_ms() - s->started_ms;
    supervisor_log(s, "ready after %llu ms", (unsigned long long)s->ready_ms);
    set_state(s, STATE_RUNNING);
    s->ready(s->ready_data, s->session.id);
}

static int agent_job_frame(void *data, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    struct supervisor *s = data;
    return jobs_frame(s->jobs, header, payload, len);
}

static void notices_taken(void *data)
{
    struct supervisor *s = data;
    timer_cancel(s->notices_timer);
    s->notices_timer = NULL;
    agent_link_pause(s->link, false);
}

static void notices_missing(void *data)
{
    struct supervisor *s = data;
    s->notices_timer = NULL;
    supervisor_log(s, "the guest promised cache notices that did not come");
    front_await_notices(s->front, 0, notices_taken, s);
}

/* What a job did to files before it printed or ended is to be seen by whoever learns of that. */
static void agent_notices(void *data, uint64_t count)
{
    struct supervisor *s = data;
    timer_cancel(s->notices_timer);
    s->notices_timer = loop_timer(s->loop, NOTICES_LIMIT_MS, notices_missing, s);
    agent_link_pause(s->link, true);
    front_await_notices(s->front, count, notices_taken, s);
}

static int agent_programs(void *data, const uint8_t *payload, size_t len)
{
    const struct supervisor *s = data;
    return bin_dir_frame(s->bin, payload, len);
}

static void agent_log_line(void *data, const char *line)
{
    supervisor_log(data, "guest: %s", line);
}

static void agent_goodbye(void *data)
{
    struct supervisor *s = data;
    s->goodbye = true;
    supervisor_log(s, "the guest is powering off");
}

static void still_gone(void *data)
{
    struct supervisor *s = data;
    s->gone_timer = NULL;
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

static void agent_closed(void *data, const char *why)
{
    struct supervisor *s = data;
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

static int socket_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

static struct watch *watch_stream(struct supervisor *s, int fd, loop_fd_fn *fn)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return loop_watch(s->loop, fd, EPOLLIN, fn, s);
}

struct machine_ends {
    int ctl[2], root[2], console[2];
};

static int make_ends(struct supervisor *s, struct machine_ends *e)
{
    int rc = socket_pair(e->ctl);
    rc = rc ? rc : socket_pair(e->root);
    rc = rc ? rc : socket_pair(e->console);
    rc = rc ? rc : pipe2(s->vmm_log_fd, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
    if (rc)
        return rc;
    s->console_fd = e->console[0];
    s->console_watch = watch_stream(s, s->console_fd, read_console);
    s->vmm_log_watch = loop_watch(s->loop, s->vmm_log_fd[0], EPOLLIN, read_vmm_log, s);
    return s->console_watch && s->vmm_log_watch ? 0 : -errno;
}

static enum vmm_root_mode root_mode(const struct mount_options *o)
{
    if (!o->root_mode)
        return o->root_disk ? VMM_ROOT_PERSISTENT : VMM_ROOT_COW;
    if (strcmp(o->root_mode, "cow") == 0)
        return VMM_ROOT_COW;
    return strcmp(o->root_mode, "memory") == 0 ? VMM_ROOT_MEMORY : VMM_ROOT_READONLY;
}

static struct vmm_config machine_config(const struct supervisor *s, const char *overlay, const struct machine_ends *e)
{
    const struct mount_options *o = s->start->options;
    const struct image *image = s->start->image;
    return (struct vmm_config){
        .binary = o->qemu,
        .machine = o->machine,
        .accel = o->accel,
        .cpu = o->cpu,
        .cpus = o->cpus,
        .memory = o->memory ? o->memory : image->default_memory,
        .append = o->append,
        .arch = image->arch,
        .kernel = image->kernel,
        .initrd = image->initramfs,
        .kernel_append = image->kernel_append,
        .root_disk = o->root_disk ? o->root_disk : image->rootfs,
        .root_mode = root_mode(o),
        .overlay = overlay,
        .ports = {{PORT_CTL, e->ctl[1]}, {PORT_ROOT, e->root[1]}},
        .port_count = 2,
        .console_fd = e->console[1],
        .log_fd = s->vmm_log_fd[1],
    };
}

/* Before anything is made: is all there that it takes, and can all that was asked for be had? */
static int check_machine(const struct supervisor *s, struct err *err)
{
    const struct machine_ends none = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct vmm_config config = machine_config(s, s->work_dir, &none);
    return s->backend->check(&config, err) < 0 ? err_wrap(err, "mount") : 0;
}

static int start_machine(struct supervisor *s, struct err *err)
{
    static const struct vmm_events vm_events = {.exited = vm_exited, .crashed = vm_crashed};
    static const struct agent_link_ops link_ops = {.hello = agent_hello,
                                                   .ready = agent_ready,
                                                   .notices = agent_notices,
                                                   .job_frame = agent_job_frame,
                                                   .log_line = agent_log_line,
                                                   .programs = agent_programs,
                                                   .goodbye = agent_goodbye,
                                                   .closed = agent_closed};
    struct machine_ends e;
    char overlay[4096];
    snprintf(overlay, sizeof overlay, "%s/root.qcow2", s->work_dir);
    int rc = make_ends(s, &e);
    if (rc < 0)
        return err_errno(err, -rc, "mount: channels to the machine");
    struct vmm_config config = machine_config(s, overlay, &e);
    rc = s->backend->start(s->loop, &config, &vm_events, s, &s->vm, err);
    if (rc < 0)
        return rc;
    s->session.vm_pid = s->backend->pid(s->vm);
    session_publish(&s->session, NULL);
    s->link = agent_link_new(s->loop, e.ctl[0], &link_ops, s);
    if (!s->link)
        return err_errno(err, errno, "mount: control channel");
    jobs_set_link(s->jobs, s->link, NULL);
    bin_dir_set_link(s->bin, s->link);
    rc = pump_connect(front_pump(s->front), e.root[0]);
    return rc < 0 ? err_errno(err, -rc, "mount: file channel") : 0;
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
    const char *base = strrchr(start->mountpoint, '/');
    s->session.name = strdup(start->options->name ? start->options->name : base && base[1] ? base + 1 : "sandbox");
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
    rc = rc ? rc : check_machine(s, err);
    rc = rc ? rc : make_session(s, err);
    rc = rc ? rc : make_mount(s, err);
    if (rc == 0) {
        s->session.device = mountpoint_device(s->start->mountpoint);
        rc = watch_mounts(s) < 0 ? err_errno(err, errno, "mount: %s", s->start->mountpoint) : 0;
    }
    if (rc == 0) {
        supervisor_log(s, "sandbox %s: image %s on %s", s->session.id, s->session.image, s->session.mountpoint);
        set_state(s, STATE_STARTING);
        rc = start_machine(s, err);
    }
    return rc;
}

static void take_down(struct supervisor *s)
{
    supervisor_record_end(s);
    timer_cancel(s->linger_timer);
    timer_cancel(s->gone_timer);
    timer_cancel(s->notices_timer);
    agent_link_free(s->link);
    s->link = NULL;
    if (s->vm)
        s->backend->free_vm(s->vm);
    if (s->front)
        front_close(s->front);
    control_close_handles(s->control);
    jobs_free(s->jobs);
    bin_dir_free(s->bin);
    record_free(s->console);
    follow_free(s->events);
    record_free(s->log);
    control_abort_requests(s->control);
    front_free(s->front);
    control_free(s->control);
    mountpoint_clear_dead(s->session.device); /* where it has been moved or bound to */
    watch_del(s->console_watch);
    watch_del(s->vmm_log_watch);
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
    free(s->guest_kernel);
}

int supervisor_run(const struct supervisor_start *start, supervisor_ready_fn *ready, void *data, struct err *err)
{
    struct supervisor s = {.start = start, .ready = ready, .ready_data = data, .started_ms = loop_now_ms(),
                           .session.lock_fd = -1, .signal_fd = -1, .mounts_fd = -1, .console_fd = -1,
                           .vmm_log_fd = {-1, -1}};
    struct store_work work = {.lock = -1};
    s.backend = vmm_backend_find(start->options->vmm, err);
    s.loop = loop_new();
    char *store = s.backend && s.loop ? store_open(err) : NULL;
    if (store)
        store_clean(store);
    int rc = store ? store_work_begin(store, "run", &work, err) : -(err->code ? err->code : ENOMEM);
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
        store_work_end(&work);
    }
    loop_free(s.loop);
    free(store);
    return rc;
}
