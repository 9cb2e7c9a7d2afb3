/* SPDX-License-Identifier: Apache-2.0 */
/* Host directories in the guest: what src/host_mounts.h asks of the supervisor. */
#include <errno.h>

#include "src/supervisor_internal.h"

static void mounts_log(void *data, const char *line)
{
    supervisor_log(data, "%s", line);
}

static void mounts_event(void *data, const char *name, struct json_object *details)
{
    supervisor_event(data, name, details);
}

static bool mounts_tell_agent(void *data, struct json_object *request)
{
    const struct supervisor *s = data;
    if (s->machine && s->machine->link)
        return agent_link_send_json(s->machine->link, CTL_MOUNTS, 0, request);
    json_object_put(request);
    return false;
}

static void mounts_settled(void *data, const char *failure)
{
    supervisor_mounts_settled(data, failure);
}

void supervisor_mounts_connect(struct supervisor *s)
{
    struct machine *m = s->machine;
    host_mounts_connect(s->mounts, m->vfs_fd, m->window_fd,
                        m->mounts_fd >= 0 ? m->disks.base.manifest.mounts : NULL, m->mounts_fd);
    m->vfs_fd = m->mounts_fd = -1;
}

int supervisor_mounts_add(struct supervisor *s)
{
    static const struct host_mounts_ops ops = {
        .log = mounts_log, .event = mounts_event, .tell_agent = mounts_tell_agent, .settled = mounts_settled};
    s->mounts = host_mounts_new(s->loop, s->control, s->start->mounts, &ops, s);
    if (!s->mounts)
        return -errno;
    host_mounts_use_hook(s->mounts, s->start->hook);
    return 0;
}
