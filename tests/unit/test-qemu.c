/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a machine, with a shell script in QEMU's place. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/vmm.h"

#define NEGOTIATE                                                                                                     \
    "say() { printf '%s\\r\\n' \"$1\" >&3; }\n"                                                                       \
    "say '{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}'\n"                       \
    "read x <&3; say '{\"return\": {}, \"id\": 0}'\n"                                                                 \
    "read x <&3; say '{\"return\": \"pc-q35-7.2-machine\", \"id\": 1}'\n"

struct fixture {
    char directory[32], binary[64];
    struct loop *loop;
    struct vmm *vm;
    struct vmm_config config;
    int console, port, log; /* our ends */
    char reason[1024], crash[256], operations[256];
    int status;
};

static struct fixture f;

static void exited(void *data, int status, const char *reason)
{
    (void)data;
    f.status = status;
    snprintf(f.reason, sizeof f.reason, "%s", reason);
    vmm_qemu.free_vm(f.vm);
    f.vm = NULL;
    loop_quit(f.loop, 0);
}

static void crashed(void *data, const char *what)
{
    (void)data;
    snprintf(f.crash, sizeof f.crash, "%s", what);
}

static const struct vmm_events events = {.exited = exited, .crashed = crashed};

static void set_up(void)
{
    int pair[2];
    f = (struct fixture){.directory = "/tmp/test-qemu-XXXXXX"};
    cr_assert_not_null(mkdtemp(f.directory));
    snprintf(f.binary, sizeof f.binary, "%s/qemu-system-x86_64", f.directory);
    f.loop = loop_new();
    f.config = (struct vmm_config){.binary = f.binary, .arch = "x86_64", .accel = "tcg", .kernel = "vmlinux",
                                   .port_count = 1, .ports = {{.name = "gondolin.ctl"}}};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f.console = pair[0];
    f.config.console_fd = pair[1];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f.port = pair[0];
    f.config.ports[0].fd = pair[1];
    cr_assert_eq(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
    f.log = pair[0];
    f.config.log_fd = pair[1];
}

static void tear_down(void)
{
    vmm_qemu.free_vm(f.vm);
    loop_free(f.loop);
    unlink(f.binary);
    cr_assert_eq(rmdir(f.directory), 0, "nothing is left in %s", f.directory);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no process is left");
}

TestSuite(qemu, .init = set_up, .fini = tear_down, .timeout = 20);

static int start(const char *script, struct err *err)
{
    int fd = open(f.binary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    dprintf(fd, "#!/bin/sh\n%s\n", script);
    close(fd);
    return vmm_qemu.start(f.loop, &f.config, &events, NULL, &f.vm, err);
}

static void run(const char *script)
{
    struct err err = {0};
    cr_assert_eq(start(script, &err), 0, "%s", err.text);
    loop_run(f.loop);
}

static void quit(void *data)
{
    (void)data;
    loop_quit(f.loop, 0);
}

static void turn(unsigned ms)
{
    loop_timer(f.loop, ms, quit, NULL);
    loop_run(f.loop);
}

Test(qemu, early_failures_are_explained_by_the_last_lines)
{
    run("for i in 1 2 3 4 5; do echo line $i >&2; done; exit 3");
    cr_assert_str_eq(f.reason, "qemu exited with status 3: line 3; line 4; line 5");
    cr_assert(WIFEXITED(f.status) && WEXITSTATUS(f.status) == 3);
    char log[256] = "";
    cr_assert_gt(read(f.log, log, sizeof log - 1), 0);
    cr_assert_str_eq(log, "line 1\nline 2\nline 3\nline 4\nline 5\n", "the log gets everything");
}

Test(qemu, power_off_is_told_from_other_ends)
{
    run(NEGOTIATE "say '{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}'");
    cr_assert_str_eq(f.reason, "guest powered off");
    cr_assert_str_empty(f.crash);
}

Test(qemu, its_last_words_are_heard_although_it_is_gone)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "sleep 0.2; pad=$(printf %0100d 0)\n"
                                 "for i in $(seq 200); do say \"{\\\"event\\\": \\\"RTC_CHANGE$pad\\\"}\"; done\n"
                                 "say '{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}}'",
                       &err),
                 0);
    turn(150);
    siginfo_t info;
    waitid(P_PID, (id_t)vmm_qemu.pid(f.vm), &info, WEXITED | WNOWAIT);
    loop_run(f.loop);
    cr_assert_str_eq(f.reason, "guest powered off");
}

Test(qemu, a_reset_is_a_crash)
{
    run(NEGOTIATE "say '{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}'");
    cr_assert(strstr(f.reason, "guest reset itself"));
    cr_assert_str_eq(f.crash, f.reason);
}

Test(qemu, a_reported_panic_goes_before_the_shutdown_it_causes)
{
    run(NEGOTIATE "say '{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"poweroff\"}}'\n"
                  "say '{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-panic\"}}'");
    cr_assert_str_eq(f.reason, "guest kernel panicked");
    cr_assert_str_eq(f.crash, "guest kernel panicked");
}

Test(qemu, a_signal_is_named)
{
    run("kill -SEGV $$");
    cr_assert_str_eq(f.reason, "qemu was killed by signal 11");
}

Test(qemu, one_that_breaks_the_protocol_is_killed)
{
    run("echo hello >&3; exec sleep 100");
    cr_assert_str_eq(f.reason,
                     "killed because its control connection failed: QEMU sent a line that is not a JSON object");
    cr_assert(WIFSIGNALED(f.status) && WTERMSIG(f.status) == SIGKILL);
}

Test(qemu, ports_and_console_reach_it_and_are_closed_here)
{
    char got[8] = "";
    int console = f.config.console_fd, port = f.config.ports[0].fd;
    run("printf c >&4; printf p >&8; exit 0");
    cr_assert_eq(read(f.console, got, sizeof got), 1);
    cr_assert_eq(got[0], 'c');
    cr_assert_eq(read(f.port, got, sizeof got), 1);
    cr_assert_eq(got[0], 'p');
    cr_assert_eq(read(f.port, got, sizeof got), 0, "no copy of the other end is left here");
    cr_assert_eq(fcntl(console, F_GETFD), -1);
    cr_assert_eq(fcntl(port, F_GETFD), -1);
}

Test(qemu, a_missing_binary_fails_start_and_closes_the_ports)
{
    struct err err = {0};
    int port = f.config.ports[0].fd;
    cr_assert_eq(vmm_qemu.start(f.loop, &f.config, &events, NULL, &f.vm, &err), -ENOENT);
    cr_assert(strstr(err.text, "apt-get install qemu-system-x86"), "%s", err.text);
    cr_assert_eq(fcntl(port, F_GETFD), -1);
}

Test(qemu, a_binary_that_cannot_be_executed_fails_start)
{
    struct err err = {0};
    int fd = open(f.binary, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    close(fd);
    cr_assert_eq(vmm_qemu.start(f.loop, &f.config, &events, NULL, &f.vm, &err), -ENOEXEC);
    cr_assert(strstr(err.text, f.binary), "%s", err.text);
}

Test(qemu, a_failure_removes_the_overlay_again)
{
    struct err err = {0};
    char overlay[64];
    snprintf(overlay, sizeof overlay, "%s/overlay", f.directory);
    f.config.overlay = overlay;
    f.config.root_disk = "/dev/null";
    cr_assert_eq(start("exit 0", &err), -EINVAL);
    cr_assert(strstr(err.text, "make the root disk's overlay"), "%s", err.text);
    cr_assert_eq(access(overlay, F_OK), -1);
    f.config.overlay = "/no/such/directory/overlay";
    cr_assert_eq(vmm_qemu.start(f.loop, &f.config, &events, NULL, &f.vm, &err), -ENOENT);
}

Test(qemu, stop_asks_first_and_kills_after_the_grace)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "exec sleep 100", &err), 0);
    turn(100);
    uint64_t before = loop_now_ms();
    vmm_qemu.stop(f.vm, 100);
    vmm_qemu.stop(f.vm, 100);
    loop_run(f.loop);
    cr_assert_geq(loop_now_ms() - before, 100);
    cr_assert_str_eq(f.reason, "stopped on request (it had to be killed)");
}

Test(qemu, stop_lets_it_end_by_itself)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "read x <&3; say '{\"return\": {}, \"id\": 2}'\n"
                                 "say '{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"host-qmp-quit\"}}'",
                       &err),
                 0);
    turn(100);
    vmm_qemu.stop(f.vm, 10000);
    loop_run(f.loop);
    cr_assert_str_eq(f.reason, "stopped on request");
    cr_assert_eq(f.status, 0);
}

static void operation_done(void *data, int code, const char *sentence)
{
    size_t used = strlen(f.operations);
    snprintf(f.operations + used, sizeof f.operations - used, "%s %d %s;", (const char *)data, code, sentence);
}

Test(qemu, pause_and_resume_report_back)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "read x <&3; say '{\"return\": {}, \"id\": 2}'\n"
                                 "read x <&3; say '{\"id\": 3, \"error\": {\"desc\": \"cannot\"}}'\nread x <&3",
                       &err),
                 0);
    turn(100);
    vmm_qemu.pause(f.vm, operation_done, "pause");
    vmm_qemu.resume(f.vm, operation_done, "resume");
    turn(100);
    cr_assert_str_eq(f.operations, "pause 0 ;resume 5 cannot;");
}

Test(qemu, operations_are_answered_when_it_dies)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "read x <&3; exit 1", &err), 0);
    turn(100);
    vmm_qemu.pause(f.vm, operation_done, "pause");
    loop_run(f.loop);
    cr_assert(strstr(f.operations, "pause 32 "), "%s", f.operations);
}

Test(qemu, a_virtual_cpu_that_cannot_go_on_is_ended)
{
    run(NEGOTIATE "say '{\"event\": \"STOP\"}'\n"
                  "read x <&3; say '{\"return\": {\"status\": \"internal-error\", \"running\": false}, \"id\": 2}'\n"
                  "exec sleep 100");
    cr_assert_str_eq(f.crash, "the virtual CPU cannot go on (KVM internal error)");
    cr_assert_str_eq(f.reason, f.crash);
}

Test(qemu, is_described_with_what_it_told)
{
    struct err err = {0};
    cr_assert_eq(start(NEGOTIATE "exec sleep 100", &err), 0);
    cr_assert_str_eq(vmm_qemu.describe(f.vm), "backend qemu\naccel tcg\narch x86_64\n"
                                              "cpu max,cx16=off,erms=off,fsrm=off\ncpus 1\n"
                                              "memory 536870912\nmachine q35\nvmm_version -\n");
    turn(200);
    cr_assert_str_eq(vmm_qemu.describe(f.vm), "backend qemu\naccel tcg\narch x86_64\n"
                                              "cpu max,cx16=off,erms=off,fsrm=off\ncpus 1\n"
                                              "memory 536870912\nmachine pc-q35-7.2\nvmm_version 7.2.22\n");
}

Test(qemu, free_kills_without_a_callback)
{
    struct err err = {0};
    cr_assert_eq(start("exec sleep 100", &err), 0);
    pid_t pid = vmm_qemu.pid(f.vm);
    vmm_qemu.pause(f.vm, operation_done, "pause");
    vmm_qemu.free_vm(f.vm);
    f.vm = NULL;
    cr_assert_eq(kill(pid, 0), -1);
    cr_assert_str_empty(f.reason);
    cr_assert_str_empty(f.operations);
}

Test(qemu, backends_are_found_by_name)
{
    struct err err = {0};
    cr_assert_eq(vmm_backend_find(NULL, &err), &vmm_qemu);
    cr_assert_eq(vmm_backend_find("qemu", &err), &vmm_qemu);
    cr_assert_null(vmm_backend_find("qmeu", &err));
    cr_assert_str_eq(err.text, "--vmm qmeu: no such backend; did you mean \"qemu\"?");
    cr_assert_null(vmm_backend_find("virtualbox", &err));
    cr_assert_str_eq(err.text, "--vmm virtualbox: no such backend; known: qemu");
}
