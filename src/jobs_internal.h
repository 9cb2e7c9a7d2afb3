/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind src/job.h, for src/jobs.c and src/job_run.c. */
#ifndef GONDOLIN_SRC_JOBS_INTERNAL_H
#define GONDOLIN_SRC_JOBS_INTERNAL_H

#include "src/job.h"

#define REHEARSAL_ID (UINT32_MAX - 1) /* of a job that has no directory */

enum { JOBS_KEEP_FINISHED_RUNS = 32 };

struct jobs {
    struct control *control;
    struct agent_link *link;
    const char *held; /* why nothing can be started; NULL: it can */
    const char *spool_dir;
    const struct jobs_events *events;
    void *events_data;
    struct job *first; /* newest first */
    unsigned count;
    uint32_t last_id, last_start;
    void (*rehearsed)(void *data); /* waiting for that; may be NULL */
    void *rehearsed_data;
    struct control_node *dir;
};

#endif
