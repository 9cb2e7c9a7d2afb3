/* SPDX-License-Identifier: Apache-2.0 */
/* Saving a machine that goes on afterwards. Memory is not sent through QEMU, which would copy all of it: QEMU writes the
 * state of the devices only (xen-save-devices-state, which is not Xen's alone), and what the guest has written to its
 * memory is read from outside while it stands still. */
#include "config.h"

#include "vmm/qemu_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "vmm/pages.h"
#include "vmm/qcow2.h"
#include "vmm/sparse.h"
#include "vmm/worker.h"

/* Room that the device state surely fits into: it has some 200 KB. */
enum { STATE_ROOM = 4 * 1024 * 1024, MAX_ATTEMPTS = 5 };

enum step {
    STEP_PREPARE, /* worker: the overlay, and a copy of what memory was loaded from */
    STEP_ADD_NODE,
    STEP_LOCATE, /* the guest's memory in QEMU's address space */
    STEP_COPY_RUNNING, /* worker: memory, so that little is new in the file when it is copied again */
    STEP_QUIET, /* the caller's: nothing is to be under way to or from the guest */
    STEP_STOP,
    STEP_STATE,
    STEP_COPY, /* worker: memory; most of it is as it was, and cheap to write again */
    STEP_STATE_AGAIN,
    STEP_COMPARE,
    STEP_SWITCH, /* the disk: last, because it is the one thing that cannot be undone */
    STEP_CONTINUE,
    STEP_SYNC, /* worker */
    STEP_DONE,
};

static const char *const doing[] = {
    [STEP_PREPARE] = "prepare the copy",       [STEP_ADD_NODE] = "open the new overlay",
    [STEP_LOCATE] = "find the guest's memory", [STEP_COPY_RUNNING] = "copy the guest's memory",
    [STEP_QUIET] = "wait for the guest to be quiet", [STEP_STOP] = "stop the guest",
    [STEP_STATE] = "write the device state",   [STEP_COPY] = "copy the guest's memory",
    [STEP_STATE_AGAIN] = "write the device state",
    [STEP_COMPARE] = "compare the device states", [STEP_SWITCH] = "switch the disk",
    [STEP_CONTINUE] = "let the guest go on",   [STEP_SYNC] = "sync to disk",
};

/* What the worker needs; it owns this while it works. */
struct work {
    struct qemu_save *save; /* for the loop's thread only */
    int (*run)(struct work *work);
    int ram, state, overlay, disk, base; /* -1: none */
    char *backing;
    struct pages_source source;
    uint64_t base_copied, copied; /* bytes written to `ram` */
    const char *method;
    atomic_bool cancel;
    struct err err;
};

struct qemu_save {
    struct vmm *vm;
    enum step step;
    bool disk_only, cached, stopped, node_added, switched;
    bool quiet; /* the caller has been told of STEP_QUIET, and not yet that the guest goes on */
    void (*stopping)(void *data);
    void (*went_on)(void *data);
    char *ram, *state, *state_again, *overlay; /* paths; NULL once they are not to be removed */
    struct work *work;
    struct worker *worker; /* NULL while none works */
    unsigned attempts;
    uint64_t begin_us, pause_begin_us, pause_end_us;
    struct err err;
    vmm_saved_fn *done;
    void *data;
};

static void advance(struct qemu_save *s);
static void fail(struct qemu_save *s, int code, const char *sentence);

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void qemu_disk_node(unsigned number, char name[static QEMU_NODE_NAME_MAX])
{
    snprintf(name, QEMU_NODE_NAME_MAX, number ? "root%u" : "root", number);
}

/* In the worker's thread. */

static int prepare(struct work *w)
{
    uint64_t size;
    int rc = qcow2_size(w->disk, &size, &w->err);
    if (rc == 0)
        rc = qcow2_create_overlay(w->overlay, w->backing, size, &w->err);
    if (rc < 0 || w->ram < 0)
        return rc;
    struct sparse_report report = {.reflinked = false};
    if (w->base >= 0)
        rc = sparse_copy(w->base, w->ram, &w->cancel, &report);
    else if (ftruncate(w->ram, (off_t)w->source.size) < 0)
        rc = -errno;
    w->base_copied = report.copied;
    w->method = report.reflinked ? "reflink" : "sparse copy";
    return rc < 0 ? err_errno(&w->err, -rc, "copy the memory the machine was loaded from") : 0;
}

static int copy_memory(struct work *w)
{
    int rc = pages_dump(&w->source, w->ram, &w->cancel, &w->copied, &w->err);
    w->source.over_base = true; /* next time, what has become zero has to be written too */
    return rc;
}

static int sync_files(struct work *w)
{
    const int fds[] = {w->ram, w->state, w->disk};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0 && fdatasync(fds[i]) < 0)
            return err_errno(&w->err, errno, "fdatasync");
    }
    return 0;
}

static void run_work(void *data)
{
    struct work *w = data;
    w->err.code = 0;
    w->run(w);
}

static void work_free(void *data)
{
    struct work *w = data;
    const int fds[] = {w->ram, w->state, w->overlay, w->disk, w->base};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(w->backing);
    free(w);
}

/* In the loop's thread, from here on. */

static void work_done(void *data)
{
    struct work *w = data;
    struct qemu_save *s = w->save;
    s->worker = NULL;
    if (w->err.code)
        fail(s, w->err.code, w->err.text);
    else
        advance(s);
}

static const struct worker_ops worker_ops = {.work = run_work, .done = work_done, .release = work_free};

static void start_work(struct qemu_save *s, int (*run)(struct work *work))
{
    s->work->run = run;
    s->worker = worker_start(s->vm->loop, &worker_ops, s->work);
    if (!s->worker)
        fail(s, errno, strerror(errno));
}

static void replied(void *data, int code, const char *sentence, struct json_object *result)
{
    struct qemu_save *s = data;
    (void)result;
    if (code)
        fail(s, code, sentence);
    else
        advance(s);
}

static void execute(struct qemu_save *s, const char *command, struct json_object *arguments, qmp_reply_fn *reply)
{
    int rc = qmp_execute(s->vm->qmp, command, arguments, reply, s);
    if (rc < 0)
        fail(s, -rc, rc == -EPIPE ? "qemu has ended" : strerror(-rc));
}

static struct json_object *argument(struct json_object *arguments, const char *name, const char *value)
{
    if (!arguments)
        arguments = json_object_new_object();
    json_object_object_add(arguments, name, json_object_new_string(value));
    return arguments;
}

static void add_node(struct qemu_save *s)
{
    char name[QEMU_NODE_NAME_MAX];
    qemu_disk_node(s->vm->disk_number + 1, name);
    struct json_object *options = qemu_disk_node_options(s->overlay, name, true);
    json_object_object_add(options, "backing", NULL); /* blockdev-snapshot puts it in */
    execute(s, "blockdev-add", options, replied);
}

/* "Host virtual address for 0x0 (pc.ram) is 0x7f00d3e00000": there is no other way to learn it. That memory is there is
 * checked before it is read. */
static void located(void *data, int code, const char *sentence, struct json_object *result)
{
    struct qemu_save *s = data;
    const char *text = code ? NULL : json_object_get_string(result);
    const char *is = text ? strstr(text, ") is 0x") : NULL;
    if (code) {
        fail(s, code, sentence);
    } else if (!is) {
        fail(s, EPROTO, "qemu does not tell where it is");
    } else {
        s->work->source = (struct pages_source){.pid = s->vm->pid, .address = strtoull(is + 5, NULL, 16),
                                                .size = s->vm->memory, .over_base = s->vm->ram_base >= 0};
        advance(s);
    }
}

static void locate(struct qemu_save *s)
{
    char command[64];
    snprintf(command, sizeof command, "gpa2hva 0x%" PRIx64, s->vm->ram_address);
    execute(s, "human-monitor-command", argument(NULL, "command-line", command), located);
}

static void stop_guest(struct qemu_save *s)
{
    if (s->vm->pause_requested) {
        advance(s);
        return;
    }
    s->stopped = true;
    s->pause_begin_us = now_us();
    execute(s, "stop", NULL, replied);
}

static void write_state(struct qemu_save *s, const char *path)
{
    struct json_object *arguments = argument(NULL, "filename", path);
    json_object_object_add(arguments, "live", json_object_new_boolean(false)); /* else it lets go of the disks */
    execute(s, "xen-save-devices-state", arguments, replied);
}

static bool same_content(const char *a, const char *b)
{
    cleanup_fclose FILE *first = fopen(a, "re");
    cleanup_fclose FILE *second = fopen(b, "re");
    char ours[8192], theirs[8192];
    size_t n = 0;
    if (!first || !second)
        return false;
    do {
        n = fread(ours, 1, sizeof ours, first);
        if (fread(theirs, 1, sizeof theirs, second) != n || memcmp(ours, theirs, n) != 0)
            return false;
    } while (n);
    return true;
}

/* Bytes that arrive on a port are put into the memory even of a guest that stands still. If that happened between the
 * two device states, neither fits the memory that was copied in the meantime: again, then. With KVM the state may differ
 * for other reasons (its clocks), so that is not held against it for ever. */
static void compare_states(struct qemu_save *s)
{
    bool same = same_content(s->state, s->state_again);
    if (!same && ++s->attempts == MAX_ATTEMPTS && !s->vm->kvm) {
        fail(s, EAGAIN, "bytes for the guest kept arriving; try again when less is going on");
    } else if (same || s->attempts == MAX_ATTEMPTS) {
        unlink(s->state_again);
        advance(s);
    } else if (rename(s->state_again, s->state) < 0) {
        fail(s, errno, strerror(errno));
    } else {
        s->step = STEP_STATE;
        advance(s);
    }
}

static void disk_switched(void *data, int code, const char *sentence, struct json_object *result)
{
    struct qemu_save *s = data;
    if (!code) {
        s->switched = true;
        s->vm->disk_number++;
        if (s->disk_only) {
            s->pause_end_us = now_us();
            if (s->went_on)
                s->went_on(s->data);
        }
    }
    replied(s, code, sentence, result);
}

static void switch_disk(struct qemu_save *s)
{
    char node[QEMU_NODE_NAME_MAX], overlay[QEMU_NODE_NAME_MAX];
    qemu_disk_node(s->vm->disk_number, node);
    qemu_disk_node(s->vm->disk_number + 1, overlay);
    if (s->disk_only)
        s->pause_begin_us = now_us();
    execute(s, "blockdev-snapshot", argument(argument(NULL, "node", node), "overlay", overlay), disk_switched);
}

static void tell_going_on(struct qemu_save *s)
{
    bool quiet = s->quiet;
    s->quiet = false;
    if (quiet && s->went_on)
        s->went_on(s->data);
}

static void continued(void *data, int code, const char *sentence, struct json_object *result)
{
    struct qemu_save *s = data;
    s->stopped = false;
    s->pause_end_us = now_us();
    tell_going_on(s);
    replied(s, code, sentence, result);
}

static void let_go_on(struct qemu_save *s)
{
    if (s->stopped && !s->vm->pause_requested) {
        execute(s, "cont", NULL, continued);
        return;
    }
    s->pause_end_us = now_us();
    tell_going_on(s);
    advance(s);
}

static void wait_for_quiet(struct qemu_save *s)
{
    s->quiet = s->stopping != NULL;
    if (s->quiet)
        s->stopping(s->data);
    else
        advance(s);
}

void qemu_save_proceed(struct vmm *vm, int code, const char *sentence)
{
    struct qemu_save *s = vm->save;
    if (!s || s->step != STEP_QUIET || s->err.code)
        return;
    if (code)
        fail(s, code, sentence);
    else
        advance(s);
}

static void start_sync(struct qemu_save *s)
{
    if (s->cached) {
        advance(s);
        return;
    }
    s->work->state = s->state ? open(s->state, O_RDONLY | O_CLOEXEC) : -1;
    if (s->state && s->work->state < 0)
        fail(s, errno, strerror(errno));
    else
        start_work(s, sync_files);
}

static void take_step(struct qemu_save *s)
{
    switch (s->step) {
    case STEP_PREPARE:
        start_work(s, prepare);
        break;
    case STEP_ADD_NODE:
        add_node(s);
        break;
    case STEP_LOCATE:
        s->node_added = true;
        locate(s);
        break;
    case STEP_QUIET:
        wait_for_quiet(s);
        break;
    case STEP_STOP:
        stop_guest(s);
        break;
    case STEP_STATE:
        write_state(s, s->state);
        break;
    case STEP_COPY_RUNNING:
    case STEP_COPY:
        start_work(s, copy_memory);
        break;
    case STEP_STATE_AGAIN:
        write_state(s, s->state_again);
        break;
    case STEP_COMPARE:
        compare_states(s);
        break;
    case STEP_SWITCH:
        s->node_added = true;
        switch_disk(s);
        break;
    case STEP_CONTINUE:
        let_go_on(s);
        break;
    case STEP_SYNC:
        start_sync(s);
        break;
    case STEP_DONE:
        break;
    }
}

static void save_free(struct qemu_save *s)
{
    if (s->worker) {
        atomic_store(&s->work->cancel, true);
        worker_abandon(s->worker); /* frees the work */
    } else if (s->work) {
        work_free(s->work);
    }
    char *const paths[] = {s->ram, s->state, s->state_again, s->overlay};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        free(paths[i]);
    free(s);
}

static void remove_file(char **path)
{
    if (*path)
        unlink(*path);
    free(*path);
    *path = NULL;
}

static void remove_files(struct qemu_save *s)
{
    remove_file(&s->ram);
    remove_file(&s->state);
    remove_file(&s->state_again);
    if (!s->switched)
        remove_file(&s->overlay);
}

/* The callee of `done` may free the machine, so nothing is touched after it. */
static void finish(struct qemu_save *s)
{
    struct vmm *vm = s->vm;
    struct vmm_save_report report = {.pause_us = s->pause_begin_us ? s->pause_end_us - s->pause_begin_us : 0,
                                     .total_us = now_us() - s->begin_us, .method = "sparse copy"};
    if (s->work) {
        report.ram_bytes = s->work->base_copied + s->work->copied;
        report.method = s->work->method ? s->work->method : report.method;
    }
    if (s->err.code)
        remove_files(s);
    if (s->switched) {
        report.disk = vm->disk;
        vm->disk = steal_pointer(&s->overlay);
    }
    tell_going_on(s);
    struct err err = s->err;
    vmm_saved_fn *done = s->done;
    void *data = s->data;
    bool reported = s->switched;
    vm->save = NULL;
    save_free(s);
    if (vm->pid >= 0)
        qemu_send_kept_back(vm);
    done(data, err.code, err.code ? err.text : "", reported ? &report : NULL);
}

static void advance(struct qemu_save *s)
{
    do
        s->step++;
    while (s->disk_only && ((s->step >= STEP_LOCATE && s->step < STEP_SWITCH) || s->step == STEP_CONTINUE));
    if (s->step == STEP_DONE)
        finish(s);
    else
        take_step(s);
}

static void gave_up(void *data, int code, const char *sentence, struct json_object *result)
{
    struct qemu_save *s = data;
    (void)code;
    (void)sentence;
    (void)result;
    finish(s);
}

static bool is_full(const char *path)
{
    struct statvfs fs;
    return path && statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < STATE_ROOM;
}

/* QEMU does not tell why it could not write. */
static void remember_failure(struct qemu_save *s, int code, const char *sentence)
{
    bool by_qemu = s->step == STEP_STATE || s->step == STEP_STATE_AGAIN || s->step == STEP_ADD_NODE;
    if (code == EIO && by_qemu && is_full(s->state ? s->state : s->overlay))
        err_set(&s->err, ENOSPC, "%s: %s", doing[s->step], strerror(ENOSPC));
    else
        err_set(&s->err, code, "%s: %s", doing[s->step], sentence);
}

static void fail(struct qemu_save *s, int code, const char *sentence)
{
    struct vmm *vm = s->vm;
    remember_failure(s, code, sentence);
    if (s->node_added && !s->switched) {
        char name[QEMU_NODE_NAME_MAX];
        qemu_disk_node(vm->disk_number + 1, name);
        qmp_execute(vm->qmp, "blockdev-del", argument(NULL, "node-name", name), NULL, NULL);
    }
    bool go_on = s->stopped && !vm->pause_requested && s->step != STEP_CONTINUE;
    if (!go_on || qmp_execute(vm->qmp, "cont", NULL, gave_up, s) < 0)
        finish(s);
}

static int make_file(char **path, const char *name, int *fd, struct err *err)
{
    *fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_errno(err, errno, "make %s", name);
    *path = strdup(name); /* from now on it is removed on failure */
    if (*path)
        return 0;
    unlink(name);
    return err_set(err, ENOMEM, "save: out of memory");
}

static int make_files(struct qemu_save *s, const struct vmm_save *save, struct err *err)
{
    struct work *w = s->work;
    cleanup_free char *relative =
        save->backing ? strdup(save->backing) : qcow2_relative_name(save->overlay, s->vm->disk);
    if (!relative || (w->disk = open(s->vm->disk, O_RDONLY | O_CLOEXEC)) < 0)
        return err_errno(err, errno, "open the guest's disk %s", s->vm->disk);
    w->backing = steal_pointer(&relative);
    int rc = make_file(&s->overlay, save->overlay, &w->overlay, err);
    if (rc < 0 || s->disk_only)
        return rc;
    rc = make_file(&s->ram, save->ram, &w->ram, err);
    if (rc == 0)
        rc = make_file(&s->state, save->state, &w->state, err);
    if (rc < 0)
        return rc;
    close(steal_fd(&w->state)); /* opened again when QEMU has written it */
    if (s->vm->ram_base >= 0 && (w->base = fcntl(s->vm->ram_base, F_DUPFD_CLOEXEC, 0)) < 0)
        return err_errno(err, errno, "save");
    if (asprintf(&s->state_again, "%s.again", s->state) < 0) {
        s->state_again = NULL;
        return err_set(err, ENOMEM, "save: out of memory");
    }
    return 0;
}

static int check_savable(const struct vmm *vm, struct err *err)
{
    if (vm->save)
        return err_set(err, EBUSY, "a checkpoint of this machine is being taken already");
    if (vm->pid < 0)
        return err_set(err, EPIPE, "qemu has ended");
    if (!vm->disk)
        return err_set(err, EOPNOTSUPP, "only a machine whose root disk is a throw-away overlay file can be saved; start "
                       "it with --root-mode cow");
    return 0;
}

void qemu_save(struct vmm *vm, const struct vmm_save *save, bool disk_only, vmm_saved_fn *done, void *data)
{
    struct err err = {.code = 0};
    struct qemu_save *s = NULL;
    if (check_savable(vm, &err) == 0) {
        s = calloc(1, sizeof *s);
        struct work *work = s ? calloc(1, sizeof *work) : NULL;
        if (!work) {
            free(s);
            done(data, ENOMEM, "save: out of memory", NULL);
            return;
        }
        *work = (struct work){.save = s, .ram = -1, .state = -1, .overlay = -1, .disk = -1, .base = -1};
        work->source.size = vm->memory;
        *s = (struct qemu_save){.vm = vm, .work = work, .disk_only = disk_only, .cached = save->cached, .begin_us = now_us(),
                                .stopping = save->stopping, .went_on = save->went_on, .done = done, .data = data};
        make_files(s, save, &err);
    }
    if (!err.code) {
        vm->save = s;
        take_step(s);
        return;
    }
    if (s) {
        remove_files(s);
        save_free(s);
    }
    done(data, err.code, err.text, NULL);
}

bool qemu_save_holds_guest(const struct vmm *vm)
{
    return vm->save && !vm->save->disk_only && vm->save->step < STEP_CONTINUE;
}

void qemu_save_ended(struct vmm *vm)
{
    struct qemu_save *s = vm->save;
    if (!s || s->step == STEP_SYNC) /* all that is left to do then needs no machine */
        return;
    err_set(&s->err, EPIPE, "qemu ended before the checkpoint was complete");
    finish(s);
}

void qemu_save_drop(struct vmm *vm)
{
    struct qemu_save *s = vm->save;
    if (!s)
        return;
    vm->save = NULL;
    remove_files(s);
    save_free(s);
}
