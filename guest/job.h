/* SPDX-License-Identifier: Apache-2.0 */
/* The job engine: starts programs for the host and carries their streams over the control channel. It needs neither to
 * be PID 1 nor a virtual machine, so that unit tests run it over a socketpair.
 *
 * Life of a job: JOB_START -> started (or JOB_EXIT with "failed") -> its leader ends -> what it had written is sent, as
 * the host's credit allows -> JOB_EXIT -> streams still held by its children go on -> all at end of file: forgotten.
 * JOB_CLOSE cuts this short at any point. Frames about a forgotten job are ignored: they may have been under way. */
#ifndef GONDOLIN_GUEST_JOB_H
#define GONDOLIN_GUEST_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "guest/accounts.h"
#include "guest/envlist.h"
#include "src/channel.h"
#include "src/err.h"
#include "src/loop.h"
#include "src/proto.h"

enum { JOBS_MAX = 1024 }; /* at once; a start beyond is answered with "failed" and EAGAIN */

struct jobs;

/* Borrows all arguments. NULL with errno (ENOMEM, EMFILE, EAGAIN). SIGCHLD must be blocked in all threads; the owner
 * calls jobs_reap. */
struct jobs *jobs_new(struct loop *loop, struct channel *channel, const struct account_files *accounts);

/* Kills all jobs' process groups and forgets them. NULL is ignored. */
void jobs_free(struct jobs *jobs);

/* Variables for every job started from now on, under the job's own. Takes over *env and leaves it empty. */
void jobs_set_env(struct jobs *jobs, struct envlist *env);

/* `flush` is called before a job's output or end is sent: what it returns, a number that never falls, is told to the
 * host first (CTL_NOTICES) whenever it has changed. */
void jobs_set_notices(struct jobs *jobs, uint64_t (*flush)(void *data), void *data);

/* The host is another one, which has been told of no notices. */
void jobs_forget_notices(struct jobs *jobs);

/* Handles a JOB_* frame. Returns 0, or -EPROTO with *err set when it breaks the protocol (more data than the credit, a
 * second start with the id of a live job, a payload of the wrong size), after which the session has to end. */
int jobs_frame(struct jobs *jobs, const struct ctl_header *header, const uint8_t *payload, size_t len, struct err *err);

/* Collects every child that has ended, jobs and adopted orphans alike. Call it on SIGCHLD. */
void jobs_reap(struct jobs *jobs);

/* To be called from the channel's `writable` callback: output goes on. */
void jobs_resume(struct jobs *jobs);

/* Refuses new jobs from now on (ESHUTDOWN), and sends the signal to all process groups. */
void jobs_shutdown(struct jobs *jobs, int signal);

/* No process is left: takes what they have printed, without waiting for anybody, and tells of their ends. */
void jobs_take_rest(struct jobs *jobs);

/* Jobs whose leader has not ended. */
size_t jobs_running(const struct jobs *jobs);

#endif
