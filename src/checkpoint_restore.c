/* SPDX-License-Identifier: Apache-2.0 */
/* Back to a checkpoint, in place. The machine goes on while a second one is made from the checkpoint; when that one is
 * ready it takes the first one's place: the mount stays, root/ becomes a session with the new guest, jobs are taken up as
 * they were. If it does not become ready nothing has happened. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/files.h"
#include "src/checkpoint_start.h"
#include "src/cleanup.h"
#include "src/supervisor_internal.h"
#include "vmm/worker.h"

enum { READY_LIMIT_MS = 60 * 1000 };

struct restoring {
    struct operation operation;
    struct supervisor *s;
    char *name;
    bool boot, opening, replaced; /* `opening`: the thread works */
    struct control_request *request; /* NULL: nobody waits any more */
    size_t request_len;
    struct timer *limit;
    uint64_t started_ms;

    /* For the thread, which owns this while it works. */
    char *shape;
    struct checkpoint checkpoint;
    struct job_records records;
    struct err err;
};

static void restoring_free(struct restoring *r)
{
    if (r->checkpoint.directory)
        checkpoint_close(&r->checkpoint);
    job_records_free(&r->records);
    free(r->name);
    free(r->shape);
    free(r);
}

static void tell_event(const struct restoring *r)
{
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "name", json_object_new_string(r->name));
    if (r->err.code)
        json_object_object_add(event, "failed", json_object_new_string(r->err.text));
    else
        json_object_object_add(event, "took_ms", json_object_new_uint64(loop_now_ms() - r->started_ms));
    supervisor_event(r->s, "restore", event);
}

static void finish(struct restoring *r)
{
    struct supervisor *s = r->s;
    struct control_request *request = r->request;
    timer_cancel(r->limit);
    r->request = NULL;
    if (r->err.code)
        supervisor_log(s, "restore %s: %s", r->name, r->err.text);
    else
        supervisor_log(s, "restored %s in %llu ms", r->name, (unsigned long long)(loop_now_ms() - r->started_ms));
    tell_event(r);
    if (request && r->err.code)
        control_reply_error(request, r->err.code, "restore %s: %s", r->name, r->err.text);
    else if (request)
        control_reply_written(request, r->request_len);
    s->restoring = NULL;
    operation_done(s, &r->operation);
    restoring_free(r);
}

static void give_up(struct restoring *r, int code, const char *why)
{
    machine_free(r->s->next);
    r->s->next = NULL;
    err_set(&r->err, code, "%s", why);
    finish(r);
}

static void fail(struct restoring *r, int code, const char *why)
{
    struct err err = {0};
    err_set(&err, code, "%s; the sandbox goes on as it was", why);
    give_up(r, code, err.text);
}

/* While the thread works it owns what it works on, and until its turn comes nothing has begun: both look at this. */
static void interrupted(struct control_request *request, void *data)
{
    struct restoring *r = data;
    r->request = NULL;
    control_reply_error(request, EINTR, "interrupted");
    if (r->s->restoring == r && !r->opening && !r->replaced)
        fail(r, ECANCELED, "given up");
}

/* ---- the new machine ---- */

static void not_ready(void *data)
{
    struct restoring *r = data;
    r->limit = NULL;
    if (r->replaced)
        checkpoint_restore_settled(r->s, "bind: the guest takes its time");
    else
        fail(r, ETIMEDOUT, "the guest of the checkpoint does not answer");
}

void checkpoint_restore_failed(struct supervisor *s, const char *why)
{
    fail(s->restoring, EIO, why);
}

/* A thread that is still at work finds out when it is done. */
void checkpoint_restore_ended(struct supervisor *s)
{
    struct restoring *r = s->restoring;
    if (r && r->replaced)
        checkpoint_restore_settled(s, "the sandbox has ended");
    else if (r && !r->opening)
        give_up(r, ENOTCONN, "the sandbox has ended");
}

/* 0, or the -errno for which root/ stays what it was, which is gone. */
static int replace_machine(struct supervisor *s)
{
    struct machine *old = s->machine;
    s->machine = s->next;
    s->next = NULL;
    timer_cancel(s->notices_timer);
    s->notices_timer = NULL;
    timer_cancel(s->gone_timer);
    s->gone_timer = NULL;
    s->goodbye = false;
    s->restores++;
    int rc = front_connect(s->front, s->machine->root_fd, s->machine->window_fd);
    bin_dir_set_link(s->bin, NULL);
    bin_dir_set_link(s->bin, s->machine->link);
    if (rc == 0)
        s->machine->root_fd = -1;
    supervisor_mounts_connect(s);
    machine_free(old);
    supervisor_publish_machine(s);
    return rc;
}

void checkpoint_restore_ready(struct supervisor *s, const struct machine_abilities *abilities)
{
    struct restoring *r = s->restoring;
    struct err err = {0};
    if (s->state != STATE_RUNNING) { /* the machine that is there is shutting down, which is not to be cut short */
        give_up(r, EBUSY, "the sandbox is ending");
        return;
    }
    if (jobs_restore(s->jobs, &r->records, s->next->link, "the sandbox was restored to a time before it", &err) < 0) {
        jobs_set_link(s->jobs, s->machine->link, NULL);
        fail(r, err.code, err.text);
        return;
    }
    int rc = replace_machine(s);
    r->replaced = true;
    if (!supervisor_use_abilities(s, abilities))
        checkpoint_restore_settled(s, rc < 0 ? strerror(-rc) : NULL);
}

void checkpoint_restore_settled(struct supervisor *s, const char *failure)
{
    struct restoring *r = s->restoring;
    if (!r || !r->replaced)
        return;
    if (failure)
        err_set(&r->err, EIO, "%s; the machine has been replaced all the same", failure);
    finish(r);
}

static void start_next(struct restoring *r)
{
    struct supervisor *s = r->s;
    const struct machine_origin origin = {.base = &r->checkpoint, .boot = r->boot};
    s->next = machine_start(s, &origin, &r->err);
    if (!s->next) {
        finish(r);
        return;
    }
    r->limit = loop_timer(s->loop, READY_LIMIT_MS, not_ready, r);
}

/* ---- the checkpoint ---- */

static void open_it(void *data)
{
    struct restoring *r = data;
    const struct supervisor *s = r->s; /* what is used of it never changes */
    if (checkpoint_open(s->store, r->name, false, &r->checkpoint, &r->err) < 0)
        r->checkpoint.directory = NULL;
    else
        checkpoint_read_jobs(&r->checkpoint, r->boot, &r->records, &r->err);
}

static void check_wanted(struct restoring *r)
{
    if (r->s->state != STATE_RUNNING)
        err_set(&r->err, EBUSY, "the sandbox is %s", supervisor_state_name(r->s->state));
    else if (!r->request)
        err_set(&r->err, ECANCELED, "given up");
}

static void opened(void *data)
{
    struct restoring *r = data;
    struct supervisor *s = r->s;
    r->opening = false;
    if (!r->err.code && strcmp(r->checkpoint.manifest.build_id, s->start->image->build_id) != 0)
        err_set(&r->err, EOPNOTSUPP, "it is of another image (%.12s) than this sandbox; gondolin mount --from %s starts one "
                "from it", r->checkpoint.manifest.build_id, r->name);
    if (!r->err.code)
        checkpoint_fits(&r->checkpoint, r->boot, r->shape, &r->err);
    if (!r->err.code)
        check_wanted(r);
    if (r->err.code)
        finish(r);
    else
        start_next(r);
}

static void begin(struct operation *operation)
{
    static const struct worker_ops ops = {.work = open_it, .done = opened};
    struct restoring *r = (struct restoring *)operation;
    struct supervisor *s = r->s;
    s->restoring = r;
    r->started_ms = loop_now_ms();
    check_wanted(r);
    if (!r->err.code && !s->machine->disks.active)
        err_set(&r->err, EOPNOTSUPP, "its root disk is not a throw-away overlay file; mount with --root-mode cow");
    if (!r->err.code)
        r->shape = machine_shape(s, &r->err);
    if (!r->err.code) {
        r->opening = true;
        if (worker_start(s->loop, &ops, r))
            return; /* the thread writes r->err now */
        r->opening = false;
        err_errno(&r->err, errno, "thread");
    }
    finish(r);
}

void checkpoint_restore(struct supervisor *s, const char *name, bool boot, struct control_request *request, size_t len)
{
    struct restoring *r = calloc(1, sizeof *r);
    if (r)
        *r = (struct restoring){.operation.begin = begin, .s = s, .name = strdup(name), .boot = boot, .request = request,
                                .request_len = len, .checkpoint.lock_fd = -1};
    if (!r || !r->name) {
        free(r);
        control_reply_error(request, ENOMEM, "restore %s: out of memory", name);
        return;
    }
    control_request_on_interrupt(request, interrupted, r);
    operation_add(s, &r->operation);
}
