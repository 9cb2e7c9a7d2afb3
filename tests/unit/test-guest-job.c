/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/ctlversion.h"
#include "tests/unit/guesthost.h"

static struct guesthost *host;

static void up(void)
{
    host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON ",\"env\":{\"FROM_SESSION\":\"s\",\"BOTH\":\"session\"}}");
}

static void down(void)
{
    cr_assert_eq(host->broken.code, 0, "the session broke: %s", host->broken.text);
    guesthost_free(host);
}

TestSuite(guest_job, .init = up, .fini = down, .timeout = 60);

static bool never(struct guesthost *h, void *unused)
{
    (void)h;
    (void)unused;
    return false;
}

static bool job_printed(struct guesthost *h, void *data)
{
    const struct hostjob *job = data;
    (void)h;
    return job->len[CTL_STDOUT] > 0;
}

static bool exit_came(struct guesthost *h, void *data)
{
    const struct hostjob *job = data;
    (void)h;
    return job->exit != NULL;
}

Test(guest_job, a_command_can_be_longer_than_the_guests_own_frames)
{
    static char json[4 * CTL_MAX_FRAME];
    size_t len = (size_t)sprintf(json, "{\"argv\":[\"sh\",\"-c\",\"echo $#\",\"sh\"");
    for (int i = 0; i < 2000; i++)
        len += (size_t)sprintf(json + len, ",\"%0100d\"", i);
    strcpy(json + len, "]}");
    cr_assert_str_eq(guesthost_run(host, json)->out[CTL_STDOUT], "2000\n");
}

Test(guest_job, output_and_status_arrive)
{
    const struct hostjob *job = guesthost_run(host, "{\"cmd\":\"echo out; echo err >&2; exit 3\"}");
    cr_assert_str_eq(job->out[CTL_STDOUT], "out\n");
    cr_assert_str_eq(job->out[CTL_STDERR], "err\n");
    cr_assert_eq(hostjob_number(job, "code"), 3);
    cr_assert_gt(job->pid, 0);
    cr_assert_geq(hostjob_number(job, "wall_us"), 1);
}

Test(guest_job, death_by_signal_is_reported_as_such)
{
    const struct hostjob *job = guesthost_run(host, "{\"cmd\":\"kill -USR1 $$\"}");
    cr_assert_eq(hostjob_number(job, "signal"), SIGUSR1);
    cr_assert_eq(hostjob_number(job, "code"), -1);
}

Test(guest_job, argv_is_not_seen_by_a_shell)
{
    const struct hostjob *job = guesthost_run(host, "{\"argv\":[\"printf\",\"%s|\",\"a b\",\"$HOME\",\"\"]}");
    cr_assert_str_eq(job->out[CTL_STDOUT], "a b|$HOME||");
}

Test(guest_job, failures_to_start_have_code_sentence_and_errno)
{
    static const struct {
        const char *json;
        int code, error;
        const char *word;
    } cases[] = {
        {"{\"argv\":[\"no-such-program\"]}", 127, ENOENT, "PATH"},
        {"{\"argv\":[\"/no/such\"]}", 127, ENOENT, "/no/such"},
        {"{\"argv\":[\"/etc/passwd\"]}", 126, EACCES, "executable"},
        {"{\"argv\":[\"/etc/passwd/x\"]}", 127, ENOTDIR, "no such program"},
        {"{\"argv\":[\"/tmp\"]}", 126, EACCES, "directory"},
        {"{\"argv\":[\"true\"],\"cwd\":\"/no/such\"}", 126, ENOENT, "cwd: /no/such"},
        {"{\"argv\":[\"true\"],\"cwd\":\"relative\"}", 126, EINVAL, "absolute"},
        {"{\"argv\":[\"true\"],\"user\":\"nobody-at-all\"}", 126, ENOENT, "nobody-at-all"},
        {"{\"argv\":[]}", 126, EINVAL, "argv"},
        {"{}", 126, EINVAL, "cmd"},
        {"{\"cmd\":\"true\"", 126, EINVAL, "JSON"},
        {"[1]", 126, EINVAL, "object"},
        {"", 126, EINVAL, "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hostjob *job = guesthost_run(host, cases[i].json);
        cr_expect_eq(hostjob_number(job, "code"), cases[i].code, "%s", cases[i].json);
        cr_expect_eq(hostjob_number(job, "errno"), cases[i].error, "%s: %d", cases[i].json,
                     hostjob_number(job, "errno"));
        cr_expect_not_null(strstr(hostjob_string(job, "failed"), cases[i].word), "%s: %s", cases[i].json,
                           hostjob_string(job, "failed"));
    }
}

static void write_script(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

Test(guest_job, found_but_not_runnable_is_126)
{
    char path[64], json[128];
    snprintf(path, sizeof path, "/tmp/test-guest-job.%d", getpid());
    snprintf(json, sizeof json, "{\"argv\":[\"%s\"]}", path);
    write_script(path, "#!/no/such/interpreter\n");
    const struct hostjob *job = guesthost_run(host, json);
    cr_expect_eq(hostjob_number(job, "code"), 126);
    cr_expect_not_null(strstr(hostjob_string(job, "failed"), "interpreter"));
    write_script(path, "echo no first line\n");
    job = guesthost_run(host, json);
    cr_expect_eq(hostjob_number(job, "code"), 126);
    cr_expect_eq(hostjob_number(job, "errno"), ENOEXEC);
    unlink(path);
}

Test(guest_job, environment_of_the_job_wins_over_the_session)
{
    const struct hostjob *job = guesthost_run(
        host, "{\"cmd\":\"echo $FROM_SESSION $BOTH $JOB; echo ${PATH:+path} ${HOME:+home}\","
              "\"env\":{\"BOTH\":\"job\",\"JOB\":\"=j \"}}");
    cr_assert_str_eq(job->out[CTL_STDOUT], "s job =j\npath home\n");
}

Test(guest_job, path_of_the_job_is_searched)
{
    const struct hostjob *job = guesthost_run(host, "{\"argv\":[\"true\"],\"env\":{\"PATH\":\"/nowhere\"}}");
    cr_assert_eq(hostjob_number(job, "code"), 127);
    job = guesthost_run(host, "{\"argv\":[\"sh\",\"-c\",\"exit 5\"],\"env\":{\"PATH\":\"/nowhere::/bin\"}}");
    cr_assert_eq(hostjob_number(job, "code"), 5);
}

Test(guest_job, cwd_and_standard_state_are_clean)
{
    const struct hostjob *job =
        guesthost_run(host, "{\"cmd\":\"pwd; umask; ls /proc/self/fd | tr '\\\\n' ' '; "
                            "grep Sig[BI] /proc/self/status\",\"cwd\":\"/usr\"}");
    const char *signals = "/usr\n0022\n0 1 2 3 SigBlk:\t0000000000000000\nSigIgn:\t";
    cr_assert_eq(strncmp(job->out[CTL_STDOUT], signals, strlen(signals)), 0, "%s", job->out[CTL_STDOUT]);
    /* glibc keeps signals 32 and 33 for itself; a parent such as make(1) may hand them on ignored. */
    unsigned long long ignored = strtoull(job->out[CTL_STDOUT] + strlen(signals), NULL, 16);
    cr_assert_eq(ignored & ~(3ULL << (32 - 1)), 0, "%llx", ignored);
}

Test(guest_job, stdin_is_passed_on_to_its_end)
{
    struct hostjob *job = guesthost_start(host, "{\"argv\":[\"cat\"]}");
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, "one\n", 4);
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, "two\n", 4);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, NULL, 0);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "one\ntwo\n");
}

Test(guest_job, without_stdin_it_reads_the_null_device)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"cat; readlink /proc/self/fd/0\",\"stdin\":false}");
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "/dev/null\n");
}

/* Nothing is lost and nothing grows: exactly the window arrives, and the program is stopped by its full pipe. */
Test(guest_job, endless_output_stops_at_the_window_and_goes_on_with_credit)
{
    host->credit = false;
    struct hostjob *job = guesthost_start(host, "{\"argv\":[\"seq\",\"1\",\"200000\"]}");
    guesthost_until(host, never, NULL, 300);
    cr_assert_eq(job->len[CTL_STDOUT], (size_t)CTL_STREAM_WINDOW, "%zu", job->len[CTL_STDOUT]);
    host->credit = true;
    uint32_t credit = CTL_STREAM_WINDOW;
    guesthost_send(host, CTL_JOB_CREDIT, CTL_STDOUT, job->id, &credit, sizeof credit);
    cr_assert(guesthost_until(host, guesthost_ended, job, 10000));
    cr_assert_eq(job->len[CTL_STDOUT], 1288895u);
    cr_assert_str_eq(job->out[CTL_STDOUT] + job->len[CTL_STDOUT] - 14, "199999\n200000\n");
    const char *at = job->out[CTL_STDOUT];
    for (long i = 1; i <= 200000; i++) {
        char *end;
        cr_assert_eq(strtol(at, &end, 10), i);
        at = end + 1;
    }
}

/* The pipe holds more than the credit allows when the program ends. */
Test(guest_job, exit_waits_for_output_written_before_it)
{
    host->credit = false;
    struct hostjob *job = guesthost_start(
        host, "{\"cmd\":\"head -c 262144 /dev/zero; head -c 60000 /dev/zero\",\"stdin\":false}");
    cr_assert_not(guesthost_until(host, exit_came, job, 400), "JOB_EXIT overtook the output");
    cr_assert_eq(job->len[CTL_STDOUT], (size_t)CTL_STREAM_WINDOW);
    uint32_t credit = 60000;
    guesthost_send(host, CTL_JOB_CREDIT, CTL_STDOUT, job->id, &credit, sizeof credit);
    cr_assert(guesthost_until(host, exit_came, job, 5000));
    cr_assert_eq(job->len[CTL_STDOUT], (size_t)CTL_STREAM_WINDOW + 60000);
}

Test(guest_job, surviving_children_keep_the_streams_but_not_the_exit)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"(sleep 0.3; echo late) & echo early\",\"stdin\":false}");
    cr_assert(guesthost_until(host, exit_came, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "early\n");
    cr_assert_not(job->eof[CTL_STDOUT]);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "early\nlate\n");
}

Test(guest_job, exit_comes_although_a_child_prints_for_ever)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"yes & sleep 0.1\",\"stdin\":false}");
    cr_assert(guesthost_until(host, exit_came, job, 10000));
    guesthost_send(host, CTL_JOB_CLOSE, 0, job->id, NULL, 0);
    guesthost_until(host, never, NULL, 100);
    cr_assert_eq(kill(-job->pid, 0), -1, "JOB_CLOSE left the group alive");
}

static bool first_credit(struct guesthost *h, void *data)
{
    const struct hostjob *job = data;
    (void)h;
    return job->granted > 0;
}

Test(guest_job, stdin_has_its_own_window_back_when_consumed)
{
    static char block[32 * 1024];
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"read go < /dev/null; sleep 0.3; wc -c\"}");
    for (size_t sent = 0; sent < CTL_STREAM_WINDOW; sent += sizeof block)
        guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, block, sizeof block);
    cr_assert(guesthost_until(host, first_credit, job, 5000));
    cr_assert_leq(job->granted, (uint32_t)CTL_STREAM_WINDOW);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, block, job->granted < 9 ? job->granted : 9);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, NULL, 0);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "262153\n");
}

Test(guest_job, a_reader_that_is_gone_takes_no_session_down)
{
    static char block[64 * 1000];
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"exec <&-; sleep 0.4\"}");
    uint32_t sent = 0;
    while (sent < 1000 * 1000) {
        if (sent + sizeof block <= CTL_STREAM_WINDOW + job->granted) {
            guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, block, sizeof block);
            sent += sizeof block;
        }
        cr_assert_null(job->exit, "credit dried up at %u", sent);
        guesthost_until(host, never, NULL, 2);
    }
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
}

Test(guest_job, timeout_terminates_the_whole_group)
{
    const struct hostjob *job = guesthost_run(host, "{\"cmd\":\"sleep 50 & sleep 50\",\"timeout_ms\":100}");
    cr_assert_eq(hostjob_number(job, "signal"), SIGTERM);
    cr_assert_eq(hostjob_number(job, "timeout"), 1);
    cr_assert_lt(hostjob_number(job, "wall_us"), 1500000);
}

Test(guest_job, timeout_kills_what_ignores_sigterm)
{
    const struct hostjob *job =
        guesthost_run(host, "{\"cmd\":\"trap '' TERM; sleep 50; sleep 50\",\"timeout_ms\":100}");
    cr_assert_eq(hostjob_number(job, "signal"), SIGKILL);
    cr_assert_eq(hostjob_number(job, "timeout"), 1);
    cr_assert_geq(hostjob_number(job, "wall_us"), 2000000);
}

Test(guest_job, a_job_that_ends_in_time_has_no_timeout)
{
    const struct hostjob *job = guesthost_run(host, "{\"cmd\":\"true\",\"timeout_ms\":5000}");
    cr_assert_eq(hostjob_number(job, "timeout"), -1);
}

Test(guest_job, signals_reach_the_whole_group)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"sleep 50 | sleep 50 | (echo up; sleep 50)\"}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    uint32_t number = SIGINT;
    guesthost_send(host, CTL_JOB_SIGNAL, 0, job->id, &number, sizeof number);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_eq(hostjob_number(job, "signal"), SIGINT);
}

Test(guest_job, close_kills_and_says_nothing_more)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"yes\"}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    guesthost_send(host, CTL_JOB_CLOSE, 0, job->id, NULL, 0);
    guesthost_until(host, never, NULL, 100);
    cr_assert_null(job->exit);
    cr_assert_eq(kill(-job->pid, 0), -1);
    /* Late frames about it are ignored. */
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, "x", 1);
    guesthost_send(host, CTL_JOB_CLOSE, 0, job->id, NULL, 0);
    guesthost_until(host, never, NULL, 20);
}

Test(guest_job, terminal_has_size_and_one_stream)
{
    const struct hostjob *job =
        guesthost_run(host, "{\"cmd\":\"test -t 0 -a -t 1 -a -t 2 && stty size; echo e >&2; echo $TERM\","
                            "\"tty\":true,\"rows\":33,\"cols\":77}");
    cr_assert_not_null(job->out[CTL_STDOUT], "%s", json_object_to_json_string(job->exit));
    cr_assert_not_null(strstr(job->out[CTL_STDOUT], "33 77\r\ne\r\nxterm-256color\r\n"), "%s", job->out[CTL_STDOUT]);
    cr_assert_eq(job->len[CTL_STDERR], 0u);
    cr_assert_eq(hostjob_number(job, "code"), 0);
}

Test(guest_job, terminal_is_the_controlling_one_and_ctrl_c_works)
{
    struct hostjob *job =
        guesthost_start(host, "{\"cmd\":\"exec 3</dev/tty && echo has; exec sleep 50\",\"tty\":true}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    /* A shell that is just starting a program may miss it: so it is with every terminal. */
    guesthost_until(host, never, NULL, 300);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, "\003", 1);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_eq(hostjob_number(job, "signal"), SIGINT);
    cr_assert_not_null(strstr(job->out[CTL_STDOUT], "has\r\n"));
}

Test(guest_job, end_of_stdin_ends_a_program_on_a_terminal_even_in_mid_line)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"stty -echo; echo ready; cat; echo done\",\"tty\":true}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, "half a line", 11);
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, NULL, 0);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_str_eq(job->out[CTL_STDOUT], "ready\r\nhalf a linedone\r\n");
}

Test(guest_job, window_size_follows)
{
    struct hostjob *job = guesthost_start(
        host, "{\"cmd\":\"trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.05; done\",\"tty\":true}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    uint16_t size[2] = {50, 100};
    guesthost_send(host, CTL_JOB_WINSIZE, 0, job->id, size, sizeof size);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_not_null(strstr(job->out[CTL_STDOUT], "50 100\r\n"));
}

Test(guest_job, a_terminal_loses_nothing_of_a_long_output)
{
    const struct hostjob *job = guesthost_run(host, "{\"argv\":[\"seq\",\"1\",\"30000\"],\"tty\":true}");
    cr_assert_eq(job->len[CTL_STDOUT], 168894u + 30000, "%zu", job->len[CTL_STDOUT]);
}

/* The kernel flushes a terminal's buffers when the session's leader ends. */
Test(guest_job, a_terminal_keeps_what_the_host_has_no_credit_for)
{
    host->credit = false;
    struct hostjob *job = guesthost_start(
        host, "{\"cmd\":\"head -c 262144 /dev/zero; head -c 20000 /dev/zero; printf end\",\"tty\":true}");
    guesthost_until(host, never, NULL, 400);
    cr_assert_eq(job->len[CTL_STDOUT], (size_t)CTL_STREAM_WINDOW);
    uint32_t credit = CTL_STREAM_WINDOW;
    guesthost_send(host, CTL_JOB_CREDIT, CTL_STDOUT, job->id, &credit, sizeof credit);
    cr_assert(guesthost_until(host, exit_came, job, 5000));
    cr_assert_eq(job->len[CTL_STDOUT], (size_t)CTL_STREAM_WINDOW + 20003, "%zu bytes lost",
                 CTL_STREAM_WINDOW + 20003 - job->len[CTL_STDOUT]);
}

static bool all_ended(struct guesthost *h, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < h->job_count; i++) {
        if (!guesthost_ended(h, &h->jobs[i]))
            return false;
    }
    return true;
}

Test(guest_job, a_hundred_jobs_at_once)
{
    for (int i = 0; i < 100; i++)
        guesthost_start(host, "{\"cmd\":\"head -c 100000 /dev/zero; exit 4\",\"stdin\":false}");
    cr_assert(guesthost_until(host, all_ended, NULL, 30000));
    for (size_t i = 0; i < host->job_count; i++) {
        cr_assert_eq(host->jobs[i].len[CTL_STDOUT], 100000u);
        cr_assert_eq(hostjob_number(&host->jobs[i], "code"), 4);
    }
}

Test(guest_job, an_endless_printer_does_not_starve_others)
{
    struct hostjob *loud = guesthost_start(host, "{\"cmd\":\"yes\"}");
    cr_assert(guesthost_until(host, job_printed, loud, 5000));
    const struct hostjob *job = guesthost_run(host, "{\"cmd\":\"echo quiet\"}");
    cr_assert_str_eq(job->out[CTL_STDOUT], "quiet\n");
    guesthost_send(host, CTL_JOB_CLOSE, 0, loud->id, NULL, 0);
}

Test(guest_job, shutdown_refuses_new_jobs_and_signals_all)
{
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"echo up; sleep 50\"}");
    cr_assert(guesthost_until(host, job_printed, job, 5000));
    cr_assert_eq(jobs_running(session_jobs(host->session)), 1u);
    jobs_shutdown(session_jobs(host->session), SIGTERM);
    cr_assert(guesthost_until(host, guesthost_ended, job, 5000));
    cr_assert_eq(hostjob_number(job, "signal"), SIGTERM);
    cr_assert_eq(jobs_running(session_jobs(host->session)), 0u);
    const struct hostjob *late = guesthost_run(host, "{\"cmd\":\"true\"}");
    cr_assert_eq(hostjob_number(late, "errno"), ESHUTDOWN);
}

/* A FUSE file system that nobody serves, seen by a new session (its threads have to be made after the unsharing). */
static int mount_hanging(const char *where)
{
    char options[80];
    guesthost_free(host);
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    bool mounted = fd >= 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("hanging", where, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
    up();
    if (!mounted) {
        rmdir(where);
        cr_skip_test("needs the right to mount FUSE");
    }
    return fd;
}

static bool nobody_is_left(struct guesthost *h, void *unused)
{
    (void)unused;
    return jobs_running(session_jobs(h->session)) == 0;
}

Test(guest_job, a_start_that_hangs_stops_nobody_else_and_can_be_closed)
{
    char where[] = "/tmp/test-guest-job.XXXXXX", json[128];
    cr_assert_not_null(mkdtemp(where));
    int fuse = mount_hanging(where);
    snprintf(json, sizeof json, "{\"argv\":[\"true\"],\"cwd\":\"%s/x\"}", where);
    struct hostjob *stuck = guesthost_start(host, json);
    struct hostjob *limited = guesthost_start(host, "{\"cmd\":\"true\"}");
    cr_assert(guesthost_until(host, exit_came, limited, 5000), "the other job did not run");
    guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, stuck->id, "x", 1);
    guesthost_send(host, CTL_JOB_CLOSE, 0, stuck->id, NULL, 0);
    cr_assert(guesthost_until(host, nobody_is_left, NULL, 5000));
    cr_assert_null(stuck->exit);
    umount2(where, MNT_DETACH);
    close(fuse);
    rmdir(where);
}

Test(guest_job, a_start_that_hangs_obeys_its_timeout)
{
    char where[] = "/tmp/test-guest-job.XXXXXX", json[128];
    cr_assert_not_null(mkdtemp(where));
    int fuse = mount_hanging(where);
    snprintf(json, sizeof json, "{\"argv\":[\"true\"],\"cwd\":\"%s/x\",\"timeout_ms\":100}", where);
    const struct hostjob *job = guesthost_run(host, json);
    cr_assert_eq(hostjob_number(job, "signal"), SIGKILL, "%s", json_object_to_json_string(job->exit));
    cr_assert_eq(hostjob_number(job, "timeout"), 1);
    umount2(where, MNT_DETACH);
    close(fuse);
    rmdir(where);
}

Test(guest_job, another_user)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    const struct hostjob *job =
        guesthost_run(host, "{\"cmd\":\"id -u; id -g; id -G; echo $USER; pwd\",\"user\":\"nobody\"}");
    cr_assert_not_null(job->out[CTL_STDOUT]);
    cr_assert_str_eq(job->out[CTL_STDOUT], "65534\n65534\n65534\nnobody\n/\n");
}
