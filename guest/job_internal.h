/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the job engine share; everybody else uses guest/job.h. */
#ifndef GONDOLIN_GUEST_JOB_INTERNAL_H
#define GONDOLIN_GUEST_JOB_INTERNAL_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "guest/job.h"
#include "guest/job_pipe.h"
#include "guest/job_start.h"
#include "guest/worker.h"

/* stdout or stderr: from the program to the host. */
struct job_output {
    struct job *job;
    uint16_t stream;     /* enum ctl_stream */
    int fd;                /* -1 after the end of file */
    struct job_pipe *pipe; /* has the fd; NULL: a terminal */
    struct watch *watch;   /* only while bytes may be read: a hung-up pipe would wake the loop for ever */
    uint32_t credit;       /* bytes the host takes now */
    uint32_t owed;         /* bytes to send before JOB_EXIT */
    bool uncounted;        /* and it is not known yet how many */
    bool counting;         /* that is what the pipe is busy with */
};

/* stdin: from the host to the program. */
struct job_input {
    struct job *job;
    int fd;                /* -1: not wanted by anybody any more, data is dropped */
    struct job_pipe *pipe; /* has the fd; NULL: a terminal */
    struct watch *watch;   /* only while there is no room for the bytes that wait */
    bool tty;
    bool ended;            /* the host has sent the end of the stream */
    unsigned ends_told;    /* how often a terminal has been given its end-of-file character for that */
    char last;             /* last byte written, '\n' at the start; tells whether a terminal is at the start of a line */
    uint32_t window;       /* bytes the host may send now */
    uint32_t consumed;     /* bytes written to the program and not yet granted to the host again */
    uint8_t *waiting;      /* bytes the program has not taken yet: [start, end) */
    size_t start, end, capacity;
};

/* A start under way in a thread. */
struct starting {
    struct job_start start;
    struct jobs *jobs;
    struct job *job;        /* NULL: forgotten meanwhile */
    uint64_t early_signals; /* bit N - 1: signal N is to be sent when it has started */
};

struct job {
    struct jobs *owner;
    struct job *next; /* in its bucket */
    uint32_t id;
    struct starting *starting; /* NULL once it has started */
    pid_t pid;        /* (once started) process group and session too; stays valid as a group id until group_gone */
    bool group_gone;  /* nobody is left in the group: its number may belong to strangers now */
    bool exited, exit_sent, timed_out;
    int status; /* as from wait4 */
    struct rusage usage;
    uint64_t start_us, wall_us;
    struct timer *timer;
    struct job_input in;
    struct job_output out[2];
};

enum { JOB_BUCKETS = 256 };

struct jobs {
    struct loop *loop;
    struct channel *channel;
    struct worker *starter, *pipes;
    const struct account_files *accounts;
    struct envlist env;
    size_t count, running;
    bool congested; /* the channel is full: no output is read until jobs_resume */
    bool closing;   /* no new jobs */
    struct job *buckets[JOB_BUCKETS];
    uint64_t (*flush_notices)(void *data); /* may be NULL */
    void *notices_data;
    uint64_t notices_told;
};

/* To be called before a frame that tells of a job's doings. */
void jobs_tell_notices(struct jobs *jobs);

/* One frame about a job. */
void job_send(struct job *job, enum ctl_type type, uint16_t flags, const void *payload, size_t len);

/* Sends JOB_EXIT and forgets the job as soon as all that has to come before has happened. The job may be gone after. */
void job_settle(struct job *job);

/* job_streams.c */

/* Take over fd. 0 or -ENOMEM, and the stream is to be closed in each case. */
int job_output_init(struct job_output *out, struct job *job, enum ctl_stream stream, int fd, bool tty);
int job_input_init(struct job_input *in, struct job *job, int fd, bool tty);

/* Whether something is to be sent before JOB_EXIT. */
bool job_output_owes(const struct job_output *out);

/* Starts or stops watching according to credit and congestion. */
void job_output_update(struct job_output *out);

/* The program has ended: notes how much of its output is still to be sent, and sends what credit allows. */
void job_output_drain(struct job_output *out);

/* More credit from the host. -EPROTO if it adds up to more than the window. */
int job_output_credit(struct job_output *out, uint32_t bytes);

/* Bytes (none: end of the stream) from the host. -EPROTO beyond the window or after the end. */
int job_input_data(struct job_input *in, const uint8_t *bytes, size_t len);

/* Close without sending anything. */
void job_output_close(struct job_output *out);
void job_input_close(struct job_input *in);

#endif
