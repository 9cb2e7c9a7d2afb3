/* SPDX-License-Identifier: Apache-2.0 */
#include "src/host_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/sync.h"
#include "src/cleanup.h"
#include "src/host_mounts_internal.h"
#include "src/memory_file.h"
#include "src/printable.h"
#include "src/vfs_worker.h"

enum { RESTART_PAUSE_MS = 1000 };

void host_mounts_say(struct host_mounts *m, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    m->ops->log(m->data, line);
}

/* ---- the agent ---- */

static struct json_object *describe(const struct host_mount *mount)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "id", json_object_new_uint64(mount->id));
    json_object_object_add(object, "target", json_object_new_string(mount->spec.target));
    json_object_object_add(object, "file", json_object_new_boolean(mount->spec.is_file));
    json_object_object_add(object, "ro", json_object_new_boolean(mount->spec.read_only));
    json_object_object_add(object, "noexec", json_object_new_boolean(mount->spec.no_exec));
    return object;
}

static void tell_agent(struct host_mounts *m, bool resume)
{
    struct json_object *request = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(request, "session", m->nonce[0] ? json_object_new_string(m->nonce) : NULL);
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i]->state != MOUNT_LEAVING)
            json_object_array_add(list, describe(m->list[i]));
    json_object_object_add(request, "mounts", list);
    if (resume)
        json_object_object_add(request, "resume", json_object_new_boolean(true));
    if (m->agent)
        m->ops->tell_agent(m->data, request);
    else
        json_object_put(request);
}

void host_mounts_tell_agent(struct host_mounts *m)
{
    tell_agent(m, false);
}

/* ---- the worker ---- */

static bool new_nonce(char nonce[SYNC_NONCE + 1])
{
    uint8_t bytes[SYNC_NONCE / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* The next one is not started before it has gone: they would read from the same stream. */
static void end_worker(struct host_mounts *m)
{
    m->hold_tries = 0;
    timer_cancel(m->restart_timer);
    m->restart_timer = NULL;
    m->start_wanted = false;
    m->confined = 0;
    host_mounts_end_hook(m);
    if (m->worker) {
        m->worker_leaves = true;
        vfs_worker_kill(m->worker);
    }
}

static void worker_confined(void *data, uint32_t how, unsigned landlock_abi)
{
    struct host_mounts *m = data;
    m->confined = how;
    m->landlock_abi = landlock_abi;
    if (!(how & WORKER_HAS_LANDLOCK))
        host_mounts_say(m, "files of the host: this kernel has no Landlock that can be used; gondolin-vfs is confined by "
                        "seccomp only");
}

static void worker_done(void *data, uint32_t what, uint32_t id, int code)
{
    struct host_mounts *m = data;
    if (what == WORKER_SAVE) {
        host_mounts_saving_done(m, code, true);
        return;
    }
    const struct host_mount *mount = host_mounts_find(m, id);
    if (code && mount)
        host_mounts_say(m, "%s %s: %s", what == WORKER_UNMOUNT ? "unbind" : "bind", mount->spec.target, strerror(code));
    else if (code)
        host_mounts_say(m, "files of the host: gondolin-vfs: %s", strerror(code));
}

static void worker_log(void *data, const char *line)
{
    host_mounts_say(data, "files of the host: %s", line);
}

static void worker_failed(struct host_mounts *m, const char *why);
static void worker_ended(void *data, const char *why);

/* Tells the worker of one mount. */
static void give(struct host_mounts *m, const struct host_mount *mount)
{
    const struct mount_spec *spec = &mount->spec;
    struct worker_message message = {
        .type = WORKER_MOUNT,
        .id = mount->id,
        .slot = mount->slot,
        .flags = (spec->source ? 0 : WORKER_MOUNT_MEMORY) | (spec->read_only ? WORKER_MOUNT_READONLY : 0),
        .owner = spec->owner,
        .cache = spec->cache,
        .size = spec->size,
    };
    snprintf(message.target, sizeof message.target, "%s", spec->target);
    if (spec->patterns)
        snprintf(message.text, sizeof message.text, "%s", spec->patterns);
    vfs_worker_send(m->worker, &message, spec->fd);
}

static void set_state(struct host_mounts *m, int fd)
{
    if (m->state_fd >= 0)
        close(m->state_fd);
    m->state_fd = fd;
}

static void give_state(struct host_mounts *m)
{
    const struct worker_message message = {.type = WORKER_STATE};
    if (m->state_fd >= 0)
        vfs_worker_send(m->worker, &message, m->state_fd);
    set_state(m, -1);
}

void host_mounts_start_worker(struct host_mounts *m)
{
    static const struct vfs_worker_ops ops = {
        .confined = worker_confined, .done = worker_done, .log = worker_log, .hook = host_mounts_hook_told,
        .ended = worker_ended};
    struct err err = {0};
    m->start_wanted = m->worker || m->hook;
    if (m->start_wanted)
        return;
    m->started_ms = loop_now_ms();
    const struct vfs_worker_fds fds = {.stream = m->stream_fd, .counters = m->counters_fd, .window = m->window_fd};
    m->worker = vfs_worker_start(m->loop, &fds, &ops, m, &err);
    if (!m->worker) {
        worker_failed(m, err.text);
        return;
    }
    struct worker_message start = {.type = WORKER_START};
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i]->state != MOUNT_LEAVING)
            give(m, m->list[i]);
    memcpy(start.text, m->nonce, SYNC_NONCE);
    give_state(m);
    if (host_mounts_give_hook(m))
        vfs_worker_send(m->worker, &start, -1);
    else
        vfs_worker_kill(m->worker); /* nothing is served that the hook does not see */
}

static void restart(void *data)
{
    struct host_mounts *m = data;
    m->restart_timer = NULL;
    host_mounts_start_worker(m);
}

/* The guest hears of the new session at once, which ends the old one there; one that cannot live is not started over and
 * over without a pause. */
static void worker_failed(struct host_mounts *m, const char *why)
{
    struct json_object *event = json_object_new_object();
    host_mounts_say(m, "files of the host: %s; it is started again", why);
    json_object_object_add(event, "why", json_object_new_string(why));
    m->ops->event(m->data, "mounts-restarted", event);
    m->restarts++;
    bool soon = loop_now_ms() - m->started_ms < RESTART_PAUSE_MS;
    host_mounts_begin_session(m, soon ? RESTART_PAUSE_MS : 0, -1);
}

static void worker_ended(void *data, const char *why)
{
    struct host_mounts *m = data;
    bool expected = m->worker_leaves;
    vfs_worker_free(m->worker);
    m->worker = NULL;
    m->worker_leaves = false;
    host_mounts_saving_done(m, EIO, true);
    if (!expected)
        worker_failed(m, why);
    else if (m->start_wanted)
        host_mounts_start_worker(m);
}

bool host_mounts_has_session(const struct host_mounts *m)
{
    return m->worker && !m->worker_leaves && m->nonce[0];
}

void host_mounts_begin_session(struct host_mounts *m, unsigned pause_ms, int state_fd)
{
    end_worker(m);
    set_state(m, state_fd);
    m->answered = false;
    if (m->stream_fd < 0 || !m->agent || !new_nonce(m->nonce))
        return;
    bool resume = m->state_fd >= 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i]->state == MOUNT_MOUNTED)
            m->list[i]->state = MOUNT_WANTED;
    if (pause_ms)
        m->restart_timer = loop_timer(m->loop, pause_ms, restart, m);
    else
        host_mounts_start_worker(m);
    tell_agent(m, resume);
}

void host_mounts_end_session(struct host_mounts *m)
{
    end_worker(m);
    m->nonce[0] = '\0';
    host_mounts_tell_agent(m);
}

/* ---- what happens ---- */

void host_mounts_connect(struct host_mounts *m, int stream_fd, int window_fd, struct json_object *described,
                         int state_fd)
{
    end_worker(m);
    if (m->stream_fd >= 0)
        close(m->stream_fd);
    if (m->window_fd >= 0)
        close(m->window_fd);
    m->stream_fd = stream_fd;
    m->window_fd = window_fd < 0 ? -1 : fcntl(window_fd, F_DUPFD_CLOEXEC, 0);
    m->agent = false;
    set_state(m, state_fd);
    if (state_fd >= 0)
        host_mounts_renumber(m, described);
}

bool host_mounts_agent(struct host_mounts *m, bool able, bool resumes)
{
    int state_fd = m->state_fd;
    m->agent = able;
    m->resumes = resumes;
    m->settling = m->count > 0;
    m->state_fd = -1;
    if (m->count > 0 && able)
        host_mounts_begin_session(m, 0, state_fd);
    else
        set_state(m, state_fd);
    return m->count > 0;
}

static int read_line(struct json_object *line, uint64_t *id, int *code, const char **error)
{
    struct json_object *member;
    if (!json_object_object_get_ex(line, "id", &member) || !json_object_is_type(member, json_type_int))
        return -EPROTO;
    *id = json_object_get_uint64(member);
    if (!json_object_object_get_ex(line, "errno", &member) || !json_object_is_type(member, json_type_int))
        return -EPROTO;
    *code = json_object_get_int(member);
    *error = json_object_object_get_ex(line, "error", &member) && json_object_is_type(member, json_type_string)
                 ? json_object_get_string(member)
                 : "";
    return *code >= 0 && *code < 512 ? 0 : -EPROTO;
}

/* The guest names what failed, which where it is the target all sentences do anyway. */
static const char *without_target(const struct host_mount *mount, const char *error)
{
    size_t len = strlen(mount->spec.target);
    return strncmp(error, mount->spec.target, len) == 0 && strncmp(error + len, ": ", 2) == 0 ? error + len + 2 : error;
}

typedef void outcome_fn(struct host_mounts *m, struct host_mount *mount, int code, const char *error);

static int each_line(struct host_mounts *m, struct json_object *answer, const char *name, outcome_fn *fn)
{
    struct json_object *list;
    if (!json_object_object_get_ex(answer, name, &list) || !json_object_is_type(list, json_type_array))
        return -EPROTO;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        uint64_t id;
        int code;
        const char *error;
        char text[400];
        if (read_line(json_object_array_get_idx(list, i), &id, &code, &error) < 0)
            return -EPROTO;
        printable_copy(text, sizeof text, error, strlen(error));
        struct host_mount *mount = id <= UINT32_MAX ? host_mounts_find(m, (uint32_t)id) : NULL;
        if (mount)
            fn(m, mount, code, without_target(mount, text));
    }
    return 0;
}

static void mounted(struct host_mounts *m, struct host_mount *mount, int code, const char *error)
{
    if (mount->state != MOUNT_WANTED)
        return;
    mount->state = code ? MOUNT_FAILED : MOUNT_MOUNTED;
    if (code) {
        host_mounts_say(m, "bind %s: in the guest: %s", mount->spec.target, error);
        if (!m->failure[0])
            snprintf(m->failure, sizeof m->failure, "bind %.200s: in the guest: %.250s", mount->spec.target, error);
    }
    host_mounts_bound(m, mount, code, error);
}

static void removed(struct host_mounts *m, struct host_mount *mount, int code, const char *error)
{
    if (mount->state == MOUNT_LEAVING)
        host_mounts_unbound(m, mount, code, error);
}

/* The guest's answer may overtake what the worker says about the hook. */
void host_mounts_settle(struct host_mounts *m)
{
    if (!m->settling || !m->answered || m->hook_state == HOOK_STARTING)
        return;
    m->settling = false;
    m->ops->settled(m->data, m->failure[0] ? m->failure : NULL);
}

int host_mounts_answer(struct host_mounts *m, struct json_object *answer)
{
    struct json_object *session, *held;
    if (answer && json_object_object_get_ex(answer, "held", &held)) {
        host_mounts_held(m, json_object_get_boolean(held));
        return 0;
    }
    if (!answer || !json_object_object_get_ex(answer, "session", &session) ||
        !json_object_is_type(session, json_type_string))
        return -EPROTO;
    if (strcmp(json_object_get_string(session), m->nonce) != 0)
        return 0; /* of a session that has ended */
    int rc = each_line(m, answer, "mounts", mounted);
    rc = rc ? rc : each_line(m, answer, "removed", removed);
    m->answered = rc == 0;
    host_mounts_settle(m);
    return rc;
}

void host_mounts_disconnect(struct host_mounts *m)
{
    m->agent = false;
    end_worker(m);
    host_mounts_fail_requests(m);
}

static int make_counters(struct host_mounts *m)
{
    size_t size = MOUNTTABLE_MAX * sizeof *m->counters;
    m->counters_fd = memory_file_new("gondolin-mounts", size);
    if (m->counters_fd < 0)
        return m->counters_fd;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->counters_fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    m->counters = map;
    return 0;
}

struct host_mounts *host_mounts_new(struct loop *loop, struct control *control, struct mount_specs *specs,
                                    const struct host_mounts_ops *ops, void *data)
{
    struct host_mounts *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    *m = (struct host_mounts){.loop = loop, .ops = ops, .data = data, .stream_fd = -1, .counters_fd = -1,
                             .window_fd = -1, .state_fd = -1, .save_fd = -1};
    int rc = make_counters(m);
    rc = rc ? rc : host_mounts_add_directory(m, control);
    for (size_t i = 0; rc == 0 && i < specs->count; i++)
        rc = host_mounts_add(m, &specs->list[i]) ? 0 : -errno;
    if (rc == 0)
        return m;
    host_mounts_free(m);
    errno = -rc;
    return NULL;
}

void host_mounts_free(struct host_mounts *m)
{
    if (!m)
        return;
    host_mounts_disconnect(m);
    vfs_worker_free(m->worker);
    vfs_hook_free(m->hook);
    host_mounts_saving_done(m, ECANCELED, false);
    set_state(m, -1);
    while (m->count > 0)
        host_mounts_remove(m, m->list[m->count - 1]);
    if (m->counters)
        munmap(m->counters, MOUNTTABLE_MAX * sizeof *m->counters);
    if (m->counters_fd >= 0)
        close(m->counters_fd);
    if (m->stream_fd >= 0)
        close(m->stream_fd);
    if (m->window_fd >= 0)
        close(m->window_fd);
    free(m);
}

void host_mounts_use_hook(struct host_mounts *m, const struct vfs_hook_spec *spec)
{
    m->hook_spec = spec;
}

bool host_mounts_any(const struct host_mounts *mounts)
{
    return mounts->count > 0;
}
