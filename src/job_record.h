/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs that run in a guest as a checkpoint keeps them, so that they are there again when it is loaded: in the same
 * sandbox, whose directories of them are taken up again, or in another, where they are made. */
#ifndef GONDOLIN_SRC_JOB_RECORD_H
#define GONDOLIN_SRC_JOB_RECORD_H

#include <json-c/json.h>
#include <stddef.h>

#include "src/job.h"
#include "src/proto.h"

/* Of what the guest has sent a stream holds no more than a window in memory. */
enum { JOB_RECORDS_OUTPUT_MAX = 2 * JOBS_MAX * CTL_STREAM_WINDOW };

struct job_records {
    struct json_object *jobs; /* array; owned */
    char *output;             /* what the guest had sent and nobody had read, of all jobs, one after the other; malloc'd; at
                                 most JOB_RECORDS_OUTPUT_MAX bytes */
    size_t output_len;
};

/* To be called while the guest is quiet: what has been sent has been taken, on both sides. 0 or -ENOMEM. */
int jobs_record(const struct jobs *jobs, struct job_records *out);
void job_records_free(struct job_records *records);

/* Makes of the table what `records` says runs in the guest; every other job that runs is lost (`why` for its `wait`). The
 * records may come from anywhere: 0, or -EINVAL with *err and nothing changed. -ENOMEM when memory ran out in the middle.
 * The link is the one to the guest that has just been loaded. */
int jobs_restore(struct jobs *jobs, const struct job_records *records, struct agent_link *link, const char *why,
                 struct err *err);

#endif
