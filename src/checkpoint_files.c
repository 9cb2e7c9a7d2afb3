/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a checkpoint that is being taken: its disks, its manifest, and its place in the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/files.h"
#include "images/verified.h"
#include "src/cleanup.h"
#include "src/proto.h"
#include "src/taking.h"
#include "vmm/qcow2.h"

/* ---- publishing, in a thread ---- */

static int set_backing(const char *path, const char *backing, struct err *err)
{
    cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? err_errno(err, errno, "%s", path) : qcow2_set_backing(fd, backing, err);
}

/* Gives the directory a link to a disk, as its number `number` from above. */
static int link_disk(const struct taking *t, const char *from, unsigned number, struct err *err)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    checkpoint_disk_name(number, name);
    cleanup_free char *to = files_format("%s/%s", t->work.path, name);
    int rc = to ? files_link_or_copy(from, to) : -ENOMEM;
    return rc < 0 ? err_errno(err, -rc, "%s", from) : 0;
}

/* A template is a cache: its disk, which is small, comes along. It is copied from what is open, as another template may
 * have its name by now. */
static int copy_template(const struct taking *t, struct err *err)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    checkpoint_disk_name((unsigned)t->disks.count, name);
    cleanup_free char *to = files_format("%s/%s", t->work.path, name);
    int rc = to ? files_copy(t->template_disk, to, 0600) : -ENOMEM;
    return rc < 0 ? err_errno(err, -rc, "copy the template's disk") : set_backing(to, t->bottom, err);
}

static int link_disks(const struct taking *t, struct err *err)
{
    bool on_template = t->template_disk >= 0;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < t->disks.count; i++) {
        char below[CHECKPOINT_DISK_NAME_SIZE];
        checkpoint_disk_name(i + 1, below);
        bool lowest = i + 1 == t->disks.count;
        rc = set_backing(t->disks.list[i], lowest && !on_template ? t->bottom : below, err);
        if (rc == 0)
            rc = link_disk(t, t->disks.list[i], i, err);
    }
    return rc == 0 && on_template ? copy_template(t, err) : rc;
}

static int merge_disks(const struct taking *t, struct err *err)
{
    cleanup_free char *backing = checkpoint_backing_name(&t->manifest, 0);
    return backing ? checkpoint_merge_disks(t->work.path, t->root, backing, err) : err_errno(err, ENOMEM, "merge disks");
}

static int write_output(const struct taking *t, struct err *err)
{
    if (!t->records.output_len)
        return 0;
    cleanup_free char *path = files_format("%s/" CHECKPOINT_OUTPUT, t->work.path);
    cleanup_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    int rc = fd < 0 ? -errno : files_write(fd, t->records.output, t->records.output_len);
    return rc < 0 ? err_errno(err, -rc, "write the output of jobs") : 0;
}

static int write_mounts(const struct taking *t, struct err *err)
{
    if (t->mounts_fd < 0)
        return 0;
    cleanup_free char *path = files_format("%s/" CHECKPOINT_MOUNTS, t->work.path);
    int rc = path ? files_copy(t->mounts_fd, path, 0600) : -ENOMEM;
    return rc < 0 ? err_errno(err, -rc, "write what is open of the host's files") : 0;
}

void taking_publish(void *data)
{
    struct taking *t = data;
    const char *store = t->s->store; /* never changes */
    int rc = link_disks(t, &t->err);
    if (rc == 0 && t->root)
        rc = merge_disks(t, &t->err);
    rc = rc ? rc : write_output(t, &t->err);
    rc = rc ? rc : write_mounts(t, &t->err);
    if (rc == 0 && t->name)
        rc = checkpoint_publish(store, &t->work, t->name, &t->manifest, &t->result, &t->err);
    else if (rc == 0)
        rc = template_publish(store, &t->work, t->key, &t->manifest, &t->result, &t->err);
    if (rc == 0)
        t->err.code = 0; /* what was tried on the way and did not matter */
}

/* ---- in the loop ---- */

/* The disk of the template that was made; -1 when another sandbox has made the same one at the same time: its disk is not
 * ours. */
static int open_our_disk(const struct taking *t)
{
    struct stat ours, published;
    cleanup_free char *path = files_format("%s/" CHECKPOINT_DISK, t->result.directory);
    cleanup_close int fd = open(t->disks.list[0], O_RDONLY | O_CLOEXEC);
    bool same = path && fd >= 0 && t->disks.count == 1 && stat(path, &published) == 0 && fstat(fd, &ours) == 0 &&
                ours.st_dev == published.st_dev && ours.st_ino == published.st_ino;
    return same ? steal_fd(&fd) : -1;
}

/* The disks are in the checkpoint now, under names of their own or all in one. */
static void remove_frozen(const struct taking *t)
{
    const struct checkpoint_manifest *manifest = &t->result.manifest;
    for (unsigned i = 0; i < t->disks.count; i++) {
        char name[CHECKPOINT_DISK_NAME_SIZE];
        checkpoint_disk_name(i, name);
        const struct manifest_file *file = manifest_files_find(manifest->files, manifest->file_count, name);
        if (file)
            verified_unlink(t->result.directory, file, t->disks.list[i]);
        else
            unlink(t->disks.list[i]);
    }
    names_free(&t->s->machine->disks.frozen);
}

/* What the machine writes now lies on the checkpoint. */
void taking_adopt(struct taking *t)
{
    struct machine *m = t->s->machine;
    int template_disk = t->name ? -1 : open_our_disk(t);
    if (!t->name && template_disk < 0) {
        checkpoint_close(&t->result);
        return;
    }
    remove_frozen(t);
    if (m->disks.base.directory)
        checkpoint_close(&m->disks.base);
    if (m->disks.template_disk >= 0)
        close(m->disks.template_disk);
    m->disks.base = t->result;
    m->disks.base_is_template = !t->name;
    m->disks.template_disk = template_disk;
    supervisor_publish_machine(t->s);
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int add_disks(struct taking *t)
{
    const struct supervisor *s = t->s;
    const struct disks *disks = &s->machine->disks;
    for (size_t i = disks->frozen.count; i > 0; i--)
        names_add(&t->disks, disks->frozen.list[i - 1]);
    if (t->merge)
        t->root = strdup(disks->root_disk ? disks->root_disk : s->start->image->rootfs);
    if (t->merge && disks->base.directory && !disks->base_is_template)
        t->bottom = files_format("%s/" CHECKPOINT_DISK, disks->base.directory);
    else
        t->bottom = t->merge ? copy(t->root) : checkpoint_backing_name(&t->manifest, 0); /* which has no layers yet */
    if (t->disks.failed || !t->bottom || (t->merge && !t->root))
        return -ENOMEM;
    if (disks->base_is_template) /* the thread's own, whatever becomes of the machine */
        t->template_disk = fcntl(disks->template_disk, F_DUPFD_CLOEXEC, 0);
    return disks->base_is_template && t->template_disk < 0 ? -errno : 0;
}

static bool is_in_store(const struct supervisor *s)
{
    struct stat ours, theirs;
    cleanup_free char *path = files_format("%s/images/%s", s->store, s->start->image->build_id);
    return path && stat(path, &ours) == 0 && stat(s->start->image->directory, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static char *now_utc(void)
{
    char text[32];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return strdup(text);
}

static int fill_manifest(struct taking *t, struct err *err)
{
    struct supervisor *s = t->s;
    const struct mount_options *o = s->start->options;
    const struct image *image = s->start->image;
    const struct disks *disks = &s->machine->disks;
    t->manifest = (struct checkpoint_manifest){
        .kind = t->disk_only ? CHECKPOINT_DISK_ONLY : CHECKPOINT_FULL,
        .created = now_utc(),
        .sandbox = strdup(s->session.name),
        .image = is_in_store(s) ? NULL : strdup(image->directory),
        .root_disk = copy(disks->root_disk),
        .root_disk_state = copy(disks->root_disk_state),
        .parent = disks->base.directory && !disks->base_is_template && !t->merge ? strdup(disks->base.name) : NULL,
        .vmm = copy(o->vmm), .machine = copy(o->machine), .accel = copy(o->accel), .cpu = copy(o->cpu),
        .append = copy(o->append), .memory = o->memory ? o->memory : image->default_memory, .cpus = o->cpus ? o->cpus : 1,
        .agent_protocol = CTL_VERSION, .pause_us = t->pause_us,
    };
    snprintf(t->manifest.build_id, sizeof t->manifest.build_id, "%s", image->build_id);
    if (!t->disk_only)
        t->manifest.shape = copy(s->machine->shape);
    if (!t->disk_only && !t->manifest.shape)
        return err_set(err, EOPNOTSUPP, "the monitor did not tell what it is when the machine was started");
    const char *memory = t->manifest.shape ? strstr(t->manifest.shape, "\nmemory ") : NULL;
    if (memory) /* also where it is the default's, which may change */
        t->manifest.memory = strtoull(memory + strlen("\nmemory "), NULL, 10);
    return t->manifest.created && t->manifest.sandbox ? 0 : err_set(err, ENOMEM, "out of memory");
}

void taking_describe(struct taking *t, const struct vmm_save_report *report)
{
    if (fill_manifest(t, &t->err) < 0)
        return;
    t->manifest.total_us = report->total_us;
    t->manifest.method = t->disk_only ? NULL : strdup(report->method);
    t->manifest.jobs = json_object_get(t->records.jobs);
    t->manifest.mounts = json_object_get(t->mounts);
    int rc = add_disks(t);
    if (rc < 0)
        err_errno(&t->err, -rc, "the machine's disks");
}
