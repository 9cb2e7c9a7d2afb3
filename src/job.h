/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: programs in the guest and their directories under MNT/jobs. gondolin-files(5).
 *
 *   new --start--> starting --STARTED--> running --EXIT--> exited
 *                      \--EXIT with "failed"--> failed         (guest gone or restored: lost)
 *
 * A job lives until its directory has been removed and nothing is open in it. */
#ifndef GONDOLIN_SRC_JOB_H
#define GONDOLIN_SRC_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/control.h"
#include "src/agent_link.h"
#include "src/err.h"
#include "src/outstream.h"

struct jobs;

enum { JOBS_MAX = 1024 }; /* in the table at once */

enum job_state { JOB_NEW, JOB_STARTING, JOB_RUNNING, JOB_EXITED, JOB_FAILED, JOB_LOST, JOB_STATES };

/* How a job ended. */
struct job_result {
    int code;    /* exit code, or 126/127 when it could not be started; -1 when a signal ended it */
    int signal;  /* 0 or the signal */
    int error;   /* errno of a failed start */
    bool timeout;
    int64_t wall_us, user_us, sys_us;
    char reason[256]; /* of a failed start */
};

enum { JOB_RESULT_MAX = 320 }; /* bytes of what job_describe_result writes, at most */

struct job_waiter;

struct job_input {
    struct control_handle *handle; /* the one writer */
    struct control_request *parked;
    char *pending; /* what the parked write still has to send */
    size_t pending_len, pending_sent;
    uint32_t credit;
    bool closed;
};

struct job {
    struct jobs *jobs;
    struct job *next;
    unsigned references; /* the table, and each control node */
    uint32_t id;
    uint32_t start_number; /* counts the jobs that were started; 0: this one was not */
    char *name;
    enum job_state state;
    struct control_node *dir;

    /* What to start; NULL or 0: the default. */
    char *cmd, *argv, *env, *cwd, *user; /* as written: argv and env in sh quoting */
    int64_t timeout_ms;                  /* 0: none */
    bool tty;
    uint16_t rows, columns;

    bool kept_output; /* made by `run` */
    bool on_clone;    /* made by `clone`: goes with that descriptor */
    bool discard_output; /* its spool failed */
    int pid;
    struct job_result result;
    struct outstream *out[2]; /* stdout, stderr */
    struct job_input in;
    struct job_waiter *waiters;

    /* Called once, when the job ends (used by `run`); may be NULL. */
    void (*ended)(struct job *job, void *data);
    void *ended_data;
};

/* The supervisor's side of all jobs; builds `jobs/`, `run` and `last` in the tree. `spool_dir` is borrowed. */
struct jobs_events {
    /* Something for MNT/events: `what` is "job-start" or "job-exit". */
    void (*event)(void *data, const char *what, const struct job *job);
};
struct jobs *jobs_new(struct control *control, const char *spool_dir, const struct jobs_events *events, void *data);
void jobs_free(struct jobs *jobs);

/* The link to send on; NULL: the guest is gone, and everything that runs is lost (`why` for its `wait`). */
void jobs_set_link(struct jobs *jobs, struct agent_link *link, const char *why);
/* Nothing can be started, for this reason (a sentence that stays where it is); NULL: it can. */
void jobs_hold(struct jobs *jobs, const char *why);
/* Has the guest start a shell and a program once, so that what that takes is in its memory; `done` tells when it has, at once
 * when it cannot. */
void jobs_rehearse(struct jobs *jobs, void (*done)(void *data), void *data);
/* A frame from the guest: 0 or -EPROTO. */
int jobs_frame(struct jobs *jobs, const struct ctl_header *header, const uint8_t *payload, size_t len);
unsigned jobs_count(const struct jobs *jobs, enum job_state state);

/* Is this a name for mkdir in jobs/? */
bool job_name_valid(const char *name);

/* One job. job_new: NULL with errno (EEXIST, ENOSPC, ENOMEM); NULL name: the number is the name. */
struct job *job_new(struct jobs *jobs, const char *name, bool kept_output);
/* Asks the guest to start it: 0 or an errno value with the sentence in *err. */
int job_start(struct job *job, struct err *err);
/* It is not known any more how it goes on: it ends as lost, if it runs (`why` for its `wait`), and so does its output. */
void job_lose(struct job *job, const char *why);
/* Kills what runs and takes the directory away. */
void job_remove(struct job *job);
void job_unref(struct job *job);
bool job_over(const struct job *job);
const char *job_state_name(enum job_state state);
/* "exit 0", "signal 9", "timeout", "failed 127 reason", "lost"; no newline; JOB_RESULT_MAX bytes suffice. */
void job_describe_result(const struct job *job, char *out, size_t size);

/* Signals the process group: 0 or an errno value. */
int job_kill(struct job *job, int signal);
int job_winsize(struct job *job, uint16_t rows, uint16_t columns);

/* job_input.c: the stdin file. */
extern const struct control_ops job_stdin_ops;
void job_input_credit(struct job *job, uint32_t credit);
void job_input_close(struct job *job);
/* The job has ended: answers a parked write with errno value `code` and wakes a poll. */
void job_input_fail(struct job *job, int code);

/* job_wait.c: the file wait. */
extern const struct control_ops job_wait_ops;
/* The job has ended: answers who waits for that. */
void job_wait_tell(struct job *job);

/* job_values.c: what to start. */
extern const struct control_ops job_cmd_ops, job_argv_ops, job_env_ops, job_cwd_ops, job_user_ops, job_timeout_ops,
    job_tty_ops;

/* job_files.c: the files of a job's directory. 0 or -errno. */
int job_files_add(struct job *job, struct control_node *jobs_dir);
/* The verbs of jobs/NAME/ctl and of jobs/clone. */
void job_ctl_run(struct job *job, const char *data, size_t len, struct control_request *request);
void job_ctl_usage(void *object, FILE *out);

/* job_dir.c: the directory jobs/, its `clone`, and `last`. 0 or -errno. */
int job_dir_add(struct jobs *jobs);

/* job_run.c: the file `run`. */
extern const struct control_ops job_run_ops;

#endif
