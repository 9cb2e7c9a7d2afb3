/* SPDX-License-Identifier: Apache-2.0 */
/* jobs_restore on any JSON, as an imported checkpoint may hold it: refused, or a table that is sound enough to be recorded
 * and restored again. Everything behind the first newline is output that nobody has read.
 * SOURCES: src/job_record.c src/jobs.c src/job_dir.c src/job_files.c src/job_input.c src/job_run.c src/job_values.c src/job_wait.c src/outstream.c src/readers.c src/agent_link.c src/channel.c src/loop.c src/ctl_verbs.c src/shquote.c src/nearest.c src/printable.c src/err.c fs/control.c fs/control_fuse.c fs/control_list.c -lfuse3 -ljson-c */
#include <string.h>

#include "src/job_record.h"
#include "tests/fuzz/fuzz.h"

static void ignore(void *data, const char *what, const struct job *job)
{
    (void)data, (void)what, (void)job;
}

static struct jobs *new_jobs(struct control *control)
{
    static const struct jobs_events events = {.event = ignore};
    struct jobs *jobs = jobs_new(control, "/tmp", &events, NULL);
    fuzz_require(jobs);
    return jobs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = memchr(data, '\n', size);
    size_t json_len = newline ? (size_t)(newline - data) : size;
    struct json_tokener *tokener = json_tokener_new_ex(8);
    struct job_records records = {.jobs = json_tokener_parse_ex(tokener, (const char *)data, (int)json_len)}, again;
    struct err err = {0};
    json_tokener_free(tokener);
    if (!json_object_is_type(records.jobs, json_type_array)) {
        json_object_put(records.jobs);
        return 0;
    }
    records.output_len = newline ? size - json_len - 1 : 0;
    records.output = records.output_len ? malloc(records.output_len) : NULL;
    if (records.output)
        memcpy(records.output, newline + 1, records.output_len);
    struct control *control = control_new(0, 0);
    struct jobs *jobs = new_jobs(control);
    if (jobs_restore(jobs, &records, NULL, "restored", &err) < 0) {
        fuzz_require(err.code != 0 && err.text[0] != '\0');
    } else {
        fuzz_require(jobs_record(jobs, &again) == 0);
        fuzz_require(jobs_restore(jobs, &again, NULL, "again", &err) == 0);
        job_records_free(&again);
    }
    job_records_free(&records);
    jobs_free(jobs);
    control_free(control);
    return 0;
}
