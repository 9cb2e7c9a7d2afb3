/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/accel.h"
#include "vmm/child.h"
#include "vmm/known.h"
#include "vmm/qemu_machine.h"

enum { REASON_LINES = 3, REASON_MAX = 1024 };

static void set_cause(struct vmm *vm, const char *cause)
{
    if (!*vm->cause)
        snprintf(vm->cause, sizeof vm->cause, "%s", cause);
}

/* A failure of log writing has nobody to be told to. */
static void log_bytes(struct vmm *vm, const char *bytes, size_t len)
{
    if (vm->log_fd >= 0 && write(vm->log_fd, bytes, len) < 0)
        return;
}

/* False when nothing more can be read now. */
static bool read_stderr(struct vmm *vm)
{
    char bytes[4096];
    ssize_t n = vm->stderr_fd < 0 ? 0 : read(vm->stderr_fd, bytes, sizeof bytes);
    if (n > 0) {
        tail_add(&vm->tail, bytes, (size_t)n);
        log_bytes(vm, bytes, (size_t)n);
        return true;
    }
    return n < 0 && errno == EINTR;
}

static void close_stderr(struct vmm *vm)
{
    watch_del(vm->stderr_watch);
    vm->stderr_watch = NULL;
    if (vm->stderr_fd >= 0)
        close(vm->stderr_fd);
    vm->stderr_fd = -1;
}

static void stderr_ready(void *data, uint32_t events)
{
    struct vmm *vm = data;
    if (!read_stderr(vm) && (events & EPOLLHUP))
        close_stderr(vm);
}

static void kill_now(struct vmm *vm)
{
    if (vm->pid < 0)
        return;
    vm->killed_by_us = true;
    kill(vm->pid, SIGKILL);
}

static const char *sentence_of_shutdown(const char *reason)
{
    static const struct {
        const char *reason, *sentence;
    } table[] = {
        {"guest-shutdown", "guest powered off"},
        {"guest-reset", "guest reset itself: its kernel panicked or it was told to reboot"},
        {"guest-panic", "guest kernel panicked"},
        {"host-qmp-quit", "stopped on request"},
        {"host-signal", "qemu was told to end by a signal"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(table[i].reason, reason))
            return table[i].sentence;
    }
    return "qemu ended the machine";
}

static void crashed(struct vmm *vm, const char *what)
{
    set_cause(vm, what);
    if (vm->events->crashed)
        vm->events->crashed(vm->data, what);
}

/* QEMU stops a machine by itself when the CPU cannot go on (KVM's internal errors). Nothing would ever end it. */
static void stopped_status(void *data, int code, const char *sentence, struct json_object *result)
{
    struct vmm *vm = data;
    struct json_object *status;
    (void)sentence;
    if (code || !json_object_object_get_ex(result, "status", &status))
        return;
    const char *text = json_object_get_string(status);
    if (text && !strcmp(text, "internal-error")) {
        kill_now(vm);
        crashed(vm, "the virtual CPU cannot go on (KVM internal error)");
    }
}

static const char *text_member(struct json_object *object, const char *name)
{
    struct json_object *value;
    const char *text = NULL;
    if (json_object_object_get_ex(object, name, &value))
        text = json_object_get_string(value);
    return text ? text : "";
}

static void qmp_event(void *data, const char *name, struct json_object *details)
{
    struct vmm *vm = data;
    if (!strcmp(name, "SHUTDOWN")) {
        const char *reason = text_member(details, "reason");
        if (!strcmp(reason, "guest-reset"))
            crashed(vm, sentence_of_shutdown(reason));
        else
            set_cause(vm, sentence_of_shutdown(reason));
    } else if (!strcmp(name, "GUEST_PANICKED")) {
        crashed(vm, "guest kernel panicked");
    } else if (!strcmp(name, "BLOCK_IO_ERROR")) {
        if (vm->events->disk_failed)
            vm->events->disk_failed(vm->data, text_member(details, "reason"));
    } else if (!strcmp(name, "STOP") && !vm->pause_requested && !vm->save && !*vm->cause) {
        qmp_execute(vm->qmp, "query-status", NULL, stopped_status, vm);
    }
}

static void machine_type(void *data, int code, const char *sentence, struct json_object *result)
{
    struct vmm *vm = data;
    (void)sentence;
    const char *type = code == 0 ? json_object_get_string(result) : NULL; /* "pc-q35-7.2-machine" */
    const char *suffix = type ? strstr(type, "-machine") : NULL;
    if (suffix)
        snprintf(vm->machine, sizeof vm->machine, "%.*s", (int)(suffix - type), type);
}

static void qmp_ready(void *data, const char *version)
{
    struct vmm *vm = data;
    snprintf(vm->version, sizeof vm->version, "%s", version);
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "path", json_object_new_string("/machine"));
    json_object_object_add(arguments, "property", json_object_new_string("type"));
    qmp_execute(vm->qmp, "qom-get", arguments, machine_type, vm);
}

/* The end of the connection alone means that QEMU is ending, which its pidfd will say. */
static void qmp_closed(void *data, int code, const char *sentence)
{
    struct vmm *vm = data;
    if (code == 0 || code == ECONNRESET)
        return;
    char cause[sizeof vm->cause];
    snprintf(cause, sizeof cause, "killed because its control connection failed: %s", sentence);
    set_cause(vm, cause);
    kill_now(vm);
}

static const struct qmp_ops qmp_ops = {.ready = qmp_ready, .event = qmp_event, .closed = qmp_closed};

static void explain_end(const struct vmm *vm, int status, char *reason, size_t size)
{
    char lines[REASON_MAX / 2];
    tail_join(&vm->tail, REASON_LINES, lines, sizeof lines);
    if (*vm->cause)
        snprintf(reason, size, "%s", vm->cause);
    else if (vm->stop_requested)
        snprintf(reason, size, "stopped on request%s", vm->killed_by_us ? " (it had to be killed)" : "");
    else if (WIFSIGNALED(status))
        snprintf(reason, size, "qemu was killed by signal %d%s%s", WTERMSIG(status), *lines ? ": " : "", lines);
    else
        snprintf(reason, size, "qemu exited with status %d%s%s", WEXITSTATUS(status), *lines ? ": " : "", lines);
}

static void process_ended(void *data, uint32_t events)
{
    struct vmm *vm = data;
    (void)events;
    watch_del(vm->end_watch);
    vm->end_watch = NULL;
    qmp_drain(vm->qmp);
    while (read_stderr(vm)) {
    }
    close_stderr(vm);
    timer_cancel(vm->kill_timer);
    vm->kill_timer = NULL;
    int status = child_reap(vm->pid, vm->pidfd, 0, NULL);
    vm->pid = -1;
    qemu_save_ended(vm);

    char reason[REASON_MAX];
    explain_end(vm, status, reason, sizeof reason);
    vm->events->exited(vm->data, status, reason);
}

static void qemu_free(struct vmm *vm)
{
    if (!vm)
        return;
    timer_cancel(vm->kill_timer);
    watch_del(vm->end_watch);
    qmp_free(vm->qmp);
    close_stderr(vm);
    if (vm->pid >= 0) {
        kill_now(vm);
        child_reap(vm->pid, vm->pidfd, 0, NULL);
    }
    qemu_save_drop(vm);
    if (vm->pidfd >= 0)
        close(vm->pidfd);
    if (vm->ram_base >= 0)
        close(vm->ram_base);
    free(vm->disk);
    while (vm->operations) {
        struct operation *op = vm->operations;
        vm->operations = op->next;
        free(op);
    }
    free(vm);
}

static const char *accel_name(const struct qemu_plan *plan)
{
    return plan->kvm ? "kvm" : "tcg";
}

static void remember_settings(struct vmm *vm, const struct qemu_plan *plan)
{
    const struct vmm_config *c = plan->config;
    vm->kvm = plan->kvm;
    vm->memory = qemu_memory(c);
    vm->ram_address = plan->arch->ram_address;
    vm->pause_requested = c->load && c->load->paused;
    unsigned long long memory = vm->memory;
    snprintf(vm->settings, sizeof vm->settings, "accel %s\narch %s\ncpu %s\ncpus %u\nmemory %llu\n", accel_name(plan),
             plan->arch->name, qemu_cpu(plan), c->cpus ? c->cpus : 1, memory);
    snprintf(vm->machine, sizeof vm->machine, "%.*s", (int)strcspn(qemu_machine(plan), ","), qemu_machine(plan));
}

bool qemu_choose_kvm(const struct vmm_config *c, const struct qemu_arch *arch)
{
    struct utsname host;
    if (c->accel)
        return !strcmp(c->accel, "kvm");
    if (uname(&host) < 0 || strcmp(host.machine, arch->name) != 0)
        return false;
    struct accel_verdict verdict;
    accel_decide(&verdict);
    return verdict.kvm;
}

/* What start() has made and not yet handed on. */
struct preparation {
    struct argv argv;
    int qmp_ours, qmp_theirs, stderr_ours, stderr_theirs, overlay, state;
};

static void preparation_free(struct preparation *p)
{
    int fds[] = {p->qmp_ours, p->qmp_theirs, p->stderr_ours, p->stderr_theirs, p->overlay, p->state};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    argv_free(&p->argv);
}

static int make_connections(struct preparation *p, struct err *err)
{
    int pair[2], ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(err, errno, "start qemu: socketpair");
    p->qmp_ours = pair[0];
    p->qmp_theirs = pair[1];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(err, errno, "start qemu: pipe");
    p->stderr_ours = ends[0];
    p->stderr_theirs = ends[1];
    fcntl(p->stderr_theirs, F_SETFL, O_WRONLY); /* only our end must not block */
    return 0;
}

static int spawn(struct vmm *vm, const struct vmm_config *c, const struct preparation *p, struct err *err)
{
    int fds[QEMU_FD_PORTS - CHILD_FIRST_FD + VMM_MAX_PORTS];
    size_t count = 0;
    fds[count++] = p->qmp_theirs;
    fds[count++] = c->console_fd;
    cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    fds[count++] = p->overlay >= 0 ? p->overlay : null_fd;
    fds[count++] = p->state >= 0 ? p->state : null_fd;
    fds[count++] = c->window_size ? c->window_fd : null_fd;
    for (unsigned i = 0; i < c->port_count; i++)
        fds[count++] = c->ports[i].fd;
    const struct child_spec spec = {.argv = p->argv.words, .fds = fds, .fd_count = count, .stdout_fd = p->stderr_theirs,
                                    .stderr_fd = p->stderr_theirs};
    return child_start(&spec, &vm->pid, &vm->pidfd, err);
}

static int watch_everything(struct vmm *vm, struct preparation *p, struct err *err)
{
    vm->stderr_fd = steal_fd(&p->stderr_ours);
    vm->qmp = qmp_new(vm->loop, p->qmp_ours, &qmp_ops, vm);
    if (vm->qmp)
        p->qmp_ours = -1;
    vm->end_watch = loop_watch(vm->loop, vm->pidfd, EPOLLIN, process_ended, vm);
    vm->stderr_watch = loop_watch(vm->loop, vm->stderr_fd, EPOLLIN, stderr_ready, vm);
    if (!vm->qmp || !vm->end_watch || !vm->stderr_watch)
        return err_errno(err, errno, "start qemu: watch it");
    return 0;
}

static int open_load(struct vmm *vm, const struct vmm_load *load, struct preparation *p, struct err *err)
{
    if (!load)
        return 0;
    p->state = open(load->state, O_RDONLY | O_CLOEXEC);
    if (p->state < 0)
        return err_errno(err, errno, "load the device state %s", load->state);
    vm->ram_base = open(load->ram, O_RDONLY | O_CLOEXEC);
    return vm->ram_base < 0 ? err_errno(err, errno, "load the memory %s", load->ram) : 0;
}

static int prepare(struct vmm *vm, const struct qemu_plan *plan, struct preparation *p, struct err *err)
{
    const struct vmm_config *c = plan->config;
    int rc = qemu_args(plan, &p->argv, err);
    if (rc == 0)
        rc = make_connections(p, err);
    if (rc == 0)
        rc = open_load(vm, c->load, p, err);
    if (rc == 0 && c->root_disk && c->root_mode == VMM_ROOT_COW && !(vm->disk = strdup(c->overlay)))
        rc = err_set(err, ENOMEM, "start qemu: out of memory");
    return rc == 0 ? qemu_overlay_create(plan->config, &p->overlay, err) : rc;
}

static int launch(struct loop *loop, const struct qemu_plan *plan, struct vmm *vm, struct err *err)
{
    struct preparation p = {.qmp_ours = -1, .qmp_theirs = -1, .stderr_ours = -1, .stderr_theirs = -1, .overlay = -1,
                            .state = -1};
    const struct vmm_config *c = plan->config;
    vm->loop = loop;
    vm->log_fd = c->log_fd;
    remember_settings(vm, plan);
    int rc = prepare(vm, plan, &p, err);
    bool overlay_made = rc == 0 && vm->disk;
    if (rc == 0)
        rc = spawn(vm, c, &p, err);
    if (rc == 0)
        rc = watch_everything(vm, &p, err);
    if (rc < 0 && overlay_made)
        unlink(c->overlay);
    preparation_free(&p);
    return rc;
}

static void close_given_fds(const struct vmm_config *c)
{
    close(c->console_fd);
    for (unsigned i = 0; i < c->port_count; i++)
        close(c->ports[i].fd);
}

static int plan_and_launch(struct loop *loop, const struct vmm_config *c, struct vmm *vm, struct err *err)
{
    const struct qemu_arch *arch = qemu_arch_find(c->arch);
    if (!arch)
        return err_set(err, ENOEXEC, "start qemu: guests of this architecture are not supported");
    int rc = qemu_check_load(c, err);
    if (rc < 0)
        return rc;
    cleanup_free char *binary = qemu_binary(c, arch, err);
    if (!binary)
        return -err->code;
    bool kvm = qemu_choose_kvm(c, arch);
    const struct qemu_plan plan = {.config = c, .arch = arch, .binary = binary, .kvm = kvm,
                                   .tsc_khz = kvm || c->load ? 0 : known_tsc_khz()};
    return launch(loop, &plan, vm, err);
}

static int qemu_start(struct loop *loop, const struct vmm_config *c, const struct vmm_events *events, void *data,
                      struct vmm **out, struct err *err)
{
    struct vmm *vm = calloc(1, sizeof *vm);
    int rc = vm ? 0 : err_set(err, ENOMEM, "start qemu: out of memory");
    if (vm) {
        *vm = (struct vmm){.events = events, .data = data, .pid = -1, .pidfd = -1, .stderr_fd = -1, .log_fd = -1,
                           .ram_base = -1};
        rc = plan_and_launch(loop, c, vm, err);
    }
    close_given_fds(c);
    if (rc < 0) {
        qemu_free(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

static void operation_done(void *data, int code, const char *sentence, struct json_object *result)
{
    struct operation *op = data;
    struct operation finished = *op;
    (void)result;
    for (struct operation **at = &op->vm->operations; *at; at = &(*at)->next) {
        if (*at == op) {
            *at = op->next;
            break;
        }
    }
    free(op);
    finished.done(finished.data, code, sentence);
}

static void send_operation(struct operation *op)
{
    op->sent = true;
    int rc = qmp_execute(op->vm->qmp, op->command, NULL, operation_done, op);
    if (rc < 0)
        operation_done(op, -rc, rc == -EPIPE ? "qemu has ended" : strerror(-rc), NULL);
}

static struct operation *operate(struct vmm *vm, const char *command, vmm_done_fn *done, void *data)
{
    struct operation *op = malloc(sizeof *op);
    if (!op) {
        done(data, ENOMEM, "out of memory");
        return NULL;
    }
    *op = (struct operation){.next = vm->operations, .vm = vm, .command = command, .done = done, .data = data};
    vm->operations = op;
    return op;
}

static void qemu_pause(struct vmm *vm, vmm_done_fn *done, void *data)
{
    struct operation *op = operate(vm, "stop", done, data);
    vm->pause_requested = true;
    if (op)
        send_operation(op);
}

static void qemu_resume(struct vmm *vm, vmm_done_fn *done, void *data)
{
    struct operation *op = operate(vm, "cont", done, data);
    vm->pause_requested = false;
    if (op && !qemu_save_holds_guest(vm))
        send_operation(op);
}

void qemu_send_kept_back(struct vmm *vm)
{
    for (struct operation *op = vm->operations, *next; op; op = next) {
        next = op->next;
        if (!op->sent)
            send_operation(op);
    }
}

static void grace_over(void *data)
{
    struct vmm *vm = data;
    vm->kill_timer = NULL;
    kill_now(vm);
}

static void qemu_stop(struct vmm *vm, unsigned grace_ms)
{
    vm->stop_requested = true;
    timer_cancel(vm->kill_timer);
    vm->kill_timer = NULL;
    if (vm->pid < 0)
        return;
    int rc = qmp_execute(vm->qmp, "quit", NULL, NULL, NULL);
    if (rc == 0 && grace_ms)
        vm->kill_timer = loop_timer(vm->loop, grace_ms, grace_over, vm);
    if (!vm->kill_timer)
        kill_now(vm);
}

static pid_t qemu_pid(const struct vmm *vm)
{
    return vm->pid;
}

static const char *qemu_describe(const struct vmm *vm)
{
    struct vmm *mutable = (struct vmm *)vm; /* the text is a cache, not state */
    snprintf(mutable->description, sizeof mutable->description, "backend qemu\n%smachine %s\nvmm_version %s\n",
             vm->settings, vm->machine, *vm->version ? vm->version : "-");
    return vm->description;
}

const struct vmm_backend vmm_qemu = {
    .name = "qemu",
    .capabilities = VMM_CAN_PAUSE | VMM_CAN_SAVE | VMM_CAN_QCOW2 | VMM_CAN_PORTS |
                    VMM_CAN_WINDOW,
    .probe = qemu_probe,
    .check = qemu_check,
    .check_foreign = qemu_check_foreign,
    .start = qemu_start,
    .pause = qemu_pause,
    .resume = qemu_resume,
    .save = qemu_save,
    .proceed = qemu_save_proceed,
    .shape = qemu_shape,
    .kernel_options = qemu_boot_options,
    .stop = qemu_stop,
    .pid = qemu_pid,
    .describe = qemu_describe,
    .free_vm = qemu_free,
};
