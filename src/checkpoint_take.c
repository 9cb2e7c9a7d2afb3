/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a checkpoint of the running machine:
 *
 *   full: the monitor copies most of the memory while the guest runs, then asks for quiet. Quiet is: no file request is
 *   unanswered (fs/pump), the agent has said all it had to say, and nobody in the guest runs (guest/standstill). The monitor
 *   stops the machine, saves it, switches its disk, lets it go on; from then on everything goes on.
 *
 *   disk: the guest's file systems are frozen for the instant of the switch.
 *
 * Then, in a thread, it is published (src/checkpoint_files.c). What the disk was until the switch stays below the machine's
 * disk in any case; if the checkpoint fails after that, it becomes a layer of the next one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "src/proto.h"
#include "src/supervisor_internal.h"
#include "src/taking.h"
#include "vmm/program.h"
#include "vmm/worker.h"

enum { QUIET_LIMIT_MS = 5000, FREEZE_LIMIT_MS = 10000 };

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static const char *subject(const struct taking *t)
{
    return t->name ? t->name : "template";
}

static void taking_free(struct taking *t)
{
    checkpoint_manifest_free(&t->manifest);
    job_records_free(&t->records);
    json_object_put(t->mounts);
    if (t->mounts_fd >= 0)
        close(t->mounts_fd);
    if (t->template_disk >= 0)
        close(t->template_disk);
    names_free(&t->disks);
    store_work_end(&t->work);
    char *strings[] = {t->name, t->overlay, t->bottom, t->root, t->key};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    free(t);
}

/* ---- the answer ---- */

static void tell_event(const struct taking *t, const char *why)
{
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "name", json_object_new_string(t->name));
    json_object_object_add(event, "kind", json_object_new_string(t->disk_only ? "disk" : "full"));
    if (why)
        json_object_object_add(event, "failed", json_object_new_string(why));
    else
        json_object_object_add(event, "pause_us", json_object_new_uint64(t->pause_us));
    supervisor_event(t->s, "checkpoint", event);
}

static void answer(struct taking *t)
{
    struct control_request *request = t->request;
    t->request = NULL;
    if (!request)
        return;
    if (t->err.code) {
        control_reply_error(request, t->err.code, "checkpoint %s: %s", subject(t), t->err.text);
    } else if (t->request_len) {
        control_reply_written(request, t->request_len);
    } else {
        checkpoints_dir_refresh(t->s);
        struct control_node *node = control_find(t->s->checkpoints_dir, t->name);
        if (node)
            control_reply_made(request, node);
        else
            control_reply_error(request, ENOENT, "checkpoint %s: has been removed already", t->name);
    }
}

static void finish(struct taking *t)
{
    struct supervisor *s = t->s;
    timer_cancel(t->limit);
    front_stop_awaiting(s->front, t);
    host_mounts_stop_saving(s->mounts, t);
    if (t->err.code)
        supervisor_log(s, "checkpoint %s: %s", subject(t), t->err.text);
    if (t->name)
        tell_event(t, t->err.code ? t->err.text : NULL);
    else
        supervisor_prepared(s);
    answer(t);
    s->taking = NULL;
    operation_done(s, &t->operation);
    taking_free(t);
}

/* What is being published cannot be taken back any more: its answer comes soon, and tells. */
static void interrupted(struct control_request *request, void *data)
{
    struct taking *t = data;
    if (t->publishing)
        return;
    t->request = NULL;
    t->cancelled = true;
    control_reply_error(request, EINTR, "interrupted");
}

/* ---- publishing ---- */

static void published(void *data)
{
    struct taking *t = data;
    if (!t->err.code)
        taking_adopt(t);
    finish(t);
}

static void start_publishing(struct taking *t, const struct vmm_save_report *report)
{
    static const struct worker_ops ops = {.work = taking_publish, .done = published};
    if (t->cancelled)
        err_set(&t->err, ECANCELED, "given up");
    else
        taking_describe(t, report);
    if (!t->err.code) {
        t->publishing = true;
        if (worker_start(t->s->loop, &ops, t))
            return; /* the thread writes t->err now */
        err_errno(&t->err, errno, "thread");
    }
    finish(t);
}

static void thaw(struct taking *t)
{
    t->frozen = false;
    if (t->s->machine && t->s->machine->link)
        agent_link_freeze(t->s->machine->link, false);
}

/* The disk may have been switched although the rest failed. */
static void take_over_disks(struct taking *t, const struct vmm_save_report *report)
{
    struct disks *disks = &t->s->machine->disks;
    names_add(&disks->frozen, report->disk);
    free(report->disk);
    free(disks->active);
    disks->active = t->overlay;
    t->overlay = NULL;
}

static void saved(void *data, int code, const char *sentence, const struct vmm_save_report *report)
{
    struct taking *t = data;
    timer_cancel(t->limit);
    t->limit = NULL;
    if (t->frozen)
        thaw(t);
    if (report)
        take_over_disks(t, report);
    if (code) {
        err_set(&t->err, code, "%s", sentence);
        finish(t);
        return;
    }
    start_publishing(t, report);
}

/* ---- quiet ---- */

static void give_up_quiet(struct taking *t, int code, const char *sentence)
{
    timer_cancel(t->limit);
    t->limit = NULL;
    t->s->backend->proceed(t->s->machine->vm, code, sentence);
}

static void not_quiet(void *data)
{
    struct taking *t = data;
    t->limit = NULL;
    host_mounts_stop_saving(t->s->mounts, t);
    give_up_quiet(t, ETIMEDOUT, "a file operation or the agent takes too long; try again when less is going on");
}

static void mounts_saved(void *data, int fd)
{
    struct taking *t = data;
    t->mounts_fd = fd;
    t->mounts = fd >= 0 ? host_mounts_describe(t->s->mounts) : NULL;
    if (jobs_record(t->s->jobs, &t->records) < 0)
        give_up_quiet(t, ENOMEM, "out of memory");
    else
        give_up_quiet(t, t->cancelled ? ECANCELED : 0, "given up");
}

static void all_quiet(void *data)
{
    struct taking *t = data;
    t->quiet_us = now_us();
    host_mounts_save(t->s->mounts, mounts_saved, t);
}

void checkpoint_guest_quiet(struct supervisor *s, uint64_t notices, int code)
{
    if (s->taking && code)
        give_up_quiet(s->taking, code, "the guest cannot keep its programs from running");
    else if (s->taking)
        front_await_notices(s->front, notices, all_quiet, s->taking);
}

static void files_quiet(void *data)
{
    struct taking *t = data;
    agent_link_quiesce(t->s->machine->link);
}

static void stopping(void *data)
{
    struct taking *t = data;
    t->limit = loop_timer(t->s->loop, QUIET_LIMIT_MS, not_quiet, t);
    pump_quiesce(front_pump(t->s->front), files_quiet, t);
}

static void went_on(void *data)
{
    struct taking *t = data;
    struct machine *m = t->s->machine;
    timer_cancel(t->limit);
    t->limit = NULL;
    t->pause_us = t->quiet_us ? now_us() - t->quiet_us : 0;
    if (t->disk_only) {
        thaw(t);
        return;
    }
    if (m->link)
        agent_link_go_on(m->link);
    pump_go_on(front_pump(t->s->front));
    if (!t->name)
        supervisor_prepared(t->s);
}

/* ---- the beginning ---- */

static void save(struct taking *t)
{
    struct machine *m = t->s->machine;
    cleanup_free char *ram = files_format("%s/" CHECKPOINT_RAM, t->work.path);
    cleanup_free char *state = files_format("%s/" CHECKPOINT_STATE, t->work.path);
    t->overlay = machine_new_overlay(t->s);
    const struct vmm_save save = {.ram = t->disk_only ? NULL : ram, .state = t->disk_only ? NULL : state,
                                  .overlay = t->overlay, .backing = CHECKPOINT_DISK, /* replaced when it has its place */
                                  .cached = !t->name,
                                  .stopping = stopping, .went_on = went_on};
    if (ram && state && t->overlay)
        m->backend->save(m->vm, &save, t->disk_only, saved, t);
    else
        saved(t, ENOMEM, "out of memory", NULL);
}

static void not_frozen(void *data)
{
    struct taking *t = data;
    t->limit = NULL;
    t->freezing = false;
    if (t->asked)
        thaw(t);
    err_set(&t->err, ETIMEDOUT, "the guest does not freeze its file systems");
    finish(t);
}

/* Not while the guest still has to answer somebody before us: that answer would be taken for ours. */
static void ask_to_freeze(struct taking *t)
{
    struct agent_link *link = t->s->machine->link;
    t->asked = !agent_link_freezing(link);
    if (t->asked)
        agent_link_freeze(link, true);
}

void checkpoint_guest_frozen(struct supervisor *s, int code)
{
    struct taking *t = s->taking;
    if (!t || !t->freezing)
        return; /* what was thawed */
    if (!t->asked) {
        ask_to_freeze(t);
        return;
    }
    t->freezing = false;
    timer_cancel(t->limit);
    t->limit = NULL;
    t->frozen = code == 0;
    t->quiet_us = now_us();
    if (code) {
        err_errno(&t->err, code, "freeze the file systems of the guest");
        finish(t);
    } else {
        save(t);
    }
}

static void freeze(struct taking *t)
{
    t->freezing = true;
    t->limit = loop_timer(t->s->loop, FREEZE_LIMIT_MS, not_frozen, t);
    ask_to_freeze(t);
}

static int check_savable(const struct taking *t, struct err *err)
{
    const struct supervisor *s = t->s;
    const struct machine *m = s->machine;
    if (t->cancelled)
        return err_set(err, ECANCELED, "given up");
    if (!m || !m->vm || !agent_link_ready(m->link) || s->state == STATE_STOPPING)
        return err_set(err, s->state < STATE_STOPPING ? EAGAIN : ENOTCONN, "the sandbox is %s",
                       supervisor_state_name(s->state));
    if (!(s->backend->capabilities & VMM_CAN_SAVE))
        return err_set(err, EOPNOTSUPP, "the %s backend cannot save machines", s->backend->name);
    if (!m->disks.active)
        return err_set(err, EOPNOTSUPP, "its root disk is not a throw-away overlay file; mount with --root-mode cow");
    if (t->name && checkpoint_exists(s->store, t->name))
        return err_set(err, EEXIST, "there is one already");
    return m->disks.root_disk ? checkpoint_check_root_disk(m->disks.root_disk, m->disks.root_disk_state, err) : 0;
}

/* A chain that is as long as it may be is merged. */
static int check_disks(struct taking *t, struct err *err)
{
    const struct disks *disks = &t->s->machine->disks;
    unsigned below = 0;
    int rc = disks->base.directory ? checkpoint_count_disks(t->s->store, &disks->base, &below, err) : 0;
    if (rc < 0 || below + disks->frozen.count < CHECKPOINT_DISKS_MAX)
        return rc;
    t->merge = true;
    cleanup_free char *tool = program_find("qemu-img");
    return tool ? 0 : err_set(err, ENOENT, "what it lies on%s%s has %zu disks, of which qemu-img makes one, and that was not "
                              "found; install it: apt-get install qemu-utils", disks->base.name ? ", the checkpoint " : "",
                              disks->base.name ? disks->base.name : "", below + disks->frozen.count);
}

static int make_directory(struct taking *t, struct err *err)
{
    t->work.path = files_format("%s/checkpoint-%u", t->s->work_dir, t->s->overlays);
    if (!t->work.path)
        return err_set(err, ENOMEM, "out of memory");
    files_remove_tree(t->work.path);
    return mkdir(t->work.path, 0700) < 0 ? err_errno(err, errno, "make %s", t->work.path) : 0;
}

static void begin(struct operation *operation)
{
    struct taking *t = (struct taking *)operation;
    t->s->taking = t;
    if (check_savable(t, &t->err) < 0 || check_disks(t, &t->err) < 0 || make_directory(t, &t->err) < 0)
        finish(t);
    else if (t->disk_only)
        freeze(t);
    else
        save(t);
}

void checkpoint_take(struct supervisor *s, const char *name, bool disk_only, struct control_request *request, size_t len)
{
    struct taking *t = calloc(1, sizeof *t);
    if (t)
        *t = (struct taking){.operation.begin = begin, .s = s, .name = strdup(name), .disk_only = disk_only,
                             .request = request, .request_len = len, .work.lock = -1, .mounts_fd = -1,
                             .template_disk = -1};
    if (!t || !t->name) {
        free(t);
        control_reply_error(request, ENOMEM, "checkpoint %s: out of memory", name);
        return;
    }
    control_request_on_interrupt(request, interrupted, t);
    operation_add(s, &t->operation);
}

void checkpoint_take_template(struct supervisor *s)
{
    struct taking *t = calloc(1, sizeof *t);
    if (t)
        *t = (struct taking){.operation.begin = begin, .s = s, .key = strdup(s->template_key), .work.lock = -1,
                             .mounts_fd = -1, .template_disk = -1};
    if (!t || !t->key) {
        free(t);
        supervisor_prepared(s);
        return;
    }
    operation_add(s, &t->operation);
}
