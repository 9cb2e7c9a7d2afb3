/* SPDX-License-Identifier: Apache-2.0 */
/* The files at the top of the mount: README ctl error status events console log, and root/. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/ctl_verbs.h"
#include "src/printable.h"
#include "src/supervisor_internal.h"

static void render_readme(void *object, FILE *out)
{
    (void)object;
    fputs("This directory is a Linux virtual machine.\n"
          "\n"
          "  root/              its files, live: edit them with any tool\n"
          "  run                write a command line to run it in the machine and wait for it:\n"
          "                         echo 'uname -a' > run && cat last/stdout\n"
          "  last               the newest job: last/stdout, last/stderr, last/status\n"
          "  jobs/NAME          a job you set up yourself:\n"
          "                         mkdir jobs/web\n"
          "                         echo 'python3 -m http.server' > jobs/web/cmd\n"
          "                         echo start > jobs/web/ctl\n"
          "                         cat jobs/web/wait          (blocks until it ends)\n"
          "                         echo kill > jobs/web/ctl; rmdir jobs/web\n"
          "  bin/NAME           runs a program of the machine from here: bin/uname -a\n"
          "  jobs/clone         open it read-write: a job that lives as long as the descriptor\n"
          "  checkpoints/       mkdir checkpoints/NAME keeps the machine as it is, programs and all;\n"
          "                     echo 'restore NAME' > ctl goes back to it; rmdir forgets it\n"
          "  mounts/            directories of the host that the machine sees; add one with\n"
          "                         echo 'bind /home/me/project:/srv/project' > ctl\n"
          "  ctl                commands for the whole machine; `cat ctl` lists them\n"
          "  status             state and facts, one `key value` per line\n"
          "  error              why the last thing failed, in one sentence\n"
          "  events             JSON lines of what happens from now on; cat follows it until Ctrl-C\n"
          "  console, log       what the guest's kernel printed; what gondolin did\n"
          "                     (tail -f follows them)\n"
          "\n"
          "A command that fails makes the write to `run` fail (EREMOTEIO); the reason is in `error`.\n"
          "Ctrl-C works everywhere. Programs under root/ do not run on the host by accident.\n"
          "When you are done: gondolin umount, or umount, or fusermount3 -u on this directory.\n"
          "Everything is documented in gondolin-files(5).\n",
          out);
}

static const struct control_ops readme_ops = {.render = render_readme, .sized = true};

static void render_error(void *object, FILE *out)
{
    const struct supervisor *s = object;
    const char *sentence = control_last_error(s->control);
    if (*sentence)
        fprintf(out, "%s\n", sentence);
}

static const struct control_ops error_ops = {.render = render_error, .sized = true};

static void render_files_status(const struct supervisor *s, FILE *out)
{
    struct pump_counters c;
    pump_counters(front_pump(s->front), &c);
    fprintf(out, "files_notices %d\n", s->abilities.notices);
    fprintf(out, "files_requests %llu\nfiles_waiting %zu\nfiles_in_guest %zu\nfiles_interrupted %llu\n",
            (unsigned long long)c.requests, c.waiting, c.sent, (unsigned long long)c.interrupted);
}

/* What the machine began with, and what its disk lies on. */
static void render_origin(const struct supervisor *s, FILE *out)
{
    const struct machine *m = s->machine;
    if (!m)
        return;
    fprintf(out, "start %s\ncheckpoint %s\nrestores %u\ndisk_errors %llu\n",
            !m->loaded ? "cold" : s->start->from || s->restores ? "checkpoint" : "warm",
            s->session.checkpoint ? s->session.checkpoint : "-", s->restores,
            (unsigned long long)s->disk_errors);
}

static void render_status(void *object, FILE *out)
{
    const struct supervisor *s = object;
    const struct session *session = &s->session;
    cleanup_free char *mountpoint = printable_spelled(session->mountpoint); /* a newline in it would begin another key */
    fprintf(out, "state %s\nid %s\nname %s\nmountpoint %s\nimage %s\nbuild_id %s\n", supervisor_shown_state(s),
            session->id, session->name, mountpoint ? mountpoint : "?", session->image, session->build_id);
    if (s->machine && s->machine->vm)
        fputs(s->backend->describe(s->machine->vm), out);
    if (s->guest_kernel)
        fprintf(out, "guest_kernel %s\n", s->guest_kernel);
    fprintf(out, "vm_pid %d\nsupervisor_pid %d\n", (int)session->vm_pid, (int)getpid());
    fprintf(out, "uptime_ms %llu\n", (unsigned long long)(loop_now_ms() - s->started_ms));
    render_origin(s, out);
    if (s->ready_ms)
        fprintf(out, "ready_ms %llu\n", (unsigned long long)s->ready_ms);
    fputs(s->boot_phases, out);
    fprintf(out, "jobs_running %u\n", jobs_count(s->jobs, JOB_RUNNING) + jobs_count(s->jobs, JOB_STARTING));
    if (s->front)
        render_files_status(s, out);
    host_mounts_status(s->mounts, out);
    if (s->why_ended[0])
        fprintf(out, "reason %s\n", s->why_ended);
}

static const struct control_ops status_ops = {.render = render_status, .sized = true};

/* ---- events ---- */

static struct follow *follow_of(struct control_handle *handle)
{
    return ((const struct supervisor *)control_handle_object(handle))->events;
}

static int events_open(struct control_handle *handle)
{
    return follow_open(follow_of(handle), handle);
}

static void events_release(struct control_handle *handle)
{
    follow_release(follow_of(handle), handle);
}

static void events_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    follow_read(follow_of(handle), handle, size, request);
}

static unsigned events_poll(struct control_handle *handle)
{
    return follow_poll(follow_of(handle), handle);
}

static const struct control_ops events_ops = {
    .open = events_open, .release = events_release, .read = events_read, .poll = events_poll, .stream = true};

/* ---- console, log ---- */

static struct record *record_of(struct control_handle *handle)
{
    const struct supervisor *s = control_handle_object(handle);
    return strcmp(control_node_name(control_handle_node(handle)), "log") == 0 ? s->log : s->console;
}

static int recorded_open(struct control_handle *handle)
{
    return record_open(record_of(handle), handle);
}

static void recorded_release(struct control_handle *handle)
{
    record_release(record_of(handle), handle);
}

static void recorded_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    record_read(record_of(handle), handle, size, offset, request);
}

static unsigned recorded_poll(struct control_handle *handle)
{
    return record_poll(record_of(handle), handle);
}

static off_t console_size(void *object)
{
    return record_size(((const struct supervisor *)object)->console);
}

static off_t log_size(void *object)
{
    return record_size(((const struct supervisor *)object)->log);
}

static void console_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                          struct control_request *request)
{
    (void)offset;
    struct supervisor *s = control_handle_object(handle);
    bool runs = s->machine && s->machine->vm;
    ssize_t n = runs ? machine_write_console(s->machine, data, len) : -1;
    if (n >= 0)
        control_reply_written(request, (size_t)n);
    else
        control_reply_error(request, runs ? EAGAIN : ENOTCONN, "console: the guest takes no input now");
}

static const struct control_ops console_ops = {.open = recorded_open,
                                               .release = recorded_release,
                                               .read = recorded_read,
                                               .write = console_write,
                                               .poll = recorded_poll,
                                               .size = console_size};
static const struct control_ops log_ops = {.open = recorded_open,
                                           .release = recorded_release,
                                           .read = recorded_read,
                                           .poll = recorded_poll,
                                           .size = log_size};

/* ---- ctl ---- */

static int verb_umount(void *object, char **words, size_t count, struct err *err)
{
    (void)words, (void)count, (void)err;
    supervisor_stop(object, true, "umount written to ctl");
    return 0;
}

static int verb_kill(void *object, char **words, size_t count, struct err *err)
{
    (void)words, (void)count, (void)err;
    struct supervisor *s = object;
    supervisor_stop(s, false, "kill written to ctl");
    s->orderly = true;
    return 0;
}

/* A pause or resume that the machine monitor works on. */
struct machine_request {
    struct supervisor *s;
    const struct machine *machine;
    bool pauses;
    struct control_request *request;
    size_t len;
    const char *verb;
};

static void note_paused(struct supervisor *s, const struct machine *machine, bool paused)
{
    if (s->machine != machine) /* another has been restored in its place */
        return;
    s->machine->paused = paused;
    supervisor_show_state(s);
}

static void machine_done(void *data, int code, const char *sentence)
{
    struct machine_request *m = data;
    if (!code)
        note_paused(m->s, m->machine, m->pauses);
    if (code)
        control_reply_error(m->request, code, "%s: %s", m->verb, sentence);
    else
        control_reply_written(m->request, m->len);
    free(m);
}

static void ask_machine(struct supervisor *s, const char *verb, void (*operation)(struct vmm *, vmm_done_fn *, void *),
                        struct control_request *request, size_t len)
{
    struct machine_request *m = malloc(sizeof *m);
    struct vmm *vm = s->machine ? s->machine->vm : NULL;
    if (!vm || !(s->backend->capabilities & VMM_CAN_PAUSE) || !m) {
        control_reply_error(request, !m ? ENOMEM : vm ? EOPNOTSUPP : ENOTCONN, "%s: %s", verb,
                            vm ? "this backend cannot" : "the machine is not there");
        free(m);
        return;
    }
    *m = (struct machine_request){.s = s, .machine = s->machine, .pauses = operation == s->backend->pause,
                                  .request = request, .len = len, .verb = verb};
    operation(vm, machine_done, m);
}

static void verb_pause(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    (void)words, (void)count;
    struct supervisor *s = object;
    ask_machine(s, "pause", s->backend->pause, request, len);
}

static void verb_resume(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    (void)words, (void)count;
    struct supervisor *s = object;
    ask_machine(s, "resume", s->backend->resume, request, len);
}

/* "disk" for the disk only. */
static int check_checkpoint(void *object, char **words, size_t count, struct err *err)
{
    (void)object;
    if (count > 2 && strcmp(words[2], "disk") != 0)
        return -err_set(err, EINVAL, "ctl: %s: %.60s: only \"disk\" can follow the name", words[0], words[2]);
    return checkpoint_check_name(words[1], err) < 0 ? err->code : 0;
}

static void verb_checkpoint(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    checkpoint_take(object, words[1], count > 2, request, len);
}

static void verb_restore(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    checkpoint_restore(object, words[1], count > 2, request, len);
}

static int check_bind(void *object, char **words, size_t count, struct err *err)
{
    (void)object, (void)count;
    return -bind_check(words[1], err);
}

static void verb_bind(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    (void)count;
    bind_later(object, words[1], request, len);
}

static void verb_unbind(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    struct supervisor *s = object;
    (void)count;
    host_mounts_unbind(s->mounts, words[1], request, len);
}

static const struct ctl_verb verbs[] = {
    {.name = "umount", .arguments = "", .summary = "end the sandbox in order and unmount it", .run = verb_umount},
    {.name = "kill", .arguments = "", .summary = "end the machine at once and unmount", .run = verb_kill},
    {.name = "pause", .arguments = "", .summary = "stop the machine's clock and processors", .run_later = verb_pause},
    {.name = "resume", .arguments = "", .summary = "let it go on", .run_later = verb_resume},
    {.name = "checkpoint", .min = 1, .max = 2, .arguments = "NAME [disk]", .summary = "keep the machine as it is now, or its disk",
     .check = check_checkpoint, .run_later = verb_checkpoint},
    {.name = "restore", .min = 1, .max = 2, .arguments = "NAME [disk]", .summary = "go back to a checkpoint, or boot its disk",
     .check = check_checkpoint, .run_later = verb_restore},
    {.name = "bind", .min = 1, .max = 1, .arguments = "HOST:GUEST[:OPTION,...]",
     .summary = "show a directory or file of the host in the guest", .check = check_bind, .run_later = verb_bind},
    {.name = "unbind", .min = 1, .max = 1, .arguments = "GUEST", .summary = "take it away again",
     .run_later = verb_unbind},
    {.name = NULL},
};

static void render_ctl(void *object, FILE *out)
{
    (void)object;
    ctl_verbs_usage(verbs, out);
}

static void ctl_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                      struct control_request *request)
{
    (void)offset;
    ctl_verbs_run(verbs, control_handle_object(handle), data, len, request);
}

static const struct control_ops ctl_ops = {.render = render_ctl, .write = ctl_write};

/* ---- the tree ---- */

static uint64_t root_id(void *object)
{
    const struct supervisor *s = object;
    return s->front ? pump_root_id(front_pump(s->front)) : 0;
}

int supervisor_files_add(struct supervisor *s)
{
    static const struct {
        const char *name;
        mode_t mode;
        const struct control_ops *ops;
    } files[] = {
        {"README", 0444, &readme_ops},  {"ctl", 0600, &ctl_ops},         {"error", 0444, &error_ops},
        {"status", 0444, &status_ops},  {"events", 0444, &events_ops},   {"console", 0600, &console_ops},
        {"log", 0444, &log_ops},
    };
    struct control_node *root = control_root(s->control);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!control_add(root, files[i].name, S_IFREG | files[i].mode, files[i].ops, s))
            return -errno;
    int rc = checkpoints_dir_add(s);
    return rc ? rc : control_add_foreign(root, "root", root_id, s);
}
