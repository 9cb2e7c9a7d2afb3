/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a peer that the test plays itself, on the other end of a socketpair. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/qmp.h"

#define GREETING \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": []}}\r\n"
#define NEGOTIATED "{\"return\": {}, \"id\": 0}\r\n"

struct peer {
    struct loop *loop;
    struct qmp *qmp;
    int fd;
    char log[4096]; /* what the callbacks saw, in order */
    bool free_on_event;
};

static void note(struct peer *p, const char *text)
{
    size_t used = strlen(p->log);
    snprintf(p->log + used, sizeof p->log - used, "%s;", text);
}

static void on_ready(void *data, const char *version)
{
    char text[64];
    snprintf(text, sizeof text, "ready %s", version);
    note(data, text);
}

static void on_event(void *data, const char *name, struct json_object *details)
{
    struct peer *p = data;
    char text[256];
    snprintf(text, sizeof text, "event %s %s", name, details ? json_object_to_json_string(details) : "-");
    note(p, text);
    if (p->free_on_event) {
        qmp_free(p->qmp);
        p->qmp = NULL;
    }
}

static void on_closed(void *data, int code, const char *sentence)
{
    char text[256];
    snprintf(text, sizeof text, "closed %d %s", code, sentence);
    note(data, text);
}

static void on_reply(void *data, int code, const char *sentence, struct json_object *result)
{
    char text[256];
    snprintf(text, sizeof text, "reply %d%s%s %s", code, *sentence ? " " : "", sentence,
             result ? json_object_to_json_string(result) : "-");
    note(data, text);
}

static const struct qmp_ops ops = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void set_up(struct peer *p)
{
    int pair[2];
    *p = (struct peer){.loop = loop_new()};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    p->fd = pair[0];
    p->qmp = qmp_new(p->loop, pair[1], &ops, p);
    cr_assert_not_null(p->qmp);
}

static void tear_down(struct peer *p)
{
    qmp_free(p->qmp);
    loop_free(p->loop);
    close(p->fd);
}

static void quit(void *data)
{
    loop_quit(((struct peer *)data)->loop, 0);
}

static void turn(struct peer *p)
{
    loop_timer(p->loop, 5, quit, p);
    loop_run(p->loop);
}

static void say(struct peer *p, const char *text)
{
    cr_assert_eq(send(p->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    turn(p);
}

static void hear(struct peer *p, const char *expected)
{
    char text[1024] = "";
    ssize_t n = recv(p->fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    cr_assert_str_eq(text, expected);
}

static void expect(struct peer *p, const char *log)
{
    cr_assert_str_eq(p->log, log);
    p->log[0] = '\0';
}

static void negotiate(struct peer *p)
{
    say(p, GREETING);
    hear(p, "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
    say(p, NEGOTIATED);
    expect(p, "ready 7.2.22;");
}

Test(qmp, commands_given_early_wait_for_the_negotiation)
{
    struct peer p;
    set_up(&p);
    cr_assert_eq(qmp_execute(p.qmp, "stop", NULL, on_reply, &p), 0);
    hear(&p, "");
    negotiate(&p);
    hear(&p, "{\"execute\":\"stop\",\"id\":1}\n");
    say(&p, "{\"return\": {}, \"id\": 1}\n");
    expect(&p, "reply 0 { };");
    tear_down(&p);
}

Test(qmp, answers_find_their_commands_in_any_order)
{
    struct peer p;
    set_up(&p);
    negotiate(&p);
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "path", json_object_new_string("/machine"));
    qmp_execute(p.qmp, "qom-get", arguments, on_reply, &p);
    qmp_execute(p.qmp, "cont", NULL, on_reply, &p);
    qmp_execute(p.qmp, "quit", NULL, NULL, NULL);
    hear(&p, "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"\\/machine\"},\"id\":1}\n"
             "{\"execute\":\"cont\",\"id\":2}\n{\"execute\":\"quit\",\"id\":3}\n");
    say(&p, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}}\n{\"return\": {}, \"id\": 3}\n"
            "{\"return\": \"x\", \"id\": 1}\n");
    expect(&p, "reply 5 no way -;reply 0 \"x\";");
    tear_down(&p);
}

Test(qmp, lines_may_come_byte_by_byte_and_many_at_once)
{
    struct peer p;
    set_up(&p);
    negotiate(&p);
    const char *event = "{\"event\": \"STOP\", \"data\": {\"a\": 1}}\r\n";
    for (const char *c = event; *c; c++) {
        const char one[2] = {*c, '\0'};
        say(&p, one);
    }
    expect(&p, "event STOP { \"a\": 1 };");
    say(&p, "{\"event\": \"A\"}\n{\"event\": \"B\"}\n{\"event\": \"C");
    expect(&p, "event A -;event B -;");
    say(&p, "\"}\n");
    expect(&p, "event C -;");
    tear_down(&p);
}

static void broken(const char *line, const char *sentence)
{
    struct peer p;
    char log[256];
    set_up(&p);
    negotiate(&p);
    qmp_execute(p.qmp, "stop", NULL, on_reply, &p);
    say(&p, line);
    snprintf(log, sizeof log, "reply %d the connection to QEMU has ended -;closed %d %s;", EPIPE, EPROTO, sentence);
    expect(&p, log);
    cr_assert_eq(qmp_execute(p.qmp, "stop", NULL, on_reply, &p), -EPIPE);
    tear_down(&p);
}

Test(qmp, whatever_is_not_qmp_ends_the_connection)
{
    broken("hello\n", "QEMU sent a line that is not a JSON object");
    broken("\n", "QEMU sent a line that is not a JSON object");
    broken("[1]\n", "QEMU sent a line that is not a JSON object");
    broken("{\"event\": \"A\"} x\n", "QEMU sent a line that is not a JSON object");
    broken("{\"event\": \"A\"\n", "QEMU sent a line that is not a JSON object");
    broken("{\"event\": 7}\n", "QEMU sent a line that is neither an answer nor an event");
    broken("{\"return\": {}, \"id\": 99}\n", "QEMU answered a QMP command that was not given");
    broken("{\"return\": {}}\n", "QEMU answered a QMP command that was not given");
    broken("{\"return\": {}, \"id\": 0}\n", "QEMU refused the QMP negotiation");
}

Test(qmp, deep_nesting_is_refused)
{
    char line[1024] = "{\"event\": \"A\", \"data\": ";
    for (int i = 0; i < 200; i++)
        strcat(line, "[");
    strcat(line, "\n");
    broken(line, "QEMU sent a line that is not a JSON object");
}

Test(qmp, a_line_without_end_is_refused_before_memory_runs_out)
{
    struct peer p;
    char *much = malloc(64 * 1024);
    memset(much, 'x', 64 * 1024);
    set_up(&p);
    negotiate(&p);
    size_t sent = 0;
    while (!*p.log && sent < 4 * (size_t)QMP_MAX_LINE) {
        ssize_t n = send(p.fd, much, 64 * 1024, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        turn(&p);
    }
    cr_assert_lt(sent, 2 * (size_t)QMP_MAX_LINE);
    expect(&p, "closed 71 QEMU sent a line that is longer than 1 MiB;");
    free(much);
    tear_down(&p);
}

Test(qmp, a_wrong_greeting_is_refused)
{
    struct peer p;
    set_up(&p);
    say(&p, "{\"event\": \"A\"}\n");
    expect(&p, "closed 71 QEMU did not begin with a QMP greeting;");
    tear_down(&p);
}

Test(qmp, an_answer_before_the_negotiation_is_refused)
{
    struct peer p;
    set_up(&p);
    qmp_execute(p.qmp, "stop", NULL, on_reply, &p);
    say(&p, GREETING);
    say(&p, "{\"return\": {}, \"id\": 1}\n");
    expect(&p, "reply 32 the connection to QEMU has ended -;closed 71 QEMU answered a QMP command that was not given;");
    tear_down(&p);
}

Test(qmp, the_peers_death_answers_what_is_pending_after_its_last_words)
{
    struct peer p;
    set_up(&p);
    negotiate(&p);
    qmp_execute(p.qmp, "quit", NULL, on_reply, &p);
    const char *last = "{\"return\": {}, \"id\": 1}\n{\"event\": \"SHUTDOWN\"}\n";
    qmp_execute(p.qmp, "stop", NULL, on_reply, &p);
    char drop[256];
    recv(p.fd, drop, sizeof drop, 0); /* a socket closed with unread bytes would give ECONNRESET */
    cr_assert_gt(send(p.fd, last, strlen(last), 0), 0);
    close(p.fd);
    qmp_drain(p.qmp);
    expect(&p, "reply 0 { };event SHUTDOWN -;reply 32 the connection to QEMU has ended -;"
               "closed 0 QEMU closed its QMP connection;");
    p.fd = -1;
    tear_down(&p);
}

Test(qmp, too_many_unanswered_commands_are_refused)
{
    struct peer p;
    set_up(&p);
    for (int i = 0; i < QMP_MAX_PENDING; i++)
        cr_assert_eq(qmp_execute(p.qmp, "stop", NULL, NULL, NULL), 0);
    cr_assert_eq(qmp_execute(p.qmp, "stop", json_object_new_object(), NULL, NULL), -EBUSY);
    tear_down(&p);
}

Test(qmp, a_peer_that_does_not_read_loses_no_command)
{
    struct peer p;
    int small = 1;
    set_up(&p);
    negotiate(&p);
    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    char *long_name = calloc(1, 40 * 1024);
    memset(long_name, 'n', 40 * 1024 - 1);
    size_t total = 0, got = 0;
    for (int i = 0; i < QMP_MAX_PENDING; i++) {
        cr_assert_eq(qmp_execute(p.qmp, long_name, NULL, on_reply, &p), 0);
        total += 40 * 1024 - 1 + strlen("{\"execute\":\"\",\"id\":N}\n") + (i >= 9);
    }
    char *text = malloc(64 * 1024);
    for (ssize_t n; got < total; got += (size_t)n) {
        turn(&p);
        n = recv(p.fd, text, 64 * 1024, MSG_DONTWAIT);
        cr_assert_gt(n, 0);
    }
    cr_assert_eq(got, total);
    free(text);
    free(long_name);
    tear_down(&p);
}

Test(qmp, may_be_freed_from_its_own_callback)
{
    struct peer p;
    set_up(&p);
    negotiate(&p);
    p.free_on_event = true;
    qmp_execute(p.qmp, "stop", NULL, on_reply, &p);
    say(&p, "{\"event\": \"A\"}\n{\"event\": \"B\"}\n");
    expect(&p, "event A -;");
    tear_down(&p);
}
