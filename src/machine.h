/* SPDX-License-Identifier: Apache-2.0 */
/* One machine of a sandbox: its monitor, its channels, the link to its agent, and the disks that it writes to. A sandbox has
 * one; while a checkpoint is being restored a second one that is going to take its place. */
#ifndef GONDOLIN_SRC_MACHINE_H
#define GONDOLIN_SRC_MACHINE_H

#include "images/checkpoint.h"
#include "images/names.h"
#include "src/agent_link.h"
#include "src/loop.h"
#include "vmm/vmm.h"

struct supervisor;

/* The disks of a machine, from above: the overlay that it writes to now, frozen ones, and what they lie on. */
struct disks {
    char *active;           /* the overlay's path; NULL: it has none that could become part of a checkpoint */
    struct names frozen;    /* paths, the oldest first: they belong to no checkpoint yet */
    struct checkpoint base; /* with directory NULL: the image, or --root-disk */
    bool base_is_template;
    char *root_disk, *root_disk_state; /* what they all lie on, as in a checkpoint's manifest; NULL: the image's */
    int template_disk; /* its disk, however many templates have had its place since; -1 */
};

struct machine {
    struct supervisor *s;
    const struct vmm_backend *backend;
    struct vmm *vm; /* NULL: has ended */
    struct agent_link *link;
    struct disks disks;
    char *shape; /* as machine_shape, of the monitor that was started; NULL: nobody knows */
    bool loaded; /* goes on from a saved state */
    bool paused; /* by the verb of ctl */
    uint64_t started_ms;
    int root_fd, vfs_fd; /* our ends of gondolin.root and gondolin.vfs, until somebody takes them; -1 */
    int mounts_fd; /* loaded: what was saved of the files of the host, until somebody takes it; -1: nothing */
    int window_fd; /* what is shared with the guest (fs/window.h); -1: nothing */
    int console_fd;
    int vmm_log_fd[2]; /* both ends: the monitor's backend writes what its program says, and its own remarks */
    struct watch *console_watch, *vmm_log_watch;
};

/* What a machine begins with. */
struct machine_origin {
    struct checkpoint *base; /* moved into the machine; NULL: the image, or --root-disk */
    bool is_template;
    bool boot; /* only the base's disk is used */
};

/* Before anything is made: is all there that it takes, and can all that was asked for be had? 0, or -errno with *err. */
int machine_check(struct supervisor *s, struct err *err);
/* Starts one. NULL with *err set; the base then stays the caller's. */
struct machine *machine_start(struct supervisor *s, const struct machine_origin *origin, struct err *err);
/* Ends it at once, without a callback, and removes its disks. NULL is ignored. */
void machine_free(struct machine *machine);

/* Writes as much as the guest's console takes: bytes, or -1 with errno. */
ssize_t machine_write_console(struct machine *machine, const char *data, size_t len);

/* What a checkpoint needs to have in common with this sandbox, as vmm_backend.shape has it. malloc'd; NULL with *err. */
char *machine_shape(struct supervisor *s, struct err *err);
/* vmm_backend.kernel_options of it. */
char *machine_kernel_options(struct supervisor *s);
/* The path of an overlay that does not exist yet. malloc'd; NULL on ENOMEM. */
char *machine_new_overlay(struct supervisor *s);

#endif
