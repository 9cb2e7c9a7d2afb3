/* SPDX-License-Identifier: Apache-2.0 */
/* The files of jobs as a user finds them; the guest behaves. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/controlbench.h"
#include "tests/unit/ctlversion.h"

static char text[CB_READ_MAX + 1];

static struct controlbench *with_job(const char *cmd)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(cb_mkdir(b, "jobs", "j"), 0);
    cr_assert_eq(cb_put(b, "jobs/j/cmd", cmd), 0);
    return b;
}

static void end_with(struct controlbench *b, uint32_t id, const char *json)
{
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, NULL, 0);
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDERR, id, NULL, 0);
    cb_agent_json(b, CTL_JOB_EXIT, id, json);
}

/* ---- names and values ---- */

Test(jobs, names)
{
    struct controlbench *b = cb_new_jobs();
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = '\0';
    const char *const bad[] = {".", "..", ".x", "-x", "12", "a b", "a\nb", "\xff\xfe", "\u00e9", "a*b", long_name, "n\033[2J"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(cb_mkdir(b, "jobs", bad[i]), -EINVAL, "%s", bad[i]);
    long_name[65] = '\0';
    cr_expect_eq(cb_mkdir(b, "jobs", long_name), -EINVAL);
    long_name[64] = '\0';
    cr_expect_eq(cb_mkdir(b, "jobs", long_name), 0);
    cr_expect_eq(cb_mkdir(b, "jobs", long_name), -EEXIST);
    cr_expect_eq(cb_mkdir(b, "jobs", "clone"), -EEXIST);
    cr_expect_eq(cb_mkdir(b, "jobs", "A-b_c.9"), 0);
    cr_expect_eq(cb_rmdir(b, "jobs", long_name), 0);
    cr_expect_eq(cb_rmdir(b, "jobs", long_name), -ENOENT);
    cr_expect_eq(cb_rmdir(b, "jobs", "clone"), -ENOTDIR);
    cb_free(b);
}

Test(jobs, values_are_checked_and_read_back)
{
    struct controlbench *b = with_job("echo a\necho b\n");
    cr_expect_str_eq(cb_get(b, "jobs/j/cmd"), "echo a\necho b\n");
    cr_expect_eq(cb_put(b, "jobs/j/argv", "printf '%s' \"a b\" c\\ d"), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/cmd"), "", "one of them");
    cr_expect_eq(cb_put(b, "jobs/j/argv", "'unbalanced"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/argv", "  \n "), -EINVAL);
    cr_expect_str_eq(cb_get(b, "jobs/j/argv"), "printf '%s' \"a b\" c\\ d\n", "what is refused changes nothing");
    cr_expect_eq(cb_put(b, "jobs/j/env", "A=1 'B=x y'\nC="), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/env"), "A=1\n'B=x y'\nC=\n");
    cr_expect_eq(cb_put(b, "jobs/j/env", "A"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/env", "=1"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/cwd", ""), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/cwd", "/a\n/b"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/cwd", "srv"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/cwd", "/srv\n"), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/cwd"), "/srv\n");
    static const char *const bad_times[] = {"", "0", "-1", "1x", "99999999999999999999", "max1", "1 2"};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++)
        cr_expect_eq(cb_put(b, "jobs/j/timeout_ms", bad_times[i]), -EINVAL, "%s", bad_times[i]);
    cr_expect_eq(cb_put(b, "jobs/j/timeout_ms", "1500"), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/timeout_ms"), "1500\n");
    cr_expect_eq(cb_put(b, "jobs/j/timeout_ms", "max\n"), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/timeout_ms"), "max\n");
    cr_expect_eq(cb_put(b, "jobs/j/tty", "2"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/tty", "1\n"), 0);
    cb_free(b);
}

Test(jobs, lines_written_one_by_one_add_up)
{
    struct controlbench *b = with_job("x");
    int h = cb_open(b, "jobs/j/env", O_WRONLY);
    cr_expect_eq(cb_write_at(b, h, "A=1\n", 4, 0, 0), 0);
    cr_expect_eq(cb_write_at(b, h, "B=2\n", 4, 4, 0), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/env"), "A=1\nB=2\n");
    cr_expect_eq(cb_write_at(b, h, "C=3\n", 4, 0, 0), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/env"), "C=3\n");
    cr_expect_eq(cb_write_at(b, h, "D=a", 3, 0, 0), 0);
    cr_expect_eq(cb_write_at(b, h, "b E=c\n", 6, 3, 0), 0, "a word in two pieces");
    cr_expect_str_eq(cb_get(b, "jobs/j/env"), "D=ab\nE=c\n");
    static char big[192 * 1024];
    memset(big, 'v', sizeof big);
    big[0] = 'B', big[1] = '=';
    cr_expect_eq(cb_write_at(b, h, big, sizeof big, 0, 0), 0);
    cr_expect_eq(cb_write_at(b, h, big, sizeof big, sizeof big, 0), -EMSGSIZE);
    cr_expect_eq(cb_write_at(b, h, "A=\0", 3, 0, 0), -EINVAL);
    cb_free(b);
}

/* ---- ctl ---- */

Test(jobs, all_lines_are_checked_before_the_first_runs)
{
    struct controlbench *b = with_job("x");
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\nkill FOO\n"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\nclose stdout\n"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\nwinsize 10 x\n"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\nfrobnicate\n"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start now\n"), -EINVAL);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\n'kill\n"), -EINVAL);
    cr_expect_str_eq(cb_get(b, "jobs/j/status"), "state new\nwall_us 0\nuser_us 0\nsys_us 0\nstdout_bytes 0\nstderr_bytes 0\n");
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "kill\n"), -EBUSY);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", ""), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "\n\n start \nkill sigint\nwinsize 30 100\n"), 0);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    cr_assert(cb_agent_find(b, CTL_JOB_SIGNAL));
    cr_expect_eq(b->payload[0], 2);
    cr_assert(cb_agent_find(b, CTL_JOB_WINSIZE));
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start\n"), -EBUSY);
    cr_expect_eq(cb_put(b, "jobs/j/cmd", "late"), -EBUSY);
    int h = cb_open(b, "jobs/j/ctl", O_WRONLY);
    cr_expect_eq(cb_write(b, h, "kill\0", 5), -EINVAL);
    memset(text, '\n', 4096);
    cr_expect_eq(cb_write(b, h, text, 65), -EMSGSIZE, "a limit on lines");
    cr_expect(strstr(cb_get(b, "jobs/j/ctl"), "winsize ROWS COLUMNS"));
    cb_free(b);
}

Test(jobs, what_is_started_is_what_was_written)
{
    struct controlbench *b = with_job("x");
    cr_expect_eq(cb_put(b, "jobs/j/argv", "prog 'a b' \"c\"\"d\" \\'"), 0);
    cr_expect_eq(cb_put(b, "jobs/j/env", "K='v w'"), 0);
    cr_expect_eq(cb_put(b, "jobs/j/user", "nobody"), 0);
    cr_expect_eq(cb_put(b, "jobs/j/timeout_ms", "7"), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "close stdin\nstart"), 0);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    cr_expect_str_eq((const char *)b->payload,
                     "{\"argv\":[\"prog\",\"a b\",\"cd\",\"'\"],\"env\":{\"K\":\"v w\"},\"user\":\"nobody\","
                     "\"timeout_ms\":7,\"stdin\":false}");
    cb_free(b);
}

Test(jobs, a_long_command_is_one_write_and_one_frame)
{
    enum { LIMIT = 256 * 1024 };
    static char words[LIMIT + 1];
    struct controlbench *b = cb_new_jobs();
    cb_mkdir(b, "jobs", "j");
    memset(words, '/', LIMIT);
    for (size_t i = 4; i < LIMIT; i += 100)
        words[i] = ' ';
    cr_expect_eq(cb_put(b, "jobs/j/argv", words), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), -EMSGSIZE, "an agent of before takes 64 KiB");
    cb_free(b);
    b = cb_new_jobs_silent();
    cb_mkdir(b, "jobs", "j");
    cb_agent_json(b, CTL_HELLO, 0, "{" CTL_VERSION_JSON "}");
    cb_agent_json(b, CTL_READY, 0, "{\"max_frame\":1048576}");
    cr_expect_eq(cb_put(b, "jobs/j/argv", words), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), 0);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    cr_expect_gt(b->payload_len, (size_t)LIMIT);
    cb_free(b);
}

Test(jobs, a_start_that_cannot_be)
{
    struct controlbench *b = cb_new_jobs();
    cb_mkdir(b, "jobs", "j");
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), -EINVAL);
    memset(text, 1, 60000); /* each a six-byte escape */
    text[60000] = '\0';
    cr_expect_eq(cb_put(b, "jobs/j/cmd", text), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), -EMSGSIZE);
    cr_expect_eq(cb_put(b, "jobs/j/cmd", "x"), 0);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), 0, "and can be put right");
    cb_free(b);
    b = cb_new_jobs_silent();
    cb_mkdir(b, "jobs", "j");
    cb_put(b, "jobs/j/cmd", "x");
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "start"), -EAGAIN);
    cb_free(b);
}

/* ---- wait ---- */

Test(jobs, wait_answers_byte_by_byte_and_then_ends)
{
    struct controlbench *b = with_job("x");
    uint32_t id = cb_start(b, "j");
    int h = cb_open(b, "jobs/j/wait", O_RDONLY), nonblocking = cb_open(b, "jobs/j/wait", O_RDONLY | O_NONBLOCK);
    cr_expect_eq(cb_read(b, h, text, 1), CB_PENDING);
    uint64_t unique = b->unique;
    cr_expect_eq(cb_read_at(b, nonblocking, text, 1, 0, O_NONBLOCK), -EAGAIN);
    cr_expect_eq(cb_poll(b, nonblocking), 0u);
    cb_agent_json(b, CTL_JOB_EXIT, id, "{\"code\":7}");
    cr_expect_str_eq(cb_took(b, unique), "e");
    cr_expect_eq(b->handles[nonblocking].notified, 1u);
    cr_expect_eq(cb_poll(b, nonblocking), (unsigned)POLLIN);
    cr_expect_eq(cb_read(b, h, text, 3), 3);
    cr_expect_str_eq(text, "xit");
    cr_expect_eq(cb_read(b, h, text, 100), 3);
    cr_expect_str_eq(text, " 7\n");
    cr_expect_eq(cb_read(b, h, text, 100), 0);
    cr_expect_eq(cb_read(b, h, text, 100), 0);
    cr_expect_str_eq(cb_get(b, "jobs/j/wait"), "exit 7\n", "who comes late gets it at once");
    cr_expect(strstr(cb_get(b, "jobs/j/status"), "state exited\npid 42\nexit 7\n"));
    cb_free(b);
}

Test(jobs, ends_of_all_kinds)
{
    static const struct {
        const char *json, *line;
    } ends[] = {
        {"{\"code\":0}", "exit 0\n"},
        {"{\"signal\":9}", "signal 9\n"},
        {"{\"signal\":15,\"timeout\":true}", "timeout\n"},
        {"{\"code\":127,\"failed\":\"no such program\",\"errno\":2}", "failed 127 no such program\n"},
        {"{\"code\":126,\"failed\":\"a\\u001b[2J\\nb\"}", "failed 126 a?[2J?b\n"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct controlbench *b = with_job("x");
        uint32_t id = cb_start(b, "j");
        end_with(b, id, ends[i].json);
        cr_expect_str_eq(cb_get(b, "jobs/j/wait"), ends[i].line);
        cr_expect_str_eq(b->last_event, "job-exit j");
        cb_free(b);
    }
}

Test(jobs, a_wait_can_be_given_up)
{
    struct controlbench *b = with_job("x");
    cb_start(b, "j");
    int h = cb_open(b, "jobs/j/wait", O_RDONLY);
    cr_expect_eq(cb_read(b, h, text, 100), CB_PENDING);
    cr_expect_eq(cb_interrupt(b, b->unique), -EINTR);
    cr_expect_eq(cb_read(b, h, text, 100), CB_PENDING);
    uint64_t unique = b->unique;
    cr_expect_eq(cb_rmdir(b, "jobs", "j"), 0);
    cr_expect_str_eq(cb_took(b, unique), "lost\n");
    cr_expect(cb_agent_find(b, CTL_JOB_CLOSE));
    cb_free(b);
}

/* ---- output ---- */

Test(jobs, output_passes_and_credit_goes_back_in_pieces)
{
    struct controlbench *b = with_job("x");
    uint32_t id = cb_start(b, "j");
    int h = cb_open(b, "jobs/j/stdout", O_RDONLY);
    cr_expect_eq(cb_open(b, "jobs/j/stdout", O_RDONLY), -EBUSY);
    cr_expect(strstr(control_last_error(b->control), "stdout: job j"));
    cr_expect_eq(cb_read(b, h, text, 100), CB_PENDING);
    uint64_t unique = b->unique;
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "hello", 5);
    cr_expect_str_eq(cb_took(b, unique), "hello");
    cr_expect_not(cb_agent_take(b), "five bytes are no reason for a frame");
    size_t total = 5;
    uint64_t credited = 0;
    static uint8_t piece[50000];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (uint8_t)(i * 7);
    while (total < 4 << 20) {
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, piece, sizeof piece);
        cr_assert_not(b->link_closed, "%s", b->why);
        for (size_t got = 0; got < sizeof piece;) {
            ssize_t n = cb_read(b, h, text, 33333);
            cr_assert_gt(n, 0);
            cr_assert(memcmp(text, piece + got, (size_t)n) == 0, "at %zu", total + got);
            got += (size_t)n;
        }
        total += sizeof piece;
        while (cb_agent_find(b, CTL_JOB_CREDIT)) {
            uint32_t n;
            memcpy(&n, b->payload, sizeof n);
            credited += n;
        }
        cr_assert_leq(credited, total);
        cr_assert_gt(credited + CTL_STREAM_WINDOW, total + sizeof piece);
    }
    end_with(b, id, "{\"code\":0}");
    cr_expect_eq(cb_read(b, h, text, 100), 0);
    cr_expect_eq(cb_poll(b, h), (unsigned)(POLLIN | POLLHUP));
    cb_free(b);
}

Test(jobs, a_window_read_in_single_bytes)
{
    struct controlbench *b = with_job("x");
    uint32_t id = cb_start(b, "j");
    static uint8_t piece[32 * 1024];
    for (int i = 0; i < CTL_STREAM_WINDOW / (int)sizeof piece; i++)
        cb_agent_send(b, CTL_JOB_DATA, CTL_STDERR, id, piece, sizeof piece);
    int h = cb_open(b, "jobs/j/stderr", O_RDONLY);
    for (int i = 0; i < 3000; i++)
        cr_assert_eq(cb_read(b, h, text, 1), 1);
    cr_expect_not(cb_agent_take(b));
    cb_free(b);
}

Test(jobs, a_closed_output_can_be_opened_again_where_it_was)
{
    struct controlbench *b = with_job("x");
    uint32_t id = cb_start(b, "j");
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "abcdef", 6);
    int h = cb_open(b, "jobs/j/stdout", O_RDONLY);
    cr_expect_eq(cb_read(b, h, text, 3), 3);
    cb_release(b, h);
    h = cb_open(b, "jobs/j/stdout", O_RDONLY);
    cr_expect_eq(cb_read(b, h, text, 100), 3);
    cr_expect_str_eq(text, "def");
    cb_free(b);
}

/* ---- stdin ---- */

static size_t agent_stdin(struct controlbench *b, bool *ended)
{
    size_t total = 0;
    while (cb_agent_take(b)) {
        if (b->frame.type != CTL_JOB_DATA)
            continue;
        cr_expect_eq(b->frame.flags, CTL_STDIN);
        if (!b->payload_len)
            *ended = true;
        else
            cr_expect_not(*ended, "data behind the end");
        total += b->payload_len;
    }
    return total;
}

Test(jobs, input_is_sent_as_the_guest_has_room)
{
    struct controlbench *b = with_job("cat");
    int early = cb_open(b, "jobs/j/stdin", O_WRONLY);
    cr_expect_eq(cb_write(b, early, "x", 1), -EBUSY, "not started");
    uint32_t id = cb_start(b, "j"), n = 100000;
    static char data[128 * 1024];
    bool ended = false;
    cr_expect_eq(cb_open(b, "jobs/j/stdin", O_WRONLY), -EBUSY);
    cr_expect_eq(cb_write(b, early, data, sizeof data), 0);
    cr_expect_eq(cb_write(b, early, data, sizeof data), 0);
    cr_expect_eq(cb_poll(b, early), 0u, "the window is full");
    cr_expect_eq(cb_write_at(b, early, data, 10, 0, O_NONBLOCK), -EAGAIN);
    cr_expect_eq(cb_write(b, early, data, sizeof data), CB_PENDING_WRITE);
    uint64_t unique = b->unique;
    cr_expect_eq(cb_write(b, early, data, 1), -EBUSY);
    cr_expect_eq(agent_stdin(b, &ended), (size_t)CTL_STREAM_WINDOW);
    cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, sizeof n);
    cr_expect_eq(cb_result(b, unique), CB_PENDING);
    cr_expect_eq(agent_stdin(b, &ended), 100000u);
    cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, sizeof n);
    cr_expect_eq(cb_result(b, unique), 0);
    cr_expect_eq(agent_stdin(b, &ended), sizeof data - 100000);
    cr_expect_eq(b->handles[early].notified, 1u);
    cr_expect_not(ended);
    cb_release(b, early);
    cr_expect_eq(agent_stdin(b, &ended), 0u);
    cr_expect(ended);
    cr_expect_eq(cb_open(b, "jobs/j/stdin", O_WRONLY), -EPIPE);
    cb_free(b);
}

/* Fills the window and parks one more write; returns its unique. */
static uint64_t park_write(struct controlbench *b, int h, size_t len)
{
    static char data[128 * 1024];
    cb_write(b, h, data, sizeof data);
    cb_write(b, h, data, sizeof data);
    cr_assert_eq(cb_write(b, h, data, len), CB_PENDING_WRITE);
    return b->unique;
}

Test(jobs, close_stdin_under_a_parked_write)
{
    struct controlbench *b = with_job("cat");
    uint32_t id = cb_start(b, "j"), n = 1000;
    int h = cb_open(b, "jobs/j/stdin", O_WRONLY);
    uint64_t unique = park_write(b, h, 5000);
    cr_expect_eq(cb_put(b, "jobs/j/ctl", "close stdin"), 0);
    cr_expect_eq(cb_result(b, unique), -EPIPE);
    cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, sizeof n);
    bool ended = false;
    cr_expect_eq(agent_stdin(b, &ended), (size_t)CTL_STREAM_WINDOW);
    cr_expect(ended);
    cr_expect_eq(cb_write(b, h, "x", 1), -EPIPE);
    cb_free(b);
}

Test(jobs, a_parked_write_ends_with_the_job_or_the_caller)
{
    struct controlbench *b = with_job("cat");
    uint32_t id = cb_start(b, "j"), n = 1000;
    int h = cb_open(b, "jobs/j/stdin", O_WRONLY);
    uint64_t unique = park_write(b, h, 5000);
    cb_agent_send(b, CTL_JOB_CREDIT, CTL_STDIN, id, &n, sizeof n);
    cr_expect_eq(cb_interrupt(b, unique), 0, "what was sent counts");
    struct fuse_write_out { uint32_t size, padding; } out;
    memcpy(&out, cb_reply(b, unique)->body, sizeof out);
    cr_expect_eq(out.size, 1000u);
    char data[10] = "";
    cr_expect_eq(cb_write(b, h, data, 10), CB_PENDING_WRITE);
    unique = b->unique;
    cr_expect_eq(cb_poll(b, h), 0u);
    end_with(b, id, "{\"code\":0}");
    cr_expect_eq(cb_result(b, unique), -EPIPE);
    cr_expect_eq(cb_poll(b, h), (unsigned)POLLERR);
    cr_expect_eq(b->handles[h].notified, 1u);
    cb_free(b);
}

/* ---- clone and last ---- */

Test(jobs, clone)
{
    struct controlbench *b = cb_new_jobs();
    cr_expect_eq(cb_open(b, "jobs/clone", O_RDONLY), -EACCES);
    cr_expect_eq(cb_open(b, "jobs/clone", O_WRONLY), -EACCES);
    cr_expect(strstr(control_last_error(b->control), "clone: makes a job"));
    int h = cb_open(b, "jobs/clone", O_RDWR);
    cr_assert_geq(h, 0);
    cr_expect_eq(cb_read(b, h, text, 1), 1, "as a shell reads");
    cr_expect_eq(cb_read(b, h, text + 1, 1), 1);
    cr_expect_eq(cb_read(b, h, text + 2, 1), 0);
    cr_expect_str_eq(text, "1\n");
    cr_expect_eq(cb_write(b, h, "start", 5), -EINVAL);
    cr_expect_gt(cb_read(b, h, text, 100), 0);
    cr_expect_str_eq(text, "start: job 1 has no command; write cmd or argv first\n");
    cr_expect_eq(cb_put(b, "jobs/1/cmd", "x"), 0);
    cr_expect_eq(cb_write(b, h, "start", 5), 0);
    cr_expect_eq(cb_read(b, h, text, 100), 0);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    int out = cb_open(b, "jobs/1/stdout", O_RDONLY);
    cb_release(b, h);
    cr_expect(cb_agent_find(b, CTL_JOB_CLOSE));
    cr_expect_eq(cb_lookup(b, "jobs/1"), 0u);
    cr_expect_eq(cb_read(b, out, text, 10), 0);
    cb_free(b);
}

Test(jobs, clone_outlives_a_removed_job)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "jobs/clone", O_RDWR);
    cr_expect_eq(cb_rmdir(b, "jobs", "1"), 0);
    cr_expect_eq(cb_write(b, h, "start", 5), -ESTALE);
    cb_release(b, h);
    cb_free(b);
}

static const char *last(struct controlbench *b)
{
    uint64_t node = cb_lookup(b, "last");
    if (!node || cb_ask(b, 5 /* READLINK */, node, NULL, 0) != 0)
        return "(absent)";
    return cb_took(b, b->unique);
}

Test(jobs, last_is_the_newest_started_that_is_there)
{
    struct controlbench *b = with_job("x");
    cr_expect_str_eq(last(b), "(absent)");
    cb_mkdir(b, "jobs", "k");
    cb_put(b, "jobs/k/cmd", "x");
    cb_start(b, "k");
    cr_expect_str_eq(last(b), "jobs/k");
    cb_start(b, "j");
    cr_expect_str_eq(last(b), "jobs/j");
    cb_rmdir(b, "jobs", "j");
    cr_expect_str_eq(last(b), "jobs/k");
    cb_free(b);
}

/* ---- run ---- */

static uint32_t begin_run(struct controlbench *b, int h, const char *line)
{
    cr_assert_eq(cb_write(b, h, line, strlen(line)), CB_PENDING_WRITE);
    cr_assert(cb_agent_find(b, CTL_JOB_START));
    uint32_t id = b->frame.id;
    cb_agent_json(b, CTL_JOB_STARTED, id, "{\"pid\":2}");
    return id;
}

Test(jobs, run_answers_with_the_commands_success)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_RDWR);
    uint32_t id = begin_run(b, h, "echo hi\n");
    cr_expect_str_eq((const char *)b->payload, "{\"cmd\":\"echo hi\",\"stdin\":false}");
    uint64_t unique = b->unique;
    cb_agent_send(b, CTL_JOB_DATA, CTL_STDOUT, id, "hi\n", 3);
    end_with(b, id, "{\"code\":0}");
    cr_expect_eq(cb_result(b, unique), 0);
    cr_expect_eq(cb_read(b, h, text, 2), 2);
    cr_expect_eq(cb_read_at(b, h, text + 2, 100, 77, 0), 1, "what was read back so far is what counts");
    cr_expect_str_eq(text, "hi\n");
    cr_expect_str_eq(cb_get(b, "last/../jobs/1/stdout") ? "" : "", "");
    cr_expect_str_eq(cb_get(b, "jobs/1/stdout"), "hi\n");
    cr_expect_str_eq(cb_get(b, "jobs/1/stdout"), "hi\n", "kept for any number of readers");
    cr_expect_eq(cb_write(b, h, "\n\n", 2), -EINVAL);
    cr_expect_eq(cb_write(b, h, "a\0b", 3), -EINVAL);
    cb_free(b);
}

Test(jobs, run_tells_failures_apart)
{
    static const struct {
        const char *json;
        int error;
        const char *sentence;
    } ends[] = {
        {"{\"code\":3}", -EREMOTEIO, "run: \"x\": exited with 3"},
        {"{\"signal\":11}", -EREMOTEIO, "run: \"x\": was ended by signal 11"},
        {"{\"code\":143,\"timeout\":true}", -ETIMEDOUT, "run: \"x\": ran out of its time"},
        {"{\"code\":127,\"failed\":\"gone\"}", -ENOENT, "run: \"x\": gone"},
        {"{\"code\":126,\"failed\":\"not for me\"}", -ENOEXEC, "run: \"x\": not for me"},
    };
    struct controlbench *b = cb_new_jobs();
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int h = cb_open(b, "run", O_WRONLY);
        uint32_t id = begin_run(b, h, "x");
        uint64_t unique = b->unique;
        end_with(b, id, ends[i].json);
        cr_expect_eq(cb_result(b, unique), ends[i].error);
        cr_expect_str_eq(control_last_error(b->control), ends[i].sentence);
        cb_release(b, h);
    }
    cb_free(b);
}

Test(jobs, run_that_is_interrupted_kills)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_RDWR);
    uint32_t id = begin_run(b, h, "sleep 9");
    uint64_t unique = b->unique;
    cr_expect_eq(cb_write(b, h, "y", 1), -EBUSY);
    cr_expect_eq(cb_interrupt(b, unique), -EINTR);
    cr_assert(cb_agent_find(b, CTL_JOB_SIGNAL));
    cr_expect_eq(b->payload[0], 9);
    end_with(b, id, "{\"signal\":9}");
    cb_free(b);
}

/* As Python's buffered files do: the failed write again, on close. */
Test(jobs, a_failed_run_is_not_run_again_by_a_buffered_writer)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_WRONLY);
    uint32_t id = begin_run(b, h, "false");
    uint64_t unique = b->unique;
    end_with(b, id, "{\"code\":1}");
    cr_expect_eq(cb_result(b, unique), -EREMOTEIO);
    cr_expect_eq(cb_write(b, h, "false", 5), -EREMOTEIO, "answered, not run");
    cr_expect_not(cb_agent_find(b, CTL_JOB_START));
    id = begin_run(b, h, "false");
    end_with(b, id, "{\"code\":1}");
    struct { uint64_t fh; uint32_t unused, padding; uint64_t lock_owner; } flush = {.fh = b->handles[h].fh};
    cb_ask(b, 25 /* FLUSH */, b->handles[h].node, &flush, sizeof flush);
    id = begin_run(b, h, "false"); /* a shell has closed a duplicate in between */
    end_with(b, id, "{\"code\":1}");
    cb_wait(b, 150);
    id = begin_run(b, h, "false"); /* or some time has passed */
    end_with(b, id, "{\"code\":0}");
    begin_run(b, h, "false"); /* or it was none */
    cb_free(b);
}

Test(jobs, old_runs_make_room)
{
    struct controlbench *b = cb_new_jobs();
    int h = cb_open(b, "run", O_WRONLY);
    for (int i = 0; i < 60; i++)
        end_with(b, begin_run(b, h, "x"), "{\"code\":0}");
    cr_expect_eq(cb_lookup(b, "jobs/5"), 0u);
    cr_expect_neq(cb_lookup(b, "jobs/60"), 0u);
    cr_expect_str_eq(last(b), "jobs/60");
    cb_free(b);
}

Test(jobs, there_are_at_most_1024)
{
    struct controlbench *b = cb_new_jobs();
    char name[16];
    for (int i = 0; i < 1024; i++) {
        snprintf(name, sizeof name, "n%d", i);
        cr_assert_eq(cb_mkdir(b, "jobs", name), 0);
        if (i % 100 == 0)
            for (size_t r = b->reply_count; r-- > 0; b->reply_count = r)
                free(b->replies[r].body);
    }
    cr_expect_eq(cb_mkdir(b, "jobs", "more"), -ENOSPC);
    cr_expect(strstr(control_last_error(b->control), "1024"));
    cr_expect_eq(cb_open(b, "jobs/clone", O_RDWR), -ENOSPC);
    cr_expect_eq(cb_rmdir(b, "jobs", "n7"), 0);
    cr_expect_eq(cb_mkdir(b, "jobs", "more"), 0);
    cb_free(b);
}
