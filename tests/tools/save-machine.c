/* SPDX-License-Identifier: Apache-2.0 */
/* Saves and loads real machines: save-machine KERNEL INITRAMFS DISK DIRECTORY SMALL-DIRECTORY [MIB]. The initramfs is
 * that of counting-init; SMALL-DIRECTORY lies in a file system too small for a guest's memory
 * ("-": there is none). Prints what it measures;
 * the first thing that goes wrong ends it with status 1. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/vmm.h"

enum { TIMEOUT_MS = 60000 };

struct machine {
    struct vmm *vm;
    bool over; /* it has ended; what is being saved of it may still be synced */
    int port, console;
    char ended[512];
};

struct saved {
    char ram[128], state[128], overlay[128], disk[128], sentence[768];
    int code;
    bool is_done;
    uint64_t pause_us;
};

static struct loop *loop;
static const char *kernel, *initramfs, *directory;
static uint64_t memory;

static _Noreturn __attribute__((format(printf, 1, 2))) void give_up(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("FAILED: ", stdout);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    exit(1);
}

static void exited(void *data, int status, const char *reason)
{
    struct machine *m = data;
    (void)status;
    snprintf(m->ended, sizeof m->ended, "%s", reason);
    m->over = true;
    loop_quit(loop, 0);
}

static const struct vmm_events events = {.exited = exited};

static void too_late(void *data)
{
    give_up("%s took too long", (const char *)data);
}

static void start(struct machine *m, const char *disk, const char *overlay, const struct vmm_load *load)
{
    int port[2], console[2];
    struct err err = {.code = 0};
    *m = (struct machine){.vm = NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, port) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0)
        give_up("socketpair");
    m->port = port[0];
    m->console = console[0];
    const struct vmm_config config = {
        .arch = "x86_64", .accel = "tcg", .kernel = kernel, .initrd = initramfs, .root_disk = disk,
        .overlay = overlay, .memory = memory, .load = load, .ports = {{.name = "gondolin.ctl", .fd = port[1]}},
        .port_count = 1, .console_fd = console[1], .log_fd = STDOUT_FILENO};
    if (vmm_qemu.check(&config, &err) < 0 || vmm_qemu.start(loop, &config, &events, m, &m->vm, &err) < 0)
        give_up("start: %s", err.text);
}

static void end(struct machine *m)
{
    vmm_qemu.free_vm(m->vm);
    close(m->port);
    close(m->console);
    *m = (struct machine){.vm = NULL};
}

static void read_line(const struct machine *m, char *line, size_t size)
{
    struct pollfd p = {.fd = m->port, .events = POLLIN};
    size_t used = 0;
    while (used + 1 < size && (used == 0 || line[used - 1] != '\n')) {
        if (poll(&p, 1, TIMEOUT_MS) <= 0 || read(m->port, line + used, 1) != 1)
            give_up("the guest does not answer");
        used++;
    }
    line[used ? used - 1 : 0] = '\0';
}

static void ask(const struct machine *m, char command, char *line, size_t size)
{
    if (write(m->port, &command, 1) != 1)
        give_up("write to the guest: %s", strerror(errno));
    read_line(m, line, size);
}

static uint64_t count_of(const struct machine *m)
{
    char line[64];
    ask(m, 'c', line, sizeof line);
    return strtoull(line, NULL, 10);
}

static void verify(const struct machine *m, const char *what)
{
    char line[64];
    ask(m, 'v', line, sizeof line);
    if (strcmp(line, "good") != 0)
        give_up("%s: %s", what, line);
}

static void saved(void *data, int code, const char *sentence, const struct vmm_save_report *report)
{
    struct saved *s = data;
    struct stat st = {.st_size = 0};
    s->code = code;
    s->is_done = true;
    snprintf(s->sentence, sizeof s->sentence, "%s", sentence);
    if (!code && (!report || !report->disk))
        give_up("a save without a report");
    if (!code) {
        snprintf(s->disk, sizeof s->disk, "%s", report->disk);
        s->pause_us = report->pause_us;
        stat(s->ram, &st);
        printf("saved: pause %.1f ms, total %.1f ms, ram %.1f MB written (%s), %.1f MB on disk\n",
               (double)report->pause_us / 1000, (double)report->total_us / 1000, (double)report->ram_bytes / 1e6,
               report->method, (double)st.st_blocks * 512 / 1e6);
    }
    if (report)
        free(report->disk);
    loop_quit(loop, 0);
}

static void begin_save(const struct machine *m, const char *where, const char *name, bool disk_only, struct saved *s)
{
    *s = (struct saved){.is_done = false};
    snprintf(s->ram, sizeof s->ram, "%s/%s.ram", where, name);
    snprintf(s->state, sizeof s->state, "%s/%s.state", where, name);
    snprintf(s->overlay, sizeof s->overlay, "%s/%s.over.qcow2", where, name);
    const struct vmm_save save = {.ram = disk_only ? NULL : s->ram, .state = disk_only ? NULL : s->state,
                                  .overlay = s->overlay};
    vmm_qemu.save(m->vm, &save, disk_only, saved, s);
}

static void run_until(const bool *flag, const char *what)
{
    struct timer *limit = loop_timer(loop, TIMEOUT_MS, too_late, (void *)what);
    while (!*flag)
        loop_run(loop);
    timer_cancel(limit);
}

static void save(const struct machine *m, const char *where, const char *name, bool disk_only, struct saved *s)
{
    begin_save(m, where, name, disk_only, s);
    run_until(&s->is_done, "save");
}

static void must_save(const struct machine *m, const char *name, bool disk_only, struct saved *s)
{
    save(m, directory, name, disk_only, s);
    if (s->code)
        give_up("save %s: %s", name, s->sentence);
}

static void must_not_exist(const char *path)
{
    if (access(path, F_OK) == 0)
        give_up("%s was left behind", path);
}

static void load(struct machine *m, const struct saved *s, const char *name, bool paused)
{
    char overlay[128];
    const struct vmm_load from = {.ram = s->ram, .state = s->state, .paused = paused};
    snprintf(overlay, sizeof overlay, "%s/%s.clone.qcow2", directory, name);
    start(m, s->disk, overlay, &from);
}

static void done(void *data, int code, const char *sentence)
{
    if (code)
        give_up("pause or resume: %s", sentence);
    *(bool *)data = true;
    loop_quit(loop, 0);
}

static void pause_or_resume(const struct machine *m, bool pause)
{
    bool is_done = false;
    (pause ? vmm_qemu.pause : vmm_qemu.resume)(m->vm, done, &is_done);
    run_until(&is_done, "pause or resume");
}

/* Two machines from one state go on from the same count, each on its own. */
static void clones(const struct saved *s, uint64_t before, uint64_t after)
{
    struct machine first, second;
    uint64_t begin = loop_now_ms();
    load(&first, s, "first", false);
    uint64_t at = count_of(&first);
    printf("loaded: first answer %u ms after start\n", (unsigned)(loop_now_ms() - begin));
    load(&second, s, "second", false);
    uint64_t second_at = count_of(&second);
    printf("counts: %llu before, %llu after the save; clones at %llu and %llu\n", (unsigned long long)before,
           (unsigned long long)after, (unsigned long long)at, (unsigned long long)second_at);
    if (at < before || second_at < before)
        give_up("a clone went back");
    verify(&first, "first clone");
    verify(&second, "second clone");

    struct saved again;
    must_save(&first, "again", false, &again); /* on top of what it was loaded from */
    uint64_t saved_at = count_of(&first);
    verify(&first, "first clone after its save");
    end(&second);
    end(&first);
    load(&first, &again, "third", true);
    pause_or_resume(&first, false);
    at = count_of(&first);
    if (at < before || at > saved_at + 100000)
        give_up("the clone of a clone is at %llu", (unsigned long long)at);
    verify(&first, "clone of a clone");
    end(&first);
}

static void no_space(const struct machine *m, const char *small)
{
    struct saved s;
    save(m, small, "full", false, &s);
    printf("no space: %d, %s\n", s.code, s.sentence);
    if (s.code != ENOSPC)
        give_up("a save into a full file system: %d %s", s.code, s.sentence);
    must_not_exist(s.ram);
    must_not_exist(s.state);
    must_not_exist(s.overlay);
    verify(m, "after a save without space");
}

static void busy_and_paused(const struct machine *m)
{
    struct saved first, second;
    bool resumed = false;
    begin_save(m, directory, "one", false, &first);
    begin_save(m, directory, "other", false, &second);
    if (!second.is_done || second.code != EBUSY)
        give_up("two saves at once");
    must_not_exist(second.ram);
    vmm_qemu.resume(m->vm, done, &resumed);
    run_until(&first.is_done, "save");
    run_until(&resumed, "resume");
    pause_or_resume(m, true);
    must_save(m, "paused", false, &first);
    char letter = 'c', line[64];
    struct pollfd p = {.fd = m->port, .events = POLLIN};
    if (write(m->port, &letter, 1) != 1 || poll(&p, 1, 300) != 0)
        give_up("a paused machine ran after it was saved");
    pause_or_resume(m, false);
    read_line(m, line, sizeof line);
    verify(m, "after a save while paused");
}

static void kill_it(void *data)
{
    const struct machine *m = data;
    if (!m->over)
        kill(vmm_qemu.pid(m->vm), SIGKILL);
}

static void killed_while_saving(const struct saved *from)
{
    for (unsigned delay = 0; delay < 100; delay += 15) {
        struct machine m;
        struct saved s;
        load(&m, from, "victim", false);
        count_of(&m);
        loop_timer(loop, delay, kill_it, &m);
        save(&m, directory, "victim", false, &s);
        printf("killed after %u ms: %d %s\n", delay, s.code, s.sentence);
        if (s.code)
            must_not_exist(s.ram);
        if (s.code)
            must_not_exist(s.state);
        struct timer *limit = loop_timer(loop, TIMEOUT_MS, too_late, (void *)"the end");
        while (!m.over)
            loop_run(loop);
        timer_cancel(limit);
        unlink(s.ram);
        unlink(s.state);
        unlink(s.overlay);
        end(&m);
        snprintf(s.overlay, sizeof s.overlay, "%s/victim.clone.qcow2", directory);
        unlink(s.overlay);
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        give_up("usage: save-machine KERNEL INITRAMFS DISK DIRECTORY SMALL-DIRECTORY [MIB]");
    kernel = argv[1];
    initramfs = argv[2];
    directory = argv[4];
    memory = (argc > 6 ? strtoull(argv[6], NULL, 10) : 256) << 20;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    loop = loop_new();

    struct machine m;
    struct saved s[3];
    char overlay[128], line[64];
    snprintf(overlay, sizeof overlay, "%s/cold.qcow2", directory);
    uint64_t begin = loop_now_ms();
    start(&m, argv[3], overlay, NULL);
    read_line(&m, line, sizeof line);
    printf("booted: %u ms\n", (unsigned)(loop_now_ms() - begin));
    uint64_t before = 0, after = 0;
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        before = count_of(&m);
        must_save(&m, name, false, &s[i]);
        after = count_of(&m);
        verify(&m, "after a save");
    }
    struct saved disk_only;
    must_save(&m, "disk", true, &disk_only);
    if (strcmp(argv[5], "-") != 0)
        no_space(&m, argv[5]);
    busy_and_paused(&m);
    clones(&s[2], before, after);
    end(&m);
    killed_while_saving(&s[1]);
    loop_free(loop);
    puts("all good");
    return 0;
}
