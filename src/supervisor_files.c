/* SPDX-License-Identifier: Apache-2.0 */
/* The files at the top of the mount: README ctl error status events console log, and root/. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/ctl_verbs.h"
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
          "  jobs/clone         open it read-write: a job that lives as long as the descriptor\n"
          "  mounts/            directories of the host that the machine sees; add one with\n"
          "                         echo 'bind /home/me/project:/srv/project' > ctl\n"
          "  ctl                commands for the whole machine; `cat ctl` lists them\n"
          "  status             state and facts, one `key value` per line\n"
          "  error              why the last thing failed, in one sentence\n"
          "  events             JSON lines of what happens from now on (cat it)\n"
          "  console, log       what the guest's kernel printed; what gondolin did;\n"
          "                     cat follows all three until Ctrl-C\n"
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
    fprintf(out, "files_notices %d\n", s->notices);
    fprintf(out, "files_requests %llu\nfiles_waiting %zu\nfiles_in_guest %zu\nfiles_interrupted %llu\n",
            (unsigned long long)c.requests, c.waiting, c.sent, (unsigned long long)c.interrupted);
}

static void render_status(void *object, FILE *out)
{
    const struct supervisor *s = object;
    const struct session *session = &s->session;
    fprintf(out, "state %s\nid %s\nname %s\nmountpoint %s\nimage %s\nbuild_id %s\n", supervisor_state_name(s->state),
            session->id, session->name, session->mountpoint, session->image, session->build_id);
    if (s->vm)
        fputs(s->backend->describe(s->vm), out);
    if (s->guest_kernel)
        fprintf(out, "guest_kernel %s\n", s->guest_kernel);
    fprintf(out, "vm_pid %d\nsupervisor_pid %d\n", (int)session->vm_pid, (int)getpid());
    fprintf(out, "uptime_ms %llu\n", (unsigned long long)(loop_now_ms() - s->started_ms));
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

/* ---- followed text ---- */

static struct follow *follow_of(struct control_handle *handle)
{
    const struct supervisor *s = control_handle_object(handle);
    const char *name = control_node_name(control_handle_node(handle));
    return strcmp(name, "log") == 0 ? s->log : strcmp(name, "events") == 0 ? s->events : s->console;
}

static int followed_open(struct control_handle *handle)
{
    return follow_open(follow_of(handle), handle);
}

static void followed_release(struct control_handle *handle)
{
    follow_release(follow_of(handle), handle);
}

static void followed_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    follow_read(follow_of(handle), handle, size, request);
}

static unsigned followed_poll(struct control_handle *handle)
{
    return follow_poll(follow_of(handle), handle);
}

static void console_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                          struct control_request *request)
{
    (void)offset;
    struct supervisor *s = control_handle_object(handle);
    ssize_t n = s->vm ? write(s->console_fd, data, len) : -1;
    if (n >= 0)
        control_reply_written(request, (size_t)n);
    else
        control_reply_error(request, s->vm ? EAGAIN : ENOTCONN, "console: the guest takes no input now");
}

static const struct control_ops console_ops = {.open = followed_open,
                                               .release = followed_release,
                                               .read = followed_read,
                                               .write = console_write,
                                               .poll = followed_poll,
                                               .stream = true};
static const struct control_ops follow_ops = {.open = followed_open,
                                              .release = followed_release,
                                              .read = followed_read,
                                              .poll = followed_poll,
                                              .stream = true};

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
    struct control_request *request;
    size_t len;
    const char *verb;
};

static void machine_done(void *data, int code, const char *sentence)
{
    struct machine_request *m = data;
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
    if (!s->vm || !(s->backend->capabilities & VMM_CAN_PAUSE) || !m) {
        control_reply_error(request, !m ? ENOMEM : s->vm ? EOPNOTSUPP : ENOTCONN, "%s: %s", verb,
                            s->vm ? "this backend cannot" : "the machine is not there");
        free(m);
        return;
    }
    *m = (struct machine_request){.request = request, .len = len, .verb = verb};
    operation(s->vm, machine_done, m);
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

static int check_bind(void *object, char **words, size_t count, struct err *err)
{
    struct mount_spec spec;
    (void)object, (void)count;
    if (words[1][0] != '/')
        return -err_set(err, EINVAL, "bind: \"%.200s\": the path on the host has to be absolute", words[1]);
    int rc = mount_spec_bind("bind", words[1], &spec, err);
    if (rc == 0)
        mount_spec_free(&spec);
    return -rc;
}

static void verb_bind(void *object, char **words, size_t count, struct control_request *request, size_t len)
{
    struct supervisor *s = object;
    struct mount_spec spec;
    struct err err = {0};
    (void)count;
    if (mount_spec_bind("bind", words[1], &spec, &err) < 0) {
        control_reply_error(request, err.code, "%s", err.text);
        return;
    }
    host_mounts_bind(s->mounts, &spec, request, len);
    mount_spec_free(&spec);
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
        {"status", 0444, &status_ops},  {"events", 0444, &follow_ops},   {"console", 0600, &console_ops},
        {"log", 0444, &follow_ops},
    };
    struct control_node *root = control_root(s->control);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!control_add(root, files[i].name, S_IFREG | files[i].mode, files[i].ops, s))
            return -errno;
    return control_add_foreign(root, "root", root_id, s);
}
