/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guest/programs.h"
#include "tests/unit/ctlversion.h"
#include "tests/unit/guesthost.h"

static bool count_reached(struct guesthost *host, void *type)
{
    return host->counts[*(enum ctl_type *)type] > 0;
}

static bool wait_frame(struct guesthost *host, enum ctl_type type)
{
    return guesthost_until(host, count_reached, &type, 5000);
}

Test(guest_session, hello_names_versions_and_phases)
{
    struct guesthost *host = guesthost_new();
    struct json_object *hello = json_tokener_parse(host->last), *value;
    cr_assert(json_object_object_get_ex(hello, "version", &value) && json_object_get_int(value) == CTL_VERSION);
    cr_assert(json_object_object_get_ex(hello, "arch", NULL));
    cr_assert(json_object_object_get_ex(hello, "boot_us", &value));
    cr_assert(json_object_object_get_ex(value, "ports", &value) && json_object_get_int(value) == 4);
    json_object_put(hello);
    guesthost_free(host);
}

Test(guest_session, configuration_is_applied_and_may_come_again)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON ",\"hostname\":\"one\",\"realtime_ns\":1700000000000000001,"
                              "\"entropy\":\"00ff10\",\"unknown\":[]}");
    cr_assert(strstr(host->last, "\"root\":\"rw\"") && strstr(host->last, "\"notices\":false"));
    cr_assert(strstr(host->last, "\"kernel\":\""));
    cr_assert_str_eq(host->hostname, "one");
    cr_assert_eq(host->configured.realtime_ns, 1700000000000000001u);
    cr_assert_eq(host->configured.entropy_len, 3u);
    cr_assert_arr_eq(host->configured.entropy, "\x00\xff\x10", 3);
    guesthost_configure(host, "{" CTL_VERSION_JSON ",\"machine_id\":\"0123456789abcdef0123456789abcdef\"}");
    cr_assert_not_null(host->configured.machine_id);
    guesthost_free(host);
}

Test(guest_session, ping_is_answered_with_its_payload)
{
    struct guesthost *host = guesthost_new();
    guesthost_send(host, CTL_PING, 0, 0, "abc", 3);
    cr_assert(wait_frame(host, CTL_PONG));
    cr_assert_str_eq(host->last, "abc");
    guesthost_free(host);
}

Test(guest_session, mounts_are_passed_on_and_answered)
{
    struct guesthost *host = guesthost_new();
    static const char request[] = "{\"session\":null,\"mounts\":[]}";
    guesthost_send(host, CTL_MOUNTS, 0, 0, request, strlen(request));
    cr_assert(wait_frame(host, CTL_MOUNTS));
    cr_assert_str_eq(host->last, request);
    guesthost_free(host);
}

Test(guest_session, freeze_answers_with_errno)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    host->freeze_result = -EOPNOTSUPP;
    guesthost_send(host, CTL_FREEZE, 0, 0, "{\"frozen\":true}", 15);
    cr_assert(wait_frame(host, CTL_FREEZE));
    cr_assert_str_eq(host->last, "{\"errno\":95}");
    guesthost_free(host);
}

Test(guest_session, a_configuration_while_frozen_is_told_so)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert_not(host->configured.frozen);
    guesthost_send(host, CTL_FREEZE, 0, 0, "{\"frozen\":true}", 15);
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert(host->configured.frozen);
    cr_assert(wait_frame(host, CTL_FREEZE));
    host->counts[CTL_FREEZE] = 0;
    guesthost_send(host, CTL_FREEZE, 0, 0, "{\"frozen\":false}", 16);
    cr_assert(wait_frame(host, CTL_FREEZE));
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert_not(host->configured.frozen);
    guesthost_free(host);
}

/* A quiet agent serves nothing but its channel; what ends it is sent along, because host and guest share a thread here. */
Test(guest_session, is_quiet_until_told_to_go_on)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":true}", 14);
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":false,\"realtime_ns\":5}", 31);
    cr_assert(wait_frame(host, CTL_QUIESCE));
    cr_assert_str_eq(host->last, "{\"notices\":7,\"errno\":0}");
    cr_assert_not(host->standing_still);
    cr_assert_eq(host->realtime_ns, 5u);
    guesthost_send(host, CTL_PING, 0, 0, NULL, 0);
    cr_assert(wait_frame(host, CTL_PONG));
    guesthost_free(host);
}

Test(guest_session, a_configuration_while_quiet_is_a_clones)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert_not(host->configured.cloned);
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":true}", 14);
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert(host->configured.cloned);
    cr_assert_eq(host->configured.notices, 7u);
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    cr_assert_not(host->configured.cloned);
    guesthost_free(host);
}

Test(guest_session, a_guest_that_cannot_be_quiet_says_so)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    host->stand_still_result = -EPERM;
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":true}", 14);
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":false}", 15);
    cr_assert(wait_frame(host, CTL_QUIESCE));
    cr_assert_str_eq(host->last, "{\"notices\":7,\"errno\":1}");
    guesthost_free(host);
}

Test(guest_session, the_clock_can_be_set_alone)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"realtime_ns\":9}", 17);
    guesthost_send(host, CTL_PING, 0, 0, NULL, 0);
    cr_assert(wait_frame(host, CTL_PONG));
    cr_assert_eq(host->realtime_ns, 9u);
    cr_assert_not(host->standing_still);
    guesthost_free(host);
}

Test(guest_session, quiet_twice_breaks_the_protocol)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    guesthost_send(host, CTL_QUIESCE, 0, 0, "{\"quiet\":false}", 15);
    cr_assert(guesthost_until(host, guesthost_broken, NULL, 5000));
    guesthost_free(host);
}

Test(guest_session, shutdown_passes_the_grace_on)
{
    struct guesthost *host = guesthost_new();
    guesthost_send(host, CTL_SHUTDOWN, 0, 0, "{\"grace_ms\":1234}", 17);
    guesthost_send(host, CTL_PING, 0, 0, NULL, 0);
    cr_assert(wait_frame(host, CTL_PONG));
    cr_assert_eq(host->grace_ms, 1234u);
    guesthost_free(host);
}

static bool list_ended(struct guesthost *host, void *unused)
{
    (void)unused;
    return host->counts[CTL_PROGRAMS] > 0 && strcmp(host->last, "[]") == 0;
}

Test(guest_session, programs_come_in_pieces_ended_by_an_empty_one)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    guesthost_send(host, CTL_PROGRAMS, 0, 0, NULL, 0);
    cr_assert(guesthost_until(host, list_ended, NULL, 10000));
    cr_assert_gt(host->counts[CTL_PROGRAMS], 2u);
    guesthost_free(host);
}

Test(guest_session, programs_are_sorted_and_unique)
{
    struct programs programs;
    programs_list("/bin:/usr/bin::/no/such:/bin", &programs);
    cr_assert_gt(programs.count, 10u);
    bool has_sh = false;
    for (size_t i = 0; i < programs.count; i++) {
        has_sh = has_sh || strcmp(programs.names[i], "sh") == 0;
        cr_assert(i == 0 || strcmp(programs.names[i - 1], programs.names[i]) < 0);
    }
    cr_assert(has_sh);
    programs_clear(&programs);
}

Test(guest_session, log_lines_are_cut)
{
    struct guesthost *host = guesthost_new();
    char line[3000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    session_log(host->session, line);
    cr_assert(wait_frame(host, CTL_LOG));
    cr_assert_eq(strlen(host->last), 1024u);
    guesthost_free(host);
}

struct bad_frame {
    const char *what;
    uint16_t type, flags;
    uint32_t id;
    const char *payload;
    size_t len;
};

static void expect_broken(const struct bad_frame *bad)
{
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"sleep 50\"}");
    guesthost_send(host, bad->type, bad->flags, bad->id ? job->id : 0, bad->payload, bad->len);
    cr_expect(guesthost_until(host, guesthost_broken, NULL, 2000), "%s was accepted", bad->what);
    cr_expect_gt(strlen(host->broken.text), 10u);
    guesthost_free(host);
}

Test(guest_session, impossible_frames_break_the_session, .timeout = 60)
{
    static char much[CTL_MAX_PAYLOAD];
    static const struct bad_frame frames[] = {
        {"HELLO", CTL_HELLO, 0, 0, NULL, 0},
        {"READY", CTL_READY, 0, 0, NULL, 0},
        {"an unknown type", 999, 0, 0, NULL, 0},
        {"JOB_EXIT", CTL_JOB_EXIT, 0, 1, NULL, 0},
        {"CONFIG without JSON", CTL_CONFIG, 0, 0, "x", 1},
        {"CONFIG with a trailing word", CTL_CONFIG, 0, 0, "{" CTL_VERSION_JSON "} x", 15},
        {"CONFIG of another version", CTL_CONFIG, 0, 0, "{\"version\":1}", 13},
        {"CONFIG with odd entropy", CTL_CONFIG, 0, 0, "{" CTL_VERSION_JSON ",\"entropy\":\"abc\"}", 29},
        {"deep JSON", CTL_CONFIG, 0, 0, "[[[[[[[[[[[[[[[[[[[[", 20},
        {"SHUTDOWN without grace", CTL_SHUTDOWN, 0, 0, "{\"grace_ms\":-1}", 15},
        {"a large ping", CTL_PING, 0, 0, much, 4097},
        {"a second start", CTL_JOB_START, 0, 1, "{\"cmd\":\"true\"}", 14},
        {"data for stdout", CTL_JOB_DATA, CTL_STDOUT, 1, "x", 1},
        {"credit never used", CTL_JOB_CREDIT, CTL_STDOUT, 1, "\1\0\0\0", 4},
        {"credit for stdin", CTL_JOB_CREDIT, CTL_STDIN, 1, "\1\0\0\0", 4},
        {"credit for stream 77", CTL_JOB_CREDIT, 77, 1, "\1\0\0\0", 4},
        {"short credit", CTL_JOB_CREDIT, CTL_STDOUT, 1, "\1\0\0", 3},
        {"signal 0", CTL_JOB_SIGNAL, 0, 1, "\0\0\0\0", 4},
        {"signal 65", CTL_JOB_SIGNAL, 0, 1, "\101\0\0\0", 4},
        {"short winsize", CTL_JOB_WINSIZE, 0, 1, "\1\0\0", 3},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        expect_broken(&frames[i]);
}

Test(guest_session, stdin_beyond_the_window_breaks_the_session)
{
    static char block[CTL_MAX_PAYLOAD];
    struct guesthost *host = guesthost_new();
    guesthost_configure(host, "{" CTL_VERSION_JSON "}");
    struct hostjob *job = guesthost_start(host, "{\"cmd\":\"sleep 50\"}");
    for (int i = 0; i < 7; i++)
        guesthost_send(host, CTL_JOB_DATA, CTL_STDIN, job->id, block, sizeof block);
    cr_assert(guesthost_until(host, guesthost_broken, NULL, 2000));
    guesthost_free(host);
}

Test(guest_session, a_job_before_the_configuration_breaks_the_session)
{
    struct guesthost *host = guesthost_new();
    guesthost_start(host, "{\"cmd\":\"true\"}");
    cr_assert(guesthost_until(host, guesthost_broken, NULL, 2000));
    guesthost_free(host);
}
