/* SPDX-License-Identifier: Apache-2.0 */
/* The one struct of the supervisor process, shared by src/supervisor*.c, src/machine*.c and src/checkpoint*.c. */
#ifndef GONDOLIN_SRC_SUPERVISOR_INTERNAL_H
#define GONDOLIN_SRC_SUPERVISOR_INTERNAL_H

#include "fs/control.h"
#include "fs/front.h"
#include "src/agent_link.h"
#include "src/bin_dir.h"
#include "src/follow.h"
#include "src/host_mounts.h"
#include "src/job.h"
#include "src/job_record.h"
#include "src/loop.h"
#include "src/machine.h"
#include "src/record.h"
#include "src/session.h"
#include "src/supervisor.h"
#include "vmm/vmm.h"

enum supervisor_state { STATE_NEW, STATE_STARTING, STATE_RUNNING, STATE_STOPPING, STATE_EXITED, STATE_FAILED, STATES };

enum { MACHINE_ID_DIGITS = 32 };

struct keeper;
struct taking;
struct restoring;

/* A checkpoint being taken or restored: one at a time, the others wait. */
struct operation {
    struct operation *next;
    struct supervisor *s;
    bool begun;
    /* Calls operation_done, now or later, and only then is the next one begun. */
    void (*begin)(struct operation *operation);
};

/* What the agent of a machine says it can do. */
struct machine_abilities {
    bool notices; /* tells of what the guest's processes change */
    bool mounts;  /* takes CTL_MOUNTS */
    bool resumes; /* and goes on with a session of the files of the host */
};

struct supervisor {
    const struct supervisor_start *start;
    supervisor_ready_fn *ready;
    void *ready_data;
    struct loop *loop;
    enum supervisor_state state;
    uint64_t started_ms, ready_ms; /* CLOCK_MONOTONIC; ready_ms is relative to started_ms */

    struct session session;
    struct keeper *keeper;
    char *store;
    char *work_dir; /* in the store: overlays, spools, checkpoints being made */
    char machine_id[MACHINE_ID_DIGITS + 1];

    struct control *control;
    struct control_node *checkpoints_dir;
    struct front *front;
    struct jobs *jobs;
    struct host_mounts *mounts;
    struct bin_dir *bin;
    struct record *console, *log;
    struct follow *events;

    const struct vmm_backend *backend;
    struct machine *machine; /* NULL before it starts */
    struct machine *next;    /* is to take its place */
    unsigned overlays;       /* made so far */
    char *template_key;      /* of the template that this sandbox could have started from; NULL: of none */
    bool make_template;
    struct job_records records; /* of the checkpoint that the sandbox starts from, until it is ready */
    struct operation *operations; /* the first is under way */
    struct taking *taking;        /* the one under way, or NULL */
    struct restoring *restoring;
    unsigned restores;
    uint64_t disk_errors; /* accesses to the root disk that the host failed at */

    struct watch *signal_watch, *mounts_watch, *waiter_watch;
    int mounts_fd;
    int signal_fd;
    struct timer *linger_timer, *stop_timer, *gone_timer, *notices_timer, *start_timer;
    char *guest_kernel;
    char boot_phases[1024]; /* "boot_NAME_us N\n" lines */

    struct machine_abilities abilities; /* of the current machine */
    bool prepared;       /* supervisor_prepared has been called */
    bool orderly;        /* the end was asked for */
    bool goodbye;        /* the guest has told that it is going to end */
    bool quit_wanted;    /* as soon as no operation is under way */
    char why_ended[512]; /* the first reason given */
    char why_gone[128];  /* what a channel said when it broke */
    char *why_paused;    /* for who wants to start a job meanwhile; NULL before it was ever paused */
};

/* supervisor_files.c: the files at the top of the mount. 0 or -errno. */
int supervisor_files_add(struct supervisor *s);

const char *supervisor_state_name(enum supervisor_state state);
/* The same for who looks at the sandbox: also whether its machine is paused, which changes nothing of what can become of it. */
const char *supervisor_shown_state(const struct supervisor *s);
/* That may have changed: tells it to the registry, to who follows the events, and to the jobs. */
void supervisor_show_state(struct supervisor *s);
/* One line for log and `gondolin mount -f`; bounded, no newline needed. */
void supervisor_log(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One JSON line for `events`: takes ownership of `object`, to which time and name are added. */
void supervisor_event(struct supervisor *s, const char *name, struct json_object *object);
/* supervisor_mounts.c: host directories in the guest. 0 or -errno. */
int supervisor_mounts_add(struct supervisor *s);
/* The current machine is new. */
void supervisor_mounts_connect(struct supervisor *s);

/* supervisor_end.c. The reason to give for the end of a machine, better than the monitor's where the guest said more. */
void supervisor_explain(const struct supervisor *s, const char *reason, char *out, size_t size);
/* Is it that of a gondolin run? */
bool supervisor_is_one_shot(const struct supervisor *s);
/* For those who look for the sandbox later (src/ended.h), and for who waits for it (EIO). */
void supervisor_record_end(const struct supervisor *s);
int supervisor_failure(const struct supervisor *s, struct err *err);

/* Begins the end. `orderly`: the guest is asked first. Later calls only shorten it. */
void supervisor_stop(struct supervisor *s, bool orderly, const char *why);

/* What becomes of a machine. */
void supervisor_machine_ready(struct machine *machine, const struct machine_abilities *abilities);
void supervisor_machine_ended(struct machine *machine, const char *reason);
void supervisor_channel_gone(struct machine *machine, const char *why);
/* Puts the current machine into the session registry. */
void supervisor_publish_machine(struct supervisor *s);
/* The current machine is ready: caches as long as it allows, and its mounts. True: supervisor_mounts_settled is called, now
 * or later. */
bool supervisor_use_abilities(struct supervisor *s, const struct machine_abilities *abilities);
/* Its guest has the mounts that it is to have, or not (a sentence). */
void supervisor_mounts_settled(struct supervisor *s, const char *failure);
/* A sandbox that starts has its machine as it is to be: the mounts come next, then it can be used. Once. */
void supervisor_prepared(struct supervisor *s);

/* supervisor_start.c: the first machine, from a checkpoint, a template, or cold. 0, or -errno with *err. */
int supervisor_start_machine(struct supervisor *s, struct err *err);
/* A machine that did not become ready: true when another one has been started in its place. */
bool supervisor_start_again(struct supervisor *s, const char *why);
/* The same for one whose template has been replaced since it was checked: its files, which are opened by their names, may be
 * of both. */
bool supervisor_start_unmixed(struct supervisor *s);

/* operation.c */
void operation_add(struct supervisor *s, struct operation *operation);
void operation_done(struct supervisor *s, const struct operation *operation);

/* checkpoint_take.c. For a request to make NAME that is parked: `len` bytes written to ctl, or 0 for a mkdir. */
void checkpoint_take(struct supervisor *s, const char *name, bool disk_only, struct control_request *request, size_t len);
/* Keeps the state of the machine as a template; supervisor_prepared is called as soon as the guest goes on. */
void checkpoint_take_template(struct supervisor *s);
void checkpoint_guest_quiet(struct supervisor *s, uint64_t notices, int code);
void checkpoint_guest_frozen(struct supervisor *s, int code);

/* checkpoint_restore.c. `boot`: only the disk is used. */
void checkpoint_restore(struct supervisor *s, const char *name, bool boot, struct control_request *request, size_t len);
void checkpoint_restore_ready(struct supervisor *s, const struct machine_abilities *abilities);
void checkpoint_restore_settled(struct supervisor *s, const char *failure);
void checkpoint_restore_failed(struct supervisor *s, const char *why); /* the new machine */
void checkpoint_restore_ended(struct supervisor *s);                   /* the one that is there */

/* bind.c: the verb `bind` and what follows it on its line. The check asks nothing of the host. */
int bind_check(const char *text, struct err *err);
void bind_later(struct supervisor *s, const char *text, struct control_request *request, size_t len);

/* checkpoints_dir.c: the directory checkpoints/. 0 or -errno. */
int checkpoints_dir_add(struct supervisor *s);
void checkpoints_dir_refresh(void *object);

#endif
