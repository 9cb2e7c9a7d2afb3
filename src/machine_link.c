/* SPDX-License-Identifier: Apache-2.0 */
#include "src/machine_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/session_name.h"
#include "src/supervisor_internal.h"

enum { NOTICES_LIMIT_MS = 2000 };

static bool is_current(const struct machine *m)
{
    return m == m->s->machine;
}

static void note_boot_phases(struct supervisor *s, struct json_object *hello)
{
    struct json_object *phases;
    s->boot_phases[0] = '\0';
    if (!hello || !json_object_object_get_ex(hello, "boot_us", &phases) ||
        !json_object_is_type(phases, json_type_object))
        return;
    size_t used = 0;
    struct json_object_iterator at = json_object_iter_begin(phases), end = json_object_iter_end(phases);
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);
        if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name) || strlen(name) > 32)
            continue;
        int n = snprintf(s->boot_phases + used, sizeof s->boot_phases - used, "boot_%s_us %lld\n", name,
                         (long long)json_object_get_int64(json_object_iter_peek_value(&at)));
        if (n < 0 || (size_t)n >= sizeof s->boot_phases - used)
            break;
        used += (size_t)n;
    }
    s->boot_phases[used] = '\0';
}

static void note_kernel(struct supervisor *s, struct json_object *ready)
{
    struct json_object *kernel;
    if (!ready || !json_object_object_get_ex(ready, "kernel", &kernel) || !json_object_is_type(kernel, json_type_string))
        return;
    free(s->guest_kernel);
    s->guest_kernel = strndup(json_object_get_string(kernel), 128);
    for (char *c = s->guest_kernel; c && *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            *c = '_';
}

static void hello(void *data, struct json_object *greeting, struct json_object *config)
{
    struct machine *m = data;
    char host_name[HOST_NAME_LEN + 1];
    note_boot_phases(m->s, greeting);
    session_host_name(m->s->session.name, host_name);
    json_object_object_add(config, "hostname", json_object_new_string(host_name));
    json_object_object_add(config, "machine_id", json_object_new_string(m->s->machine_id));
    if (m->mounts_fd >= 0 && host_mounts_any(m->s->mounts))
        json_object_object_add(config, "keep_mounts", json_object_new_boolean(true));
}

static bool is_true(struct json_object *object, const char *name)
{
    struct json_object *value;
    return object && json_object_object_get_ex(object, name, &value) && json_object_get_boolean(value);
}

static void ready(void *data, struct json_object *object)
{
    struct machine *m = data;
    note_kernel(m->s, object);
    const struct machine_abilities abilities = {.notices = is_true(object, "notices"),
                                                .mounts = is_true(object, "mounts"),
                                                .resumes = is_true(object, "mounts_resume")};
    supervisor_machine_ready(m, &abilities);
}

static int job_frame(void *data, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    struct machine *m = data;
    return is_current(m) ? jobs_frame(m->s->jobs, header, payload, len) : -EPROTO;
}

static void notices_taken(void *data)
{
    struct supervisor *s = data;
    timer_cancel(s->notices_timer);
    s->notices_timer = NULL;
    if (s->machine && s->machine->link)
        agent_link_pause(s->machine->link, false);
}

static void notices_missing(void *data)
{
    struct supervisor *s = data;
    s->notices_timer = NULL;
    supervisor_log(s, "the guest promised cache notices that did not come");
    front_await_notices(s->front, 0, notices_taken, s);
}

/* What a job did to files before it printed or ended is to be seen by whoever learns of that. */
static void notices(void *data, uint64_t count)
{
    struct machine *m = data;
    struct supervisor *s = m->s;
    if (!is_current(m))
        return;
    timer_cancel(s->notices_timer);
    s->notices_timer = loop_timer(s->loop, NOTICES_LIMIT_MS, notices_missing, s);
    agent_link_pause(m->link, true);
    front_await_notices(s->front, count, notices_taken, s);
}

static void quiet(void *data, uint64_t count, int code)
{
    struct machine *m = data;
    if (is_current(m))
        checkpoint_guest_quiet(m->s, count, code);
}

static void frozen(void *data, int code)
{
    struct machine *m = data;
    if (is_current(m))
        checkpoint_guest_frozen(m->s, code);
}

static int mounts(void *data, struct json_object *answer)
{
    struct machine *m = data;
    return is_current(m) ? host_mounts_answer(m->s->mounts, answer) : -EPROTO;
}

/* A clone may still answer what its original was asked. */
static int programs(void *data, const uint8_t *payload, size_t len)
{
    struct machine *m = data;
    if (m->loaded && !bin_dir_asks(m->s->bin))
        return 0;
    return is_current(m) ? bin_dir_frame(m->s->bin, payload, len) : -EPROTO;
}

static void log_line(void *data, const char *line)
{
    const struct machine *m = data;
    supervisor_log(m->s, "guest: %s", line);
}

static void goodbye(void *data)
{
    struct machine *m = data;
    if (is_current(m))
        m->s->goodbye = true;
    supervisor_log(m->s, "the guest is powering off");
}

static void closed(void *data, const char *why)
{
    supervisor_channel_gone(data, why);
}

struct agent_link *machine_link(struct machine *m, int fd)
{
    static const struct agent_link_ops ops = {.hello = hello,
                                              .ready = ready,
                                              .notices = notices,
                                              .quiet = quiet,
                                              .frozen = frozen,
                                              .mounts = mounts,
                                              .programs = programs,
                                              .job_frame = job_frame,
                                              .log_line = log_line,
                                              .goodbye = goodbye,
                                              .closed = closed};
    return agent_link_new(m->s->loop, fd, m->loaded, &ops, m);
}
