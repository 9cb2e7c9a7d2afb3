/* SPDX-License-Identifier: Apache-2.0 */
/* The table of mounts with its directory mounts/, and the verbs that change it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/host_mounts_internal.h"
#include "src/vfs_worker.h"

static const char *const state_names[] = {"wanted", "mounted", "failed", "leaving"};

/* ---- files ---- */

static void render_source(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    fprintf(out, "%s\n", mount->spec.source ? mount->spec.source : "memory");
}

static void render_target(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    fprintf(out, "%s\n", mount->spec.target);
}

static void render_options(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    if (mount->spec.options[0])
        fprintf(out, "%s\n", mount->spec.options);
}

static void render_state(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    fprintf(out, "%s\n", state_names[mount->state]);
}

static unsigned long long counter(const uint64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void render_counters(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    const struct mount_counters *c = &mount->mounts->counters[mount->slot];
    fprintf(out, "requests %llu\nerrors %llu\nbytes_read %llu\nbytes_written %llu\ntotal_us %llu\n", counter(&c->requests),
            counter(&c->errors), counter(&c->bytes_read), counter(&c->bytes_written), counter(&c->total_us));
}

/* "below_us N": so many requests took less than that and not less than the line before says. */
static void render_latency(void *object, FILE *out)
{
    const struct host_mount *mount = object;
    const struct mount_counters *c = &mount->mounts->counters[mount->slot];
    for (unsigned i = 0; i + 1 < MOUNTTABLE_BUCKETS; i++)
        fprintf(out, "%lu %llu\n", 1UL << i, counter(&c->latency[i]));
    fprintf(out, "max %llu\n", counter(&c->latency[MOUNTTABLE_BUCKETS - 1]));
}

static const struct control_ops mounts_ops = {0}, mount_ops = {0};
static const struct control_ops source_ops = {.render = render_source, .sized = true};
static const struct control_ops target_ops = {.render = render_target, .sized = true};
static const struct control_ops options_ops = {.render = render_options, .sized = true};
static const struct control_ops state_ops = {.render = render_state, .sized = true};
static const struct control_ops counters_ops = {.render = render_counters, .sized = true};
static const struct control_ops latency_ops = {.render = render_latency, .sized = true};

/* "/srv/app" is srv:app; what would not be told apart, and what is no name, is written as %XX. */
static char *directory_name(const char *target)
{
    char *name = calloc(3, strlen(target)), *out = name;
    for (const char *c = target + 1; name && *c; c++) {
        if (*c == '/')
            *out++ = ':';
        else if (*c == ':' || *c == '%' || (unsigned char)*c < 0x20 || *c == 0x7f || (out == name && *c == '.'))
            out += sprintf(out, "%%%02X", (unsigned char)*c);
        else
            *out++ = *c;
    }
    return name;
}

static int add_files(struct host_mount *mount)
{
    static const struct {
        const char *name;
        const struct control_ops *ops;
    } files[] = {{"source", &source_ops}, {"target", &target_ops},     {"options", &options_ops},
                 {"state", &state_ops},   {"counters", &counters_ops}, {"latency", &latency_ops}};
    cleanup_free char *name = directory_name(mount->spec.target);
    if (!name)
        return -ENOMEM;
    if (strlen(name) > 255)
        return -ENAMETOOLONG;
    mount->dir = control_add(mount->mounts->dir, name, S_IFDIR | 0500, &mount_ops, mount);
    for (size_t i = 0; mount->dir && i < sizeof files / sizeof *files; i++)
        if (!control_add(mount->dir, files[i].name, S_IFREG | 0400, files[i].ops, mount))
            return -errno;
    return mount->dir ? 0 : -errno;
}

int host_mounts_add_directory(struct host_mounts *m, struct control *control)
{
    m->dir = control_add(control_root(control), "mounts", S_IFDIR | 0500, &mounts_ops, m);
    return m->dir ? 0 : -errno;
}

/* ---- the table ---- */

struct host_mount *host_mounts_find(struct host_mounts *m, uint32_t id)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i]->id == id)
            return m->list[i];
    return NULL;
}

static uint32_t free_slot(const struct host_mounts *m)
{
    for (uint32_t slot = 0;; slot++) {
        size_t i = 0;
        while (i < m->count && m->list[i]->slot != slot)
            i++;
        if (i == m->count)
            return slot;
    }
}

static void insert(struct host_mounts *m, struct host_mount *mount)
{
    size_t at = 0;
    while (at < m->count && strcmp(m->list[at]->spec.target, mount->spec.target) < 0)
        at++;
    memmove(m->list + at + 1, m->list + at, (m->count - at) * sizeof *m->list);
    m->list[at] = mount;
    m->count++;
}

struct host_mount *host_mounts_add(struct host_mounts *m, struct mount_spec *spec)
{
    if (m->count == MOUNTTABLE_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    struct host_mount *mount = calloc(1, sizeof *mount);
    if (!mount)
        return NULL;
    *mount = (struct host_mount){.mounts = m, .spec = *spec, .id = ++m->last_id, .slot = free_slot(m)};
    *spec = (struct mount_spec){.fd = -1};
    memset(&m->counters[mount->slot], 0, sizeof *m->counters);
    insert(m, mount);
    int rc = add_files(mount);
    if (rc == 0)
        return mount;
    host_mounts_remove(m, mount);
    errno = -rc;
    return NULL;
}

void host_mounts_remove(struct host_mounts *m, struct host_mount *mount)
{
    size_t at = 0;
    while (m->list[at] != mount)
        at++;
    memmove(m->list + at, m->list + at + 1, (--m->count - at) * sizeof *m->list);
    if (mount->dir)
        control_remove(mount->dir);
    mount_spec_free(&mount->spec);
    free(mount);
}

/* ---- verbs ---- */

static void tell_event(struct host_mounts *m, const char *what, const struct host_mount *mount)
{
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "target", json_object_new_string(mount->spec.target));
    m->ops->event(m->data, what, event);
}

static void answer(struct host_mount *mount, int code, const char *verb, const char *error)
{
    struct control_request *request = mount->request;
    mount->request = NULL;
    if (request && code)
        control_reply_error(request, code, "%s: %s: %s", verb, mount->spec.target, error);
    else if (request)
        control_reply_written(request, mount->request_len);
}

void host_mounts_bound(struct host_mounts *m, struct host_mount *mount, int code, const char *error)
{
    bool asked = mount->request;
    answer(mount, code, "bind", error);
    if (!code)
        tell_event(m, "bound", mount);
    else if (asked)
        host_mounts_remove(m, mount);
}

void host_mounts_unbound(struct host_mounts *m, struct host_mount *mount, int code, const char *error)
{
    answer(mount, code, "unbind", error);
    if (code) {
        mount->state = MOUNT_MOUNTED;
        return;
    }
    struct worker_message message = {.type = WORKER_UNMOUNT, .id = mount->id};
    if (m->worker)
        vfs_worker_send(m->worker, &message, -1);
    tell_event(m, "unbound", mount);
    host_mounts_remove(m, mount);
    if (m->count == 0)
        host_mounts_end_session(m);
}

void host_mounts_fail_requests(struct host_mounts *m)
{
    for (size_t i = 0; i < m->count; i++)
        answer(m->list[i], ENOTCONN, "mounts", "the machine has ended");
}

/* The caller has given up; what was asked for goes on. */
static void interrupted(struct control_request *request, void *data)
{
    struct host_mount *mount = data;
    mount->request = NULL;
    control_reply_error(request, EINTR, "mounts: %s: interrupted; the guest may still do it", mount->spec.target);
}

static void wait_for_guest(struct host_mount *mount, struct control_request *request, size_t len)
{
    mount->request = request;
    mount->request_len = len;
    control_request_on_interrupt(request, interrupted, mount);
}

static bool lies_below(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    return strncmp(inner, outer, len) == 0 && inner[len] == '/';
}

/* A mount over another one's parents would hide that. */
static const char *hidden_by(const struct host_mounts *m, const char *target)
{
    for (size_t i = 0; i < m->count; i++)
        if (lies_below(m->list[i]->spec.target, target))
            return m->list[i]->spec.target;
    return NULL;
}

static struct host_mount *find_target(const struct host_mounts *m, const char *target)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->list[i]->spec.target, target) == 0)
            return m->list[i];
    return NULL;
}

void host_mounts_bind(struct host_mounts *m, struct mount_spec *spec, struct control_request *request, size_t len)
{
    const char *inner = hidden_by(m, spec->target);
    if (!m->agent)
        control_reply_error(request, ENOTCONN, "bind: the guest is not there, or its agent knows nothing of mounts "
                                               "(build the image again)");
    else if (find_target(m, spec->target))
        control_reply_error(request, EEXIST, "bind: %s: something is mounted there already", spec->target);
    else if (inner)
        control_reply_error(request, EBUSY, "bind: %s: %s is mounted below it and would be hidden; unbind that first",
                            spec->target, inner);
    else {
        struct host_mount *mount = host_mounts_add(m, spec);
        if (!mount) {
            control_reply_error(request, errno, "bind: %s", strerror(errno));
            return;
        }
        wait_for_guest(mount, request, len);
        host_mounts_renew(m);
    }
}

void host_mounts_unbind(struct host_mounts *m, const char *given, struct control_request *request, size_t len)
{
    cleanup_free char *tidy = mount_spec_tidy(given);
    const char *target = tidy ? tidy : given;
    struct host_mount *mount = find_target(m, target);
    const char *inner = hidden_by(m, target);
    if (!mount)
        control_reply_error(request, ENOENT, "unbind: %s: nothing of the host is mounted there; ls mounts", given);
    else if (!m->agent)
        control_reply_error(request, ENOTCONN, "unbind: the guest is not there");
    else if (inner)
        control_reply_error(request, EBUSY, "unbind: %s: %s is mounted below it; unbind that first", target, inner);
    else if (mount->request || mount->state == MOUNT_LEAVING)
        control_reply_error(request, EALREADY, "unbind: %s: it is being changed just now", target);
    else if (mount->state != MOUNT_MOUNTED) {
        host_mounts_remove(m, mount);
        control_reply_written(request, len);
    } else {
        mount->state = MOUNT_LEAVING;
        wait_for_guest(mount, request, len);
        host_mounts_tell_agent(m);
    }
}

void host_mounts_status(const struct host_mounts *m, FILE *out)
{
    static const char *const landlock[] = {"no", "yes"};
    fprintf(out, "mounts %zu\n", m->count);
    if (!m->worker || m->worker_leaves)
        return;
    fprintf(out, "mounts_pid %d\nmounts_restarts %llu\n", (int)vfs_worker_pid(m->worker),
            (unsigned long long)m->restarts);
    fprintf(out, "mounts_landlock %s\nmounts_landlock_version %u\nmounts_seccomp %s\nmounts_network_namespace %s\n",
            landlock[!!(m->confined & WORKER_HAS_LANDLOCK)], m->landlock_abi,
            landlock[!!(m->confined & WORKER_HAS_SECCOMP)], landlock[!!(m->confined & WORKER_HAS_NETNS)]);
    host_mounts_hook_status(m, out);
}
