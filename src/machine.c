/* SPDX-License-Identifier: Apache-2.0 */
#include "src/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/window.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "src/machine_link.h"
#include "src/memory_file.h"
#include "src/printable.h"
#include "src/supervisor_internal.h"

/* The machine's ends of its streams, and our end of ctl; -1: not there. */
struct ends {
    int ctl, root, vfs, console, link;
};

static void machine_read_console(void *data, uint32_t events)
{
    struct machine *m = data;
    char buffer[4096];
    (void)events;
    ssize_t n = read(m->console_fd, buffer, sizeof buffer);
    if (n > 0) {
        record_add(m->s->console, buffer, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        watch_del(m->console_watch);
        m->console_watch = NULL;
    }
}

ssize_t machine_write_console(struct machine *m, const char *data, size_t len)
{
    return write(m->console_fd, data, len);
}

static void read_vmm_log(void *data, uint32_t events)
{
    struct machine *m = data;
    char buffer[1024];
    (void)events;
    ssize_t n = read(m->vmm_log_fd[0], buffer, sizeof buffer - 1);
    if (n <= 0)
        return;
    buffer[n] = '\0';
    char *rest = buffer;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            supervisor_log(m->s, "%s", line);
}

static void vm_exited(void *data, int wait_status, const char *reason)
{
    struct machine *m = data;
    (void)wait_status;
    /* The other end is closed: this reads the guest's last words and then the end. */
    while (m->console_watch)
        machine_read_console(m, EPOLLIN);
    supervisor_machine_ended(m, reason);
}

static void vm_crashed(void *data, const char *what)
{
    const struct machine *m = data;
    supervisor_log(m->s, "guest: %s", what);
}

/* A guest that goes on fails again and again: told once, and counted. */
static void vm_disk_failed(void *data, const char *reason)
{
    struct supervisor *s = ((const struct machine *)data)->s;
    char why[128];
    if (s->disk_errors++)
        return;
    printable_copy(why, sizeof why, reason, strlen(reason));
    supervisor_log(s, "an access to the root disk failed (%s); the guest was told, and what its programs have not synced may be "
                   "lost", why);
    struct json_object *event = json_object_new_object();
    json_object_object_add(event, "reason", json_object_new_string(why));
    supervisor_event(s, "disk-error", event);
}

static int socket_pair(int *ours, int *theirs)
{
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) < 0)
        return -errno;
    *ours = both[0];
    *theirs = both[1];
    return 0;
}

static void close_ends(const struct ends *e)
{
    const int fds[] = {e->ctl, e->root, e->vfs, e->console, e->link};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static struct watch *watch_stream(struct machine *m, int fd, loop_fd_fn *fn)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return loop_watch(m->s->loop, fd, EPOLLIN, fn, m);
}

/* When it fails, the ends made by then are the machine's and *e's. */
static int make_ends(struct machine *m, struct ends *e)
{
    int rc = socket_pair(&e->link, &e->ctl);
    rc = rc ? rc : socket_pair(&m->root_fd, &e->root);
    rc = rc ? rc : socket_pair(&m->vfs_fd, &e->vfs);
    rc = rc ? rc : socket_pair(&m->console_fd, &e->console);
    if (rc == 0 && m->backend->capabilities & VMM_CAN_WINDOW)
        rc = (m->window_fd = memory_file_new("gondolin-window", WINDOW_SIZE)) < 0 ? m->window_fd : 0;
    rc = rc ? rc : pipe2(m->vmm_log_fd, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
    if (rc)
        return rc;
    m->console_watch = watch_stream(m, m->console_fd, machine_read_console);
    m->vmm_log_watch = loop_watch(m->s->loop, m->vmm_log_fd[0], EPOLLIN, read_vmm_log, m);
    return m->console_watch && m->vmm_log_watch ? 0 : -errno;
}

static enum vmm_root_mode root_mode(const struct mount_options *o)
{
    if (!o->root_mode)
        return o->root_disk ? VMM_ROOT_PERSISTENT : VMM_ROOT_COW;
    if (strcmp(o->root_mode, "cow") == 0)
        return VMM_ROOT_COW;
    return strcmp(o->root_mode, "memory") == 0 ? VMM_ROOT_MEMORY : VMM_ROOT_READONLY;
}

/* `base_disk`: of the checkpoint that the disk lies on, or NULL. */
static struct vmm_config machine_config(const struct supervisor *s, const char *overlay, const char *base_disk)
{
    const struct mount_options *o = s->start->options;
    const struct image *image = s->start->image;
    return (struct vmm_config){
        .binary = o->qemu,
        .machine = o->machine,
        .accel = o->accel,
        .cpu = o->cpu,
        .cpus = o->cpus,
        .memory = o->memory ? o->memory : image->default_memory,
        .append = o->append,
        .arch = image->arch,
        .kernel = image->kernel,
        .initrd = image->initramfs,
        .kernel_append = image->kernel_append,
        .root_disk = base_disk ? base_disk : o->root_disk ? o->root_disk : image->rootfs,
        .root_mode = root_mode(o),
        .overlay = overlay,
        .ports = {{PORT_CTL, -1}, {PORT_ROOT, -1}, {PORT_VFS, -1}},
        .port_count = 3,
        .window_size = s->backend->capabilities & VMM_CAN_WINDOW ? WINDOW_SIZE : 0,
        .window_fd = -1,
        .console_fd = -1,
        .log_fd = -1,
    };
}

int machine_check(struct supervisor *s, struct err *err)
{
    struct vmm_config config = machine_config(s, s->work_dir, NULL);
    return s->backend->check(&config, err) < 0 ? err_wrap(err, "mount") : 0;
}

char *machine_shape(struct supervisor *s, struct err *err)
{
    struct vmm_config config = machine_config(s, s->work_dir, NULL);
    if (s->backend->shape) {
        // cppcheck-suppress returnDanglingLifetime // what comes back is malloc'd
        return s->backend->shape(&config, err);
    }
    err_set(err, EOPNOTSUPP, "the %s backend cannot save machines", s->backend->name);
    return NULL;
}

char *machine_kernel_options(struct supervisor *s)
{
    struct vmm_config config = machine_config(s, s->work_dir, NULL);
    // cppcheck-suppress returnDanglingLifetime // what comes back is malloc'd
    return s->backend->kernel_options(&config);
}

char *machine_new_overlay(struct supervisor *s)
{
    return files_format("%s/root-%u.qcow2", s->work_dir, ++s->overlays);
}

/* Starts the monitor with its ends of everything, which are closed here in any case. */
static int start_vmm(struct machine *m, const struct ends *e, const char *disk, const struct vmm_load *load,
                     struct err *err)
{
    static const struct vmm_events vm_events = {.exited = vm_exited, .crashed = vm_crashed,
                                                .disk_failed = vm_disk_failed};
    struct vmm_config config = machine_config(m->s, m->disks.active, disk);
    config.load = load;
    config.ports[0].fd = e->ctl;
    config.ports[1].fd = e->root;
    config.ports[2].fd = e->vfs;
    config.window_fd = m->window_fd;
    config.console_fd = e->console;
    config.log_fd = m->vmm_log_fd[1];
    int rc = m->backend->start(m->s->loop, &config, &vm_events, m, &m->vm, err);
    if (rc == 0 && config.root_mode != VMM_ROOT_COW) {
        free(m->disks.active);
        m->disks.active = NULL;
    }
    return rc;
}

/* malloc'd; NULL without a checkpoint too. */
static char *file_of(const struct checkpoint *checkpoint, const char *name)
{
    return checkpoint ? files_format("%s/%s", checkpoint->directory, name) : NULL;
}

/* -1: nothing was mounted. */
static int open_mounts(const struct checkpoint *checkpoint)
{
    cleanup_free char *path = file_of(checkpoint, CHECKPOINT_MOUNTS);
    return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* Before it is opened: what is written to it from now on shows. */
static void note_root_disk(struct disks *disks, const struct checkpoint *base, const char *option)
{
    const char *root_disk = base ? base->manifest.root_disk : option;
    disks->root_disk = root_disk ? strdup(root_disk) : NULL;
    if (base && base->manifest.root_disk_state)
        disks->root_disk_state = strdup(base->manifest.root_disk_state);
    else if (root_disk)
        disks->root_disk_state = checkpoint_root_disk_state(root_disk);
}

static int start_on(struct machine *m, const struct checkpoint *base, bool load_memory, struct err *err)
{
    struct ends e = {-1, -1, -1, -1, -1};
    const struct checkpoint *memory = load_memory ? base : NULL;
    cleanup_free char *disk = file_of(base, CHECKPOINT_DISK);
    cleanup_free char *ram = file_of(memory, CHECKPOINT_RAM), *state = file_of(memory, CHECKPOINT_STATE);
    const struct vmm_load load = {.ram = ram, .state = state};
    m->disks.active = machine_new_overlay(m->s);
    note_root_disk(&m->disks, base, m->s->start->options->root_disk);
    if (!m->disks.active || (base && !disk) || (memory && (!ram || !state)))
        return err_errno(err, ENOMEM, "mount");
    struct err unknown = {0}; /* matters to checkpoints only */
    /* Now: by the time of a checkpoint the program may be another one, which this machine does not run. */
    m->shape = machine_shape(m->s, &unknown);
    int rc = make_ends(m, &e);
    if (rc < 0) {
        close_ends(&e);
        return err_errno(err, -rc, "mount: channels to the machine");
    }
    m->loaded = load_memory;
    m->mounts_fd = memory ? open_mounts(memory) : -1;
    rc = start_vmm(m, &e, disk, load_memory ? &load : NULL, err);
    if (rc < 0) {
        close(e.link);
        return rc;
    }
    m->link = machine_link(m, e.link);
    return m->link ? 0 : err_errno(err, errno, "mount: control channel");
}

static int open_template_disk(struct disks *disks, const struct machine_origin *origin, struct err *err)
{
    cleanup_free char *path = origin->is_template ? file_of(origin->base, CHECKPOINT_DISK) : NULL;
    if (!origin->is_template)
        return 0;
    disks->template_disk = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return disks->template_disk < 0 ? err_errno(err, errno, "mount: the template's disk") : 0;
}

struct machine *machine_start(struct supervisor *s, const struct machine_origin *origin, struct err *err)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m) {
        err_errno(err, ENOMEM, "mount");
        return NULL;
    }
    *m = (struct machine){.s = s, .backend = s->backend, .started_ms = loop_now_ms(), .root_fd = -1, .vfs_fd = -1,
                          .window_fd = -1, .mounts_fd = -1, .console_fd = -1, .vmm_log_fd = {-1, -1}, .disks.base.lock_fd = -1,
                          .disks.template_disk = -1};
    const struct checkpoint *base = origin->base;
    bool load_memory = base && !origin->boot && base->manifest.kind == CHECKPOINT_FULL;
    if (open_template_disk(&m->disks, origin, err) < 0 || start_on(m, base, load_memory, err) < 0) {
        machine_free(m);
        return NULL;
    }
    if (base) {
        m->disks.base = *origin->base;
        *origin->base = (struct checkpoint){.lock_fd = -1};
    }
    m->disks.base_is_template = origin->is_template;
    return m;
}

static void remove_disks(struct disks *disks)
{
    for (size_t i = 0; i < disks->frozen.count; i++)
        unlink(disks->frozen.list[i]);
    names_free(&disks->frozen);
    if (disks->active)
        unlink(disks->active);
    free(disks->active);
    free(disks->root_disk);
    free(disks->root_disk_state);
    if (disks->base.directory)
        checkpoint_close(&disks->base);
    if (disks->template_disk >= 0)
        close(disks->template_disk);
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    agent_link_free(m->link);
    if (m->vm)
        m->backend->free_vm(m->vm);
    watch_del(m->console_watch);
    watch_del(m->vmm_log_watch);
    const int fds[] = {m->root_fd,    m->vfs_fd,        m->window_fd,    m->mounts_fd,
                       m->console_fd, m->vmm_log_fd[0], m->vmm_log_fd[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    remove_disks(&m->disks);
    free(m->shape);
    free(m);
}
