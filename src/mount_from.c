/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_from.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/store.h"
#include "src/cleanup.h"
#include "vmm/vmm.h"

static int check_options(const struct mount_options *o, struct err *err)
{
    if (!o->from)
        return o->disk_only ? err_set(err, EINVAL, "mount: --disk goes with --from only") : 0;
    if (o->image)
        return err_set(err, EINVAL, "mount: --image %s: a checkpoint brings its image; leave it out with --from", o->image);
    if (o->root_disk)
        return err_set(err, EINVAL, "mount: --root-disk %s: a checkpoint brings its disk; leave it out with --from",
                       o->root_disk);
    if (o->root_mode && strcmp(o->root_mode, "cow") != 0 && !o->disk_only)
        return err_set(err, EINVAL, "mount: --root-mode %s: a checkpoint goes on with cow only; --disk boots its disk in "
                       "any mode", o->root_mode);
    return 0;
}

/* Sets an option that was not given to a copy of what it was. */
static bool inherit(const char **option, const char *was, char **copy)
{
    if (*option || !was)
        return true;
    *copy = strdup(was);
    *option = *copy;
    return *copy != NULL;
}

/* What is typed may say anything; a checkpoint may be of somebody else, whoever put it into the store. */
static int check_inherited(const struct mount_options *o, const struct mount_from *from, struct err *err)
{
    const struct checkpoint_manifest *m = &from->checkpoint.manifest;
    struct err own = {0};
    const struct vmm_backend *backend = vmm_backend_find(o->vmm ? o->vmm : m->vmm, err);
    if (!backend)
        return err_wrap(err, "mount: checkpoint %s", o->from);
    if (backend->check_foreign(o->machine ? NULL : m->machine, o->cpu ? NULL : m->cpu, &own) == 0)
        return 0;
    return err_set(err, own.code, "mount: checkpoint %s: %s; where you want that, say it with --machine or --cpu", o->from,
                   own.text);
}

static int inherit_options(struct mount_options *o, struct mount_from *from, struct err *err)
{
    const struct checkpoint_manifest *m = &from->checkpoint.manifest;
    int rc = check_inherited(o, from, err);
    if (rc < 0)
        return rc;
    from->image = strdup(m->image ? m->image : m->build_id);
    o->image = from->image;
    o->memory = o->memory ? o->memory : m->memory;
    o->cpus = o->cpus ? o->cpus : (unsigned)m->cpus;
    bool done = from->image && inherit(&o->vmm, m->vmm, &from->vmm) && inherit(&o->machine, m->machine, &from->machine) &&
                inherit(&o->accel, m->accel, &from->accel) && inherit(&o->cpu, m->cpu, &from->cpu) &&
                inherit(&o->append, m->append, &from->append);
    return done ? 0 : err_set(err, ENOMEM, "mount: out of memory");
}

int mount_from_open(struct mount_options *o, struct mount_from *from, struct err *err)
{
    *from = (struct mount_from){.checkpoint.lock_fd = -1};
    int rc = check_options(o, err);
    if (rc < 0 || !o->from)
        return rc;
    cleanup_free char *store = store_open(err);
    if (!store)
        return -err->code;
    rc = checkpoint_open(store, o->from, false, &from->checkpoint, err);
    if (rc < 0) {
        from->checkpoint.directory = NULL;
        return err_wrap(err, "mount");
    }
    return inherit_options(o, from, err);
}

void mount_from_close(struct mount_from *from)
{
    if (from->checkpoint.directory)
        checkpoint_close(&from->checkpoint);
    char *strings[] = {from->image, from->vmm, from->machine, from->accel, from->cpu, from->append};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
}
