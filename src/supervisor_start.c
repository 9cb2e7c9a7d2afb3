/* SPDX-License-Identifier: Apache-2.0 */
/* The first machine of a sandbox: from the checkpoint that was named; else from the template of its image and shape, which
 * a cold boot leaves behind; else cold. A template is only a cache: one that does not work is dropped and forgotten. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/digest.h"
#include "src/checkpoint_start.h"
#include "src/cleanup.h"
#include "src/proto.h"
#include "src/supervisor_internal.h"

enum { TEMPLATE_LIMIT_MS = 20 * 1000, CHECKPOINT_LIMIT_MS = 120 * 1000 };

/* Only what every sandbox has that boots the image: its disk, thrown away at the end. */
static bool wants_template(const struct supervisor *s)
{
    const struct mount_options *o = s->start->options;
    return !s->start->from && !o->cold && !o->root_disk && (!o->root_mode || strcmp(o->root_mode, "cow") == 0) &&
           (s->backend->capabilities & VMM_CAN_SAVE);
}

/* Everything that decides what a cold boot leads to. */
static char *template_key(struct supervisor *s)
{
    struct err err = {0};
    char version[16], hex[DIGEST_HEX_SIZE];
    cleanup_free char *shape = machine_shape(s, &err);
    cleanup_free char *options = shape ? machine_kernel_options(s) : NULL;
    struct digest *digest = options ? digest_new() : NULL;
    if (!digest) {
        supervisor_log(s, "no template is used: %s", shape ? "out of memory" : err.text);
        return NULL;
    }
    snprintf(version, sizeof version, "%d", CTL_VERSION);
    digest_add_string(digest, version);
    digest_add_string(digest, s->start->image->build_id);
    digest_add_string(digest, options);
    digest_add_string(digest, shape);
    digest_end(digest, hex);
    return strdup(hex);
}

static void took_too_long(void *data)
{
    struct supervisor *s = data;
    s->start_timer = NULL;
    if (!supervisor_start_again(s, "its guest does not answer"))
        supervisor_stop(s, false, "the guest of the checkpoint does not answer");
}

/* Connects what waits for it. */
static int take_into_use(struct supervisor *s, struct machine *m, struct err *err)
{
    if (!m)
        return -err->code;
    s->machine = m;
    supervisor_publish_machine(s);
    jobs_set_link(s->jobs, m->link, NULL);
    bin_dir_set_link(s->bin, m->link);
    int rc = front_connect(s->front, m->root_fd, m->window_fd);
    if (rc < 0)
        return err_errno(err, -rc, "mount: file channel");
    m->root_fd = -1;
    supervisor_mounts_connect(s);
    if (m->loaded)
        s->start_timer = loop_timer(s->loop, m->disks.base_is_template ? TEMPLATE_LIMIT_MS : CHECKPOINT_LIMIT_MS,
                                    took_too_long, s);
    return 0;
}

static int start_cold(struct supervisor *s, struct err *err)
{
    const struct machine_origin origin = {.base = NULL};
    s->make_template = s->template_key != NULL;
    return take_into_use(s, machine_start(s, &origin, err), err);
}

static int start_from_checkpoint(struct supervisor *s, struct err *err)
{
    struct checkpoint *from = s->start->from;
    bool boot = s->start->options->disk_only;
    bool loads = !boot && from->manifest.kind == CHECKPOINT_FULL;
    cleanup_free char *shape = loads ? machine_shape(s, err) : NULL;
    if (loads && !shape)
        return -err->code;
    int rc = loads ? checkpoint_fits(from, boot, shape, err) : 0;
    rc = rc ? rc : checkpoint_read_jobs(from, boot, &s->records, err);
    if (rc < 0)
        return err_wrap(err, "mount");
    supervisor_log(s, "%s checkpoint %s", loads ? "going on from" : "booting the disk of", from->name);
    const struct machine_origin origin = {.base = from, .boot = boot};
    return take_into_use(s, machine_start(s, &origin, err), err);
}

/* False: there is none, or it does not load. */
static bool start_warm(struct supervisor *s)
{
    struct checkpoint template = {.lock_fd = -1};
    struct err err = {0};
    int rc = template_open(s->store, s->template_key, &template, &err);
    if (rc == -ENOENT)
        return false;
    const struct machine_origin origin = {.base = &template, .is_template = true};
    if (rc == 0)
        rc = take_into_use(s, machine_start(s, &origin, &err), &err);
    if (rc == 0)
        return true;
    if (template.directory)
        checkpoint_close(&template);
    machine_free(s->machine);
    s->machine = NULL;
    supervisor_log(s, "the template is dropped: %s", err.text);
    template_drop(s->store, s->template_key, NULL);
    return false;
}

int supervisor_start_machine(struct supervisor *s, struct err *err)
{
    if (s->start->from)
        return start_from_checkpoint(s, err);
    s->template_key = wants_template(s) ? template_key(s) : NULL;
    if (s->template_key && start_warm(s))
        return 0;
    return start_cold(s, err);
}

bool supervisor_start_again(struct supervisor *s, const char *why)
{
    struct machine *failed = s->machine;
    struct err err = {0};
    if (s->state != STATE_STARTING || !failed || !failed->loaded || !failed->disks.base_is_template)
        return false;
    const struct checkpoint *template = &failed->disks.base;
    bool dropped = !store_is_lock_of(template->directory, template->lock_fd); /* by somebody else */
    supervisor_log(s, "the template is dropped: %s", why);
    timer_cancel(s->start_timer);
    timer_cancel(s->gone_timer);
    s->start_timer = s->gone_timer = NULL;
    s->machine = NULL;
    machine_free(failed);
    if (!dropped)
        template_drop(s->store, s->template_key, NULL);
    if (start_cold(s, &err) < 0)
        supervisor_stop(s, false, err.text);
    return true;
}

bool supervisor_start_unmixed(struct supervisor *s)
{
    const struct disks *disks = &s->machine->disks;
    return disks->base_is_template && !store_is_lock_of(disks->base.directory, disks->base.lock_fd) &&
           supervisor_start_again(s, "another one took its place meanwhile");
}
