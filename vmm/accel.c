/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/loop.h"
#include "vmm/accel_memory.h"
#include "vmm/kvm_probe.h"

/* The deadline is for a CPU that is never given to the child, and for a child stuck inside the kernel; one that is
 * merely busy has used up its CPU time long before. */
enum { DEADLINE_MS = 200, CPU_TIME_MS = 100, KILL_GRACE_MS = 100 };

static void explain(struct accel_verdict *v, const char *reason, const char *fix)
{
    snprintf(v->reason, sizeof v->reason, "%s", reason);
    snprintf(v->fix, sizeof v->fix, "%s", fix);
}

static void explain_open(struct accel_verdict *v, int code)
{
    switch (code) {
    case ENOENT:
        explain(v, "/dev/kvm does not exist",
                "switch virtualisation (VT-x, AMD-V) on in the firmware, or nested virtualisation in the hypervisor, "
                "and load the module: modprobe kvm_intel or kvm_amd");
        break;
    case EACCES:
    case EPERM:
        explain(v, "/dev/kvm may not be opened by this user",
                "join the group that owns it and log in again: sudo usermod -aG kvm $USER");
        break;
    default:
        snprintf(v->reason, sizeof v->reason, "/dev/kvm cannot be opened: %s", strerror(code));
        snprintf(v->fix, sizeof v->fix, "%s", code == ENODEV || code == ENXIO ? "load kvm_intel or kvm_amd" : "");
    }
}

static void explain_report(struct accel_verdict *v, const struct kvm_probe_report *r)
{
    static const char *const failing[] = {
        [KVM_PROBE_VM] = "make a virtual machine", [KVM_PROBE_MEMORY] = "give a virtual machine memory",
        [KVM_PROBE_VCPU] = "make a virtual CPU",   [KVM_PROBE_RUN] = "run guest code",
    };
    switch (r->step) {
    case KVM_PROBE_WORKS:
        v->kvm = true;
        explain(v, "/dev/kvm ran guest code", "");
        break;
    case KVM_PROBE_OPEN:
        explain_open(v, r->code);
        break;
    case KVM_PROBE_VERSION:
        snprintf(v->reason, sizeof v->reason, "/dev/kvm speaks version %d of its interface, not 12", r->code);
        snprintf(v->fix, sizeof v->fix, "update the host's kernel");
        break;
    case KVM_PROBE_RESULT:
        snprintf(v->reason, sizeof v->reason, "/dev/kvm ran guest code wrongly (exit reason %d)", r->code);
        break;
    case KVM_PROBE_UNSUPPORTED:
        explain(v, "KVM cannot be tested on this architecture yet", "to use it all the same, set GONDOLIN_ACCEL=kvm");
        break;
    default:
        snprintf(v->reason, sizeof v->reason, "/dev/kvm could not %s: %s", failing[r->step], strerror(r->code));
        snprintf(v->fix, sizeof v->fix, "%s", r->code == EBUSY ? "end the other hypervisor that uses the CPU" : "");
    }
}

/* In the child. The report fits a pipe's buffer, so the write cannot block. */
static _Noreturn void probe_and_report(int fd)
{
    const struct itimerval cpu_time = {.it_value = {.tv_usec = CPU_TIME_MS * 1000L}};
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPROF, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setitimer(ITIMER_PROF, &cpu_time, NULL);
    struct kvm_probe_report report = kvm_probe_run();
    _exit(write(fd, &report, sizeof report) == sizeof report ? 0 : 1);
}

static bool readable_within(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t deadline = loop_now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        uint64_t now = loop_now_ms();
        int n = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
        if (n >= 0 || errno != EINTR)
            return n > 0;
    }
}

/* Returns the wait status. A child stuck inside the kernel may not die even of SIGKILL; it is left behind rather than
 * waited for. */
static int end_child(pid_t child)
{
    cleanup_close int pidfd = pidfd_open(child, 0);
    int status = 0;
    kill(child, SIGKILL);
    if (pidfd < 0 || readable_within(pidfd, KILL_GRACE_MS))
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    return status;
}

static void explain_late(struct accel_verdict *v, int limit_ms, const char *of)
{
    snprintf(v->reason, sizeof v->reason, "/dev/kvm: guest code did not finish within %d ms%s", limit_ms, of);
    snprintf(v->fix, sizeof v->fix,
             "if this machine is itself virtual, ask for nested virtualisation; emulation is used until then");
    accel_remember(v);
}

static void probe_in_child(struct accel_verdict *v)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        snprintf(v->reason, sizeof v->reason, "/dev/kvm could not be tested: pipe: %s", strerror(errno));
        return;
    }
    cleanup_close int from_child = ends[0];
    cleanup_close int to_parent = ends[1];
    pid_t child = fork();
    if (child < 0) {
        snprintf(v->reason, sizeof v->reason, "/dev/kvm could not be tested: fork: %s", strerror(errno));
        return;
    }
    if (child == 0)
        probe_and_report(to_parent);
    close(steal_fd(&to_parent));

    struct kvm_probe_report report;
    bool in_time = readable_within(from_child, DEADLINE_MS);
    ssize_t n = in_time ? read(from_child, &report, sizeof report) : 0;
    int status = end_child(child);
    if (n == sizeof report)
        explain_report(v, &report);
    else if (!in_time)
        explain_late(v, DEADLINE_MS, "");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        explain_late(v, CPU_TIME_MS, " of CPU time");
    else
        explain(v, "/dev/kvm: the process that tested it died", "");
}

static void judge(struct accel_verdict *v, bool afresh)
{
    uint64_t begin = loop_now_ms();
    *v = (struct accel_verdict){.kvm = false};
    const char *forced = getenv("GONDOLIN_ACCEL");
    if (forced && !strcmp(forced, "kvm")) {
        v->kvm = true;
        explain(v, "GONDOLIN_ACCEL=kvm is set; KVM was not tested", "");
    } else if (forced && !strcmp(forced, "tcg")) {
        explain(v, "GONDOLIN_ACCEL=tcg is set; KVM was not tested", "unset GONDOLIN_ACCEL");
    } else {
        if (afresh || !accel_recall(v)) {
            accel_forget();
            probe_in_child(v);
        }
        if (forced && *forced)
            snprintf(v->fix, sizeof v->fix, "GONDOLIN_ACCEL=%.32s was ignored: set it to kvm or tcg, or unset it",
                     forced);
    }
    v->took_ms = (unsigned)(loop_now_ms() - begin);
}

void accel_probe(struct accel_verdict *v)
{
    judge(v, true);
}

void accel_decide(struct accel_verdict *v)
{
    judge(v, false);
}

void accel_apply_to_libguestfs(const struct accel_verdict *verdict)
{
    setenv("LIBGUESTFS_BACKEND", "direct", 0);
    if (!verdict->kvm)
        setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg", 0);
}
