/* SPDX-License-Identifier: Apache-2.0 */
/* The control channel against a hostile guest. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/controlbench.h"
#include "tests/unit/ctlversion.h"

static char text[CB_READ_MAX + 1];

static struct controlbench *with_job(void)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(cb_mkdir(b, "jobs", "j"), 0);
    cr_assert_eq(cb_put(b, "jobs/j/cmd", "x"), 0);
    return b;
}

static void expect_broken(struct controlbench *b, const char *words)
{
    cr_expect(b->link_closed, "the link goes on; %s", words);
    cr_expect(strstr(b->why, words), "it says: %s", b->why);
    cr_expect_eq(cb_mkdir(b, "jobs", "after"), 0, "the control files go on");
    cb_put(b, "jobs/after/cmd", "x");
    cr_expect_eq(cb_put(b, "jobs/after/ctl", "start"), -ENOTCONN);
    cb_free(b);
}

/* ---- the greeting ---- */

Test(frames, a_bad_greeting_ends_the_link)
{
    static const struct {
        const char *json, *words;
    } bad[] = {
        {"", "malformed greeting"},
        {"null", "malformed greeting"},
        {"[]", "malformed greeting"},
        {"{" CTL_VERSION_JSON "}{", "malformed greeting"},
        {"{}", "malformed greeting"},
        {"{\"version\":[[[[[[[[[[[[1]]]]]]]]]]]]}", "malformed greeting"},
        {"{\"version\":1}", "speaks protocol 1"},
        {"{\"version\":\"1\"}", "malformed greeting"},
        {"{\"version\":-99999999999999999999}", "protocol"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct controlbench *b = cb_new_jobs_silent();
        cb_agent_json(b, CTL_HELLO, 0, bad[i].json);
        cr_expect_not(b->ready);
        expect_broken(b, bad[i].words);
    }
}

Test(frames, nothing_comes_before_the_greeting_and_it_comes_once)
{
    static const uint16_t types[] = {0, CTL_CONFIG, CTL_READY, CTL_PING, CTL_LOG, CTL_GOODBYE, CTL_JOB_EXIT, 0xffff};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct controlbench *b = cb_new_jobs_silent();
        cb_agent_json(b, types[i], 1, "{}");
        expect_broken(b, "did not greet first");
    }
    struct controlbench *b = cb_new_jobs();
    cb_agent_json(b, CTL_HELLO, 0, "{" CTL_VERSION_JSON "}");
    expect_broken(b, "malformed greeting");
}

Test(frames, giant_json_is_taken_apart_or_refused)
{
    struct controlbench *b = cb_new_jobs_silent();
    static char json[CTL_MAX_PAYLOAD + 1];
    size_t len = (size_t)sprintf(json, "{" CTL_VERSION_JSON);
    while (len < CTL_MAX_PAYLOAD - 40)
        len += (size_t)sprintf(json + len, ",\"k%zu\":{}", len);
    json[len++] = '}';
    json[len] = '\0';
    cb_agent_json(b, CTL_HELLO, 0, json);
    cr_expect_not(b->link_closed, "%s", b->why);
    cb_free(b);
}

/* ---- lengths and types ---- */

Test(frames, impossible_lengths_end_the_link)
{
    static const uint32_t lengths[] = {0, 1, 11, CTL_MAX_FRAME + 1, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct controlbench *b = with_job();
        struct ctl_header header = {.length = lengths[i], .type = CTL_LOG};
        cb_agent_bytes(b, &header, sizeof header);
        expect_broken(b, "impossible length");
    }
}

Test(frames, impossible_types_end_the_link)
{
    static const uint16_t types[] = {0, CTL_CONFIG, CTL_SHUTDOWN, 9, 15, CTL_JOB_START, CTL_JOB_SIGNAL, CTL_JOB_WINSIZE,
                                     CTL_JOB_CLOSE, CTL_PROGRAMS, CTL_FREEZE, CTL_QUIESCE, 0x8000, 0xffff};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct controlbench *b = with_job();
        uint32_t id = cb_start(b, "j");
        cb_agent_send(b, types[i], 0, id, "xxxx", 4);
        expect_broken(b, "impossible frame");
    }
}

Test(frames, a_frame_in_single_bytes_is_a_frame)
{
    struct controlbench *b = with_job();
    struct {
        struct ctl_header header;
        char line[5];
    } frame = {{.length = 17, .type = CTL_LOG}, "hello"};
    for (size_t i = 0; i < 17; i++)
        cb_agent_bytes(b, (char *)&frame + i, 1);
    cr_expect_str_eq(b->last_log, "hello");
    cb_free(b);
}

Test(frames, a_truncated_frame_and_the_end)
{
    struct controlbench *b = with_job();
    struct ctl_header header = {.length = 5000, .type = CTL_LOG};
    cb_agent_bytes(b, &header, sizeof header);
    cr_expect_not(b->link_closed);
    close(b->agent);
    b->agent = -1;
    cb_turn(b);
    expect_broken(b, "connection to the guest agent ended");
}

/* ---- text ---- */

Test(frames, log_lines_are_cut_and_cannot_steer_a_terminal)
{
    struct controlbench *b = with_job();
    cb_agent_send(b, CTL_LOG, 0, 0, "a\033[2J\n\0b\x9b\xff", 10);
    cr_expect_str_eq(b->last_log, "a?[2J??b??");
    memset(text, 'x', 60000);
    cb_agent_send(b, CTL_LOG, 0, 0, text, 60000);
    cr_expect_eq(strlen(b->last_log), 1024u);
    cb_agent_send(b, CTL_LOG, 0, 0, NULL, 0);
    cr_expect_str_eq(b->last_log, "");
    cb_free(b);
}

Test(frames, a_guest_that_does_not_read_gets_no_answers)
{
    struct controlbench *b = with_job();
    memset(text, 'p', 4096);
    for (int i = 0; i < 2000; i++) /* 8 MiB of questions */
        cb_agent_send(b, CTL_PING, 0, 1, text, 4096);
    cr_expect_not(b->link_closed);
    unsigned pongs = 0;
    while (cb_agent_find(b, CTL_PONG))
        pongs++;
    cr_expect_lt(pongs, 1000u);
    cr_expect_gt(pongs, 10u);
    cb_agent_send(b, CTL_PING, 0, 1, text, 4097);
    expect_broken(b, "impossible frame");
}

/* ---- jobs ---- */

Test(frames, jobs_that_are_not_running_have_no_frames)
{
    static const uint16_t types[] = {CTL_JOB_STARTED, CTL_JOB_EXIT, CTL_JOB_DATA, CTL_JOB_CREDIT};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct controlbench *b = with_job(); /* job 1 has not been started */
        cb_agent_send(b, types[i], CTL_STDOUT, 1, "{}", 2);
        expect_broken(b, "impossible frame");
        b = with_job();
        cb_agent_send(b, types[i], CTL_STDOUT, 4444, "{}", 2);
        expect_broken(b, "impossible frame");
    }
}

Test(frames, frames_for_a_job_that_was_removed_are_late_not_wrong)
{
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    cb_rmdir(b, "jobs", "j");
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "late", 4);
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":0}");
    cr_expect_not(b->link_closed);
    cb_free(b);
}

Test(frames, a_job_starts_and_ends_once)
{
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    cb_agent_json(b, CTL_JOB_STARTED, id, "{\"pid\":43}");
    expect_broken(b, "impossible frame");

    b = with_job();
    id = cb_start(b, "j");
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":0}");
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":1}");
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "exit 0\n");
    expect_broken(b, "impossible frame");
}

Test(frames, ends_that_say_nothing_sensible_are_ends_all_the_same)
{
    static const struct {
        const char *json, *line;
    } ends[] = {
        {"{}", "exit 255\n"},
        {"{\"code\":-1}", "exit 255\n"},
        {"{\"code\":99999999999}", "exit 255\n"},
        {"{\"code\":\"0\"}", "exit 255\n"},
        {"{\"signal\":65}", "exit 255\n"},
        {"{\"signal\":-9,\"code\":4}", "exit 4\n"},
        {"{\"code\":126,\"failed\":7}", "exit 126\n"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct controlbench *b = with_job();
        uint32_t id = cb_start(b, "j");
        cb_agent_json(b, CTL_JOB_EXIT, id, ends[i].json);
        cr_expect_str_eq(cb_get(b, "jobs/j/wait"), ends[i].line, "%s", ends[i].json);
        cb_free(b);
    }
    static const char *const broken[] = {"", "7", "{\"code\":0", "{\"code\":0}}", "{\"a\":[[[[[[[[[[]]]]]]]]]]}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct controlbench *b = with_job();
        uint32_t id = cb_start(b, "j");
        cb_agent_json(b, CTL_JOB_EXIT, id, broken[i]);
        cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "lost\n");
        expect_broken(b, "impossible frame");
    }
}

Test(frames, data_beyond_the_window_ends_the_link)
{
    static uint8_t piece[32 * 1024];
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    for (int i = 0; i < CTL_STREAM_WINDOW / (int)sizeof piece; i++)
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, sizeof piece);
    cr_expect_not(b->link_closed);
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, 1);
    cr_expect_eq(strlen(cb_get(b, "jobs/j/status")) > 0, 1);
    expect_broken(b, "impossible frame");
}

Test(frames, credit_that_was_not_given_is_not_there_although_the_output_was_read)
{
    static uint8_t piece[32 * 1024];
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    int h = cb_open(b, "jobs/j/stdout", O_RDONLY);
    for (int i = 0; i < CTL_STREAM_WINDOW / (int)sizeof piece; i++)
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, sizeof piece);
    cr_expect_eq(cb_read(b, h, text, 1000), 1000);
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, 1000);
    expect_broken(b, "impossible frame");
}

Test(frames, data_behind_the_end_or_on_no_stream_ends_the_link)
{
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j");
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, NULL, 0);
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, NULL, 0);
    cr_expect_not(b->link_closed, "an end may be told twice");
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "x", 1);
    expect_broken(b, "impossible frame");
    static const uint16_t streams[] = {CTL_STDIN, 3, 0x8001, 0xffff};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        b = with_job();
        id = cb_start(b, "j");
        cb_agent_send(b, CTL_JOB_DATA, streams[i], id, "x", 1);
        expect_broken(b, "impossible frame");
    }
}

Test(frames, credit_is_bounded)
{
    static const uint32_t too_much[] = {CTL_STREAM_WINDOW + 1, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof too_much / sizeof *too_much; i++) {
        struct controlbench *b = with_job();
        uint32_t id = cb_start(b, "j");
        cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &too_much[i], 4);
        expect_broken(b, "impossible frame");
    }
    struct controlbench *b = with_job();
    uint32_t id = cb_start(b, "j"), n = CTL_STREAM_WINDOW;
    for (int i = 0; i < 100; i++) /* never used: it does not add up */
        cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, sizeof n);
    int h = cb_open(b, "jobs/j/stdin", O_WRONLY);
    static char data[128 * 1024];
    cr_expect_eq(cb_write(b, h, data, sizeof data), 0);
    cr_expect_eq(cb_write(b, h, data, sizeof data), 0);
    cr_expect_eq(cb_write(b, h, data, 1), CB_PENDING_WRITE);
    cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, 3);
    expect_broken(b, "impossible frame");
}

/* A run's output is kept: in memory, then in a file; what the guest sends in single bytes costs no answer each. */
Test(frames, kept_output_in_single_bytes)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_WRONLY);
    cr_assert_eq(cb_write(b, h, "x", 1), CB_PENDING_WRITE);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    uint32_t id = b->frame.id;
    cb_agent_json(b, CTL_JOB_STARTED, id, "{}");
    for (int i = 0; i < 2000; i++)
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "y", 1);
    cr_expect_not(cb_agent_take(b));
    static uint8_t piece[60000];
    memset(piece, 'z', sizeof piece);
    for (int i = 0; i < 30; i++) {
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, sizeof piece);
        cb_agent_find(b, CTL_JOB_CREDIT);
    }
    cr_expect_not(b->link_closed, "%s", b->why);
    int out = cb_open(b, "jobs/1/stdout", O_RDONLY);
    size_t total = 0;
    ssize_t n;
    while ((n = cb_read(b, out, text, 100000)) > 1) {
        for (ssize_t i = 0; i < n; i++)
            cr_assert_eq(text[i], total + (size_t)i < 2000 ? 'y' : 'z');
        total += (size_t)n;
    }
    cr_expect_eq(total, 2000u + 30 * sizeof piece);
    cb_free(b);
}

Test(frames, the_end_of_the_link_ends_what_waits)
{
    struct controlbench *b = with_job();
    cb_start(b, "j");
    int out = cb_open(b, "jobs/j/stdout", O_RDONLY), wait = cb_open(b, "jobs/j/wait", O_RDONLY),
        run = cb_open(b, "run", O_WRONLY);
    cr_assert_eq(cb_write(b, run, "x", 1), CB_PENDING_WRITE);
    uint64_t run_unique = b->unique;
    cr_assert_eq(cb_read(b, out, text, 10), CB_PENDING);
    uint64_t out_unique = b->unique;
    cr_assert_eq(cb_read(b, wait, text, 10), CB_PENDING);
    uint64_t wait_unique = b->unique;
    close(b->agent);
    b->agent = -1;
    cb_turn(b);
    cr_expect_eq(cb_result(b, run_unique), -ENOTCONN);
    cr_expect_str_eq(cb_took(b, out_unique), "");
    cr_expect_str_eq(cb_took(b, wait_unique), "lost\n");
    expect_broken(b, "connection to the guest agent ended");
}
