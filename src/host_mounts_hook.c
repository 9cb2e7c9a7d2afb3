/* SPDX-License-Identifier: Apache-2.0 */
/* The hook program of a session: it begins and ends with the worker that asks it. */
#include <fcntl.h>
#include <unistd.h>

#include "src/host_mounts_internal.h"
#include "src/vfs_worker.h"

static const char *const state_names[] = {"none", "starting", "watching", "deciding", "dead"};

static void hook_log(void *data, const char *line)
{
    host_mounts_say(data, "%s", line);
}

/* That it is dead is told by the worker, which finds its end of the socket closed. */
static void hook_ended(void *data)
{
    struct host_mounts *m = data;
    vfs_hook_free(m->hook);
    m->hook = NULL;
    if (m->start_wanted)
        host_mounts_start_worker(m);
}

/* Where the program cannot be started the worker gets a socket that has ended: what should have been asked fails. */
static int start(struct host_mounts *m)
{
    static const struct vfs_hook_ops ops = {.log = hook_log, .ended = hook_ended};
    struct err err = {0};
    int socket = -1, ends[2];
    m->hook = vfs_hook_start(m->loop, m->hook_spec, &ops, m, &socket, &err);
    if (m->hook)
        return socket;
    host_mounts_say(m, "hook: %s", err.text);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

bool host_mounts_give_hook(struct host_mounts *m)
{
    if (!m->hook_spec)
        return true;
    int socket = start(m);
    const struct worker_message message = {.type = WORKER_HOOK};
    m->hook_state = HOOK_STARTING;
    bool given = socket >= 0 && vfs_worker_send(m->worker, &message, socket);
    if (socket >= 0)
        close(socket);
    return given;
}

void host_mounts_end_hook(struct host_mounts *m)
{
    m->hook_state = HOOK_NONE;
    if (m->hook)
        vfs_hook_kill(m->hook);
}

static void hook_is_dead(struct host_mounts *m, const char *why, struct json_object *event)
{
    host_mounts_say(m, "hook: the program is dead: %s; what it should have been asked or told fails with EIO until a new "
                       "session starts it again", why);
    json_object_object_add(event, "why", json_object_new_string(why));
    m->ops->event(m->data, "hook-dead", event);
    if (m->settling && !m->failure[0])
        snprintf(m->failure, sizeof m->failure, "--vfs-hook: %.200s: %.200s; gondolin-vfs-hook(7) tells what it has to say",
                 m->hook_spec->program, why);
}

/* A worker in the guest's hands may say it at any time. */
static bool may_be_told(const struct host_mounts *m, bool dead)
{
    return m->hook_state == HOOK_STARTING || (dead && (m->hook_state == HOOK_WATCHING || m->hook_state == HOOK_DECIDING));
}

void host_mounts_hook_told(void *data, uint32_t flags, int code, const char *why)
{
    struct host_mounts *m = data;
    bool decides = flags & WORKER_HOOK_DECIDES;
    if (!may_be_told(m, code))
        return;
    struct json_object *event = json_object_new_object();
    m->hook_state = code ? HOOK_DEAD : decides ? HOOK_DECIDING : HOOK_WATCHING;
    if (code) {
        hook_is_dead(m, why, event);
    } else {
        json_object_object_add(event, "decides", json_object_new_boolean(decides));
        m->ops->event(m->data, "hook-ready", event);
    }
    host_mounts_settle(m);
}

void host_mounts_hook_status(const struct host_mounts *m, FILE *out)
{
    if (!m->hook_spec)
        return;
    fprintf(out, "hook_state %s\n", state_names[m->hook_state]);
    if (m->hook)
        fprintf(out, "hook_pid %d\n", (int)vfs_hook_pid(m->hook));
}
