/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that go on with another worker: what one leaves to the next (fs/worker_state.h), for a checkpoint, and for a
 * directory that comes in and that the worker there is may not see. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/host_mounts_internal.h"
#include "src/vfs_worker.h"

enum { HOLD_TRIES = 5 }; /* the guest waits for 2 s each time */

/* ---- saving ---- */

static void finish_saving(struct host_mounts *m, int fd)
{
    host_mounts_saved_fn *saved = m->saved;
    m->saved = NULL;
    saved(m->saved_data, fd);
}

void host_mounts_save(struct host_mounts *m, host_mounts_saved_fn *saved, void *data)
{
    const struct worker_message message = {.type = WORKER_SAVE};
    bool possible = host_mounts_has_session(m) && m->resumes && !m->saved;
    int fd = possible ? memfd_create("gondolin-session", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
    if (fd < 0 || !vfs_worker_send(m->worker, &message, fd)) {
        if (fd >= 0)
            close(fd);
        saved(data, -1);
        return;
    }
    m->saved = saved;
    m->saved_data = data;
    m->save_fd = fd;
}

void host_mounts_stop_saving(struct host_mounts *m, const void *data)
{
    if (m->saved && m->saved_data == data)
        host_mounts_saving_done(m, ECANCELED, false);
}

void host_mounts_saving_done(struct host_mounts *m, int code, bool tell)
{
    if (!m->saved)
        return;
    int fd = m->save_fd;
    m->save_fd = -1;
    /* Else a worker in the guest's hands could go on writing while it is read. */
    if (code || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        close(fd);
        fd = -1;
    }
    if (tell)
        finish_saving(m, fd);
    else
        m->saved = NULL;
}

struct json_object *host_mounts_describe(const struct host_mounts *m)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < m->count; i++) {
        struct json_object *mount = json_object_new_object();
        json_object_object_add(mount, "id", json_object_new_uint64(m->list[i]->id));
        json_object_object_add(mount, "target", json_object_new_string(m->list[i]->spec.target));
        json_object_array_add(list, mount);
    }
    return list;
}

/* ---- going on in another machine ---- */

/* The number under which a target was mounted then; 0: it was not. */
static uint32_t number_of(struct json_object *mounts, const char *target)
{
    for (size_t i = 0; i < json_object_array_length(mounts); i++) {
        struct json_object *entry = json_object_array_get_idx(mounts, i), *id, *path;
        if (json_object_object_get_ex(entry, "id", &id) && json_object_object_get_ex(entry, "target", &path) &&
            json_object_is_type(path, json_type_string) && strcmp(json_object_get_string(path), target) == 0)
            return (uint32_t)json_object_get_int(id);
    }
    return 0;
}

static uint32_t largest_number(const struct host_mounts *m, struct json_object *mounts)
{
    uint32_t largest = m->last_id;
    for (size_t i = 0; i < json_object_array_length(mounts); i++) {
        struct json_object *id;
        if (json_object_object_get_ex(json_object_array_get_idx(mounts, i), "id", &id) &&
            (uint32_t)json_object_get_int(id) > largest)
            largest = (uint32_t)json_object_get_int(id);
    }
    return largest;
}

/* The numbers that the guest knows its mounts by; what it does not know gets others than those. */
void host_mounts_renumber(struct host_mounts *m, struct json_object *mounts)
{
    if (!mounts || !json_object_is_type(mounts, json_type_array))
        return;
    m->last_id = largest_number(m, mounts);
    for (size_t i = 0; i < m->count; i++) {
        uint32_t then = number_of(mounts, m->list[i]->spec.target);
        m->list[i]->id = then ? then : ++m->last_id;
    }
}

/* ---- renewing ---- */

static void ask_to_hold(struct host_mounts *m)
{
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "hold", json_object_new_boolean(true));
    m->ops->tell_agent(m->data, request);
}

void host_mounts_renew(struct host_mounts *m)
{
    if (m->hold_tries)
        return; /* the session that comes has it, too */
    if (!host_mounts_has_session(m) || !m->resumes || m->saved) {
        host_mounts_begin_session(m, 0, -1);
        return;
    }
    m->hold_tries = HOLD_TRIES;
    ask_to_hold(m);
}

static void session_saved(void *data, int fd)
{
    host_mounts_begin_session(data, 0, fd);
}

/* What is still under way after the last try fails in the guest. */
void host_mounts_held(struct host_mounts *m, bool held)
{
    if (!m->hold_tries)
        return;
    m->hold_tries--;
    if (!held && m->hold_tries)
        ask_to_hold(m);
    else
        host_mounts_save(m, session_saved, m);
}
