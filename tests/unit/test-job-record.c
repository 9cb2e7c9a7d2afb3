/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that are recorded and restored, in the same table and in another. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/files.h"
#include "src/checkpoint_start.h"
#include "src/cleanup.h"
#include "src/job_record.h"
#include "tests/unit/controlbench.h"

static char text[CB_READ_MAX + 1];

static struct controlbench *with_job(void)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(cb_mkdir(b, "jobs", "j"), 0);
    cr_assert_eq(cb_put(b, "jobs/j/cmd", "cat"), 0);
    return b;
}

static struct job_records record(struct controlbench *b)
{
    struct job_records records;
    cr_assert_eq(jobs_record(b->jobs, &records), 0);
    return records;
}

static int restore(struct controlbench *b, struct job_records *records)
{
    struct err err = {0};
    int rc = jobs_restore(b->jobs, records, b->link, "restored", &err);
    cr_expect_eq(rc < 0, err.code != 0);
    job_records_free(records);
    return rc;
}

Test(job_record, a_running_job_goes_on_in_another_sandbox)
{
    struct controlbench *a = with_job();
    cr_assert_eq(cb_put(a, "jobs/j/env", "A='b c'"), 0);
    uint32_t id = cb_start(a, "j");
    cb_agent_send(a, CTL_JOB_DATA, CTL_STDOUT, id, "unread\n", 7);
    struct job_records records = record(a);
    cb_free(a);

    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(restore(b, &records), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/cmd"), "cat\n");
    cr_expect(strstr(cb_get(b, "jobs/j/status"), "state running"));
    int h = cb_open(b, "jobs/j/stdout", O_RDONLY);
    cr_assert_eq(cb_read(b, h, text, sizeof text - 1), 7);
    cr_expect_str_eq(text, "unread\n");
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "more\n", 5);
    cr_assert_eq(cb_read(b, h, text, sizeof text - 1), 5);
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":3}");
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "exit 3\n");
    cr_expect_eq(cb_mkdir(b, "jobs", "later"), 0);
    cr_expect_eq(cb_put(b, "jobs/later/cmd", "true"), 0);
    cr_expect_gt(cb_start(b, "later"), id, "ids of the guest are not used again");
    cb_free(b);
}

Test(job_record, in_place_later_jobs_are_lost_and_ended_ones_run_again)
{
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    struct job_records records = record(b);
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":0}");
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "exit 0\n");
    cr_assert_eq(cb_mkdir(b, "jobs", "later"), 0);
    cr_assert_eq(cb_put(b, "jobs/later/cmd", "sleep 1000"), 0);
    cb_start(b, "later");
    cr_assert_eq(cb_mkdir(b, "jobs", "new"), 0);
    cr_assert_eq(restore(b, &records), 0);
    cr_expect(strstr(cb_get(b, "jobs/j/status"), "state running"));
    cr_expect_str_eq(cb_get(b, "jobs/later/wait"), "lost\n");
    cr_expect(strstr(cb_get(b, "jobs/new/status"), "state new"), "one that was not started is nobody's yet");
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"signal\":9}");
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "signal 9\n");
    cr_expect_not(b->link_closed);
    cb_free(b);
}

Test(job_record, a_directory_that_was_removed_is_made_again)
{
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    struct job_records records = record(b);
    cr_assert_eq(cb_rmdir(b, "jobs", "j"), 0);
    cr_assert_eq(cb_mkdir(b, "jobs", "j"), 0);
    cr_assert_eq(cb_put(b, "jobs/j/cmd", "another"), 0);
    cr_assert_eq(restore(b, &records), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/cmd"), "cat\n", "another of that name makes way");
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":0}");
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "exit 0\n");
    cb_free(b);
}

Test(job_record, the_credit_of_the_guest_is_as_it_was)
{
    static char window[CTL_STREAM_WINDOW];
    struct controlbench *a = with_job();
    uint32_t id = cb_start(a, "j");
    for (size_t sent = 0; sent < sizeof window; sent += 32768)
        cb_agent_send(a, CTL_JOB_DATA, CTL_STDOUT, id, window, 32768);
    struct job_records records = record(a);
    cr_expect_eq(records.output_len, sizeof window);
    cb_free(a);
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(restore(b, &records), 0);
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "x", 1);
    cr_expect(b->link_closed, "a byte beyond the credit that was used up");
    cb_free(b);
}

/* A `run` that has printed so many bytes, its kept output in memory or in a file. */
static struct controlbench *with_run(size_t bytes, uint32_t *id)
{
    static char piece[32768];
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_WRONLY);
    cr_assert_eq(cb_write(b, h, "x", 1), CB_PENDING_WRITE);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    *id = b->frame.id;
    cb_agent_json(b, CTL_JOB_STARTED, *id, "{}");
    for (size_t n; bytes; bytes -= n) {
        n = bytes < sizeof piece ? bytes : sizeof piece;
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, *id, piece, n);
    }
    cr_assert_not(b->link_closed, "%s", b->why);
    return b;
}

static size_t length_of(struct controlbench *b, const char *path)
{
    size_t total = 0;
    int h = cb_open(b, path, O_RDONLY);
    for (ssize_t n; (n = cb_read(b, h, text, 4096)) > CB_PENDING;)
        total += (size_t)n;
    return total;
}

Test(job_record, kept_output_beyond_a_window_stays_where_it_is)
{
    const size_t sizes[] = {262144, 262145};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t id;
        struct controlbench *a = with_run(sizes[i], &id);
        struct job_records here = record(a), there = record(a);
        cr_expect_eq(there.output_len, i == 0 ? sizes[i] : 0);
        cb_agent_send(a, CTL_JOB_DATA, CTL_STDOUT, id, "later", 5);
        cr_assert_eq(restore(a, &here), 0);
        cb_agent_send(a, CTL_JOB_DATA, CTL_STDOUT, id, "other\n", 6);
        cb_agent_json(a, CTL_JOB_EXIT, id, "{\"code\":0}");
        cr_expect_eq(length_of(a, "jobs/1/stdout"), sizes[i] + 6);
        cb_free(a);

        struct controlbench *b = cb_new_jobs();
        cr_assert_eq(restore(b, &there), 0);
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "more\n", 5);
        cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":0}");
        cr_expect_eq(length_of(b, "jobs/1/stdout"), i == 0 ? sizes[i] + 5 : 5);
        cb_free(b);
    }
}

Test(job_record, the_output_of_as_many_jobs_as_there_can_be_is_read_back)
{
    char directory[] = "/tmp/gondolin-test-record.XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    cleanup_free char *path = files_format("%s/" CHECKPOINT_OUTPUT, directory);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const struct checkpoint full = {.directory = directory};
    const off_t sizes[] = {0, 1, (off_t)2 * 290 * CTL_STREAM_WINDOW, JOB_RECORDS_OUTPUT_MAX + (off_t)1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct job_records records;
        struct err err = {0};
        cr_assert_eq(ftruncate(fd, sizes[i]), 0);
        int rc = checkpoint_read_jobs(&full, false, &records, &err);
        cr_expect_eq(rc, sizes[i] > JOB_RECORDS_OUTPUT_MAX ? -E2BIG : 0, "%jd: %s", (intmax_t)sizes[i], err.text);
        cr_expect_eq((off_t)records.output_len, rc < 0 ? 0 : sizes[i]);
        job_records_free(&records);
    }
    files_remove_tree(directory);
}

Test(job_record, what_no_supervisor_writes_is_refused_and_changes_nothing)
{
    static const char good[] = "{\"name\":\"j\",\"id\":7,\"state\":\"running\",\"pid\":9,\"cmd\":\"cat\",\"timeout_ms\":0,"
        "\"tty\":false,\"rows\":0,\"columns\":0,\"kept_output\":false,\"stdin_credit\":5,\"stdin_closed\":false,"
        "\"stdout\":{\"total\":0,\"held\":0,\"promised\":5,\"owed\":0,\"ended\":false},"
        "\"stderr\":{\"total\":0,\"held\":0,\"promised\":5,\"owed\":0,\"ended\":false}}";
    static const struct {
        const char *what, *with;
    } changes[] = {
        {"\"id\":7", "\"id\":0"}, {"\"id\":7", "\"id\":-1"}, {"\"id\":7", "\"id\":99999999999"}, {"\"id\":7", "\"id\":\"7\""},
        {"\"name\":\"j\"", "\"name\":\"../j\""}, {"\"name\":\"j\"", "\"name\":\"\""}, {"\"name\":\"j\"", "\"name\":\"a\\u0000b\""},
        {"\"state\":\"running\"", "\"state\":\"new\""}, {"\"state\":\"running\"", "\"state\":\"exited\""},
        {"\"cmd\":\"cat\",", ""}, {"\"held\":0", "\"held\":1"}, {"\"promised\":5", "\"promised\":-5"},
        {"\"promised\":5", "\"promised\":262145"},
        {"\"stdin_credit\":5", "\"stdin_credit\":9999999"}, {"\"tty\":false", "\"tty\":0"}, {"\"owed\":0", "\"owed\":9999999"},
        {"\"stdout\":{", "\"stdout\":[],\"x\":{"}, {"\"rows\":0", "\"rows\":70000"},
    };
    struct controlbench *b = with_job();
    cb_start(b, "j");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char bad[2048];
        const char *at = strstr(good, changes[i].what);
        cr_assert_not_null(at);
        snprintf(bad, sizeof bad, "[%.*s%s%s]", (int)(at - good), good, changes[i].with, at + strlen(changes[i].what));
        struct job_records records = {.jobs = json_tokener_parse(bad)};
        cr_assert_not_null(records.jobs, "%s", bad);
        cr_expect_eq(restore(b, &records), -EINVAL, "%s", bad);
        cr_expect(strstr(cb_get(b, "jobs/j/status"), "state running"));
    }
    snprintf(text, sizeof text, "[%s,%s]", good, good);
    struct job_records twice = {.jobs = json_tokener_parse(text)};
    cr_expect_eq(restore(b, &twice), -EINVAL);
    snprintf(text, sizeof text, "[%s]", good);
    struct job_records once = {.jobs = json_tokener_parse(text)};
    cr_expect_eq(restore(b, &once), 0);
    cb_free(b);
}
