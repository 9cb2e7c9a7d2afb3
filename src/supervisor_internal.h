/* SPDX-License-Identifier: Apache-2.0 */
/* The one struct of the supervisor process, shared by src/supervisor*.c. */
#ifndef GONDOLIN_SRC_SUPERVISOR_INTERNAL_H
#define GONDOLIN_SRC_SUPERVISOR_INTERNAL_H

#include "fs/control.h"
#include "fs/front.h"
#include "src/agent_link.h"
#include "src/bin_dir.h"
#include "src/follow.h"
#include "src/job.h"
#include "src/loop.h"
#include "src/record.h"
#include "src/session.h"
#include "src/supervisor.h"
#include "vmm/vmm.h"

enum supervisor_state { STATE_NEW, STATE_STARTING, STATE_RUNNING, STATE_STOPPING, STATE_EXITED, STATE_FAILED, STATES };

struct keeper;

struct supervisor {
    const struct supervisor_start *start;
    supervisor_ready_fn *ready;
    void *ready_data;
    struct loop *loop;
    enum supervisor_state state;
    uint64_t started_ms, ready_ms; /* CLOCK_MONOTONIC; ready_ms is relative to started_ms */

    struct session session;
    struct keeper *keeper;
    char *work_dir; /* in the store: overlay and spools */

    struct control *control;
    struct front *front;
    struct jobs *jobs;
    struct bin_dir *bin;
    struct record *console, *log;
    struct follow *events;

    const struct vmm_backend *backend;
    struct vmm *vm;
    struct agent_link *link;
    int console_fd;    /* our end */
    int vmm_log_fd[2]; /* both ends: the monitor's backend writes what its program says, and its own remarks */
    struct watch *console_watch, *vmm_log_watch, *signal_watch, *mounts_watch, *waiter_watch;
    int mounts_fd;
    int signal_fd;
    struct timer *linger_timer, *stop_timer, *gone_timer, *notices_timer;
    char *guest_kernel;
    char boot_phases[1024]; /* "boot_NAME_us N\n" lines */

    bool notices;        /* the guest tells of files its own processes change */
    bool orderly;        /* the end was asked for */
    bool goodbye;        /* the guest has told that it is going to end */
    char why_ended[512]; /* the first reason given */
    char why_gone[128];  /* what a channel said when it broke */
};

/* supervisor_files.c: the files at the top of the mount. 0 or -errno. */
int supervisor_files_add(struct supervisor *s);

const char *supervisor_state_name(enum supervisor_state state);
/* One line for log and `gondolin mount -f`; bounded, no newline needed. */
void supervisor_log(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One JSON line for `events`: takes ownership of `object`, to which time and name are added. */
void supervisor_event(struct supervisor *s, const char *name, struct json_object *object);
/* supervisor_end.c. The reason to give for the end of a machine, better than the monitor's where the guest said more. */
void supervisor_explain(const struct supervisor *s, const char *reason, char *out, size_t size);
/* For those who look for the sandbox later (src/ended.h), and for who waits for it (EIO). */
void supervisor_record_end(const struct supervisor *s);
int supervisor_failure(const struct supervisor *s, struct err *err);

/* Begins the end. `orderly`: the guest is asked first. Later calls only shorten it. */
void supervisor_stop(struct supervisor *s, bool orderly, const char *why);

#endif
