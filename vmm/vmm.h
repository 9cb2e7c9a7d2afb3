/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the supervisor and a virtual machine monitor. One file per backend exports one
 * `const struct vmm_backend`; everything else in it is static.
 *
 *   probe -> check -> start -> (pause | resume | save)* -> stop -> exited
 *
 * The VMM process never outlives the supervisor (PR_SET_PDEATHSIG) and holds no path: ports, console and QMP are
 * inherited descriptors, so nothing is left in the file system whatever dies first. */
#ifndef GONDOLIN_VMM_VMM_H
#define GONDOLIN_VMM_VMM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/err.h"
#include "src/loop.h"

enum vmm_root_mode {
    VMM_ROOT_COW,      /* throw-away overlay file (default) */
    VMM_ROOT_MEMORY,   /* throw-away overlay held in the VMM's temporary storage, never checkpointable */
    VMM_ROOT_READONLY, /* writes fail in the guest */
    VMM_ROOT_PERSISTENT, /* --root-disk FILE: written in place */
};

enum vmm_capability { /* bits of vmm_backend.capabilities */
    VMM_CAN_PAUSE = 1 << 0,
    VMM_CAN_SAVE = 1 << 1, /* memory and devices: full checkpoints */
    VMM_CAN_QCOW2 = 1 << 2,
    VMM_CAN_PORTS = 1 << 3, /* named byte streams */
    VMM_CAN_WINDOW = 1 << 4, /* memory shared with the guest */
};

enum { VMM_MAX_PORTS = 8 };

struct vmm_port {
    const char *name; /* PORT_* of src/proto.h */
    int fd;           /* the VMM's end of a socketpair; closed in the supervisor by start(), also when it fails */
};

/* A saved machine. The files are only read; any number of machines may go on from them at once, sharing memory
 * copy-on-write. */
struct vmm_load {
    const char *ram;   /* mapped privately */
    const char *state; /* device state */
    bool paused;       /* stay stopped until resume() */
};

/* Where save() puts a running machine. The paths must not exist; what was written is synced to disk on success and
 * removed on failure. */
struct vmm_save {
    const char *ram;     /* sparse copy of the guest's memory */
    const char *state;   /* device state */
    const char *overlay; /* the disk the machine writes to from now on, on top of the one it has written to so far, which
                            becomes the checkpoint's and is never written again */
    const char *backing; /* how the overlay's header names that frozen disk, relative to the overlay's directory: where both
                            will be in the end; NULL: where they are now */
    bool cached;         /* nothing is synced: it can be made again */

    /* The guest is about to be stopped: whoever talks to it ends what is under way and then calls proceed(), at once or
     * later. May be NULL, as is `went_on`. Not called when only the disk is saved. */
    void (*stopping)(void *data);
    /* Called once after `stopping`: the guest runs again, or was not stopped at all because saving failed. Completion
     * follows, or has been called when the machine has ended. When only the disk is saved: it has been switched. */
    void (*went_on)(void *data);
};

struct vmm_save_report {
    uint64_t pause_us;  /* how long the guest stood still */
    uint64_t total_us;
    uint64_t ram_bytes; /* written to `ram` */
    char *disk;         /* the frozen disk's path; malloc'd, the callee frees it */
    const char *method; /* how memory was copied: "reflink", "sparse copy" */
};

/* Completion of save(): code 0 or errno with a sentence; `report` is filled on success, else NULL. Only one failure leaves
 * something behind: what was written could not be synced to disk. The disk has been switched then, `report` says so, and
 * the overlay stays; the other files are removed. */
typedef void vmm_saved_fn(void *data, int code, const char *sentence, const struct vmm_save_report *report);

/* What a sandbox asks for. Strings are borrowed for the duration of check() and start(). NULL or 0: the default. */
struct vmm_config {
    const char *binary;  /* --qemu */
    const char *machine; /* --machine */
    const char *accel;   /* --accel: kvm, tcg or NULL for the probe's verdict */
    const char *cpu;     /* --cpu */
    unsigned cpus;       /* --cpus */
    uint64_t memory;     /* --memory, bytes */
    const char *append;  /* --append: added after the built-in kernel command line */

    const char *arch;   /* of the image's manifest, e.g. "x86_64" */
    const char *kernel; /* uncompressed vmlinux where the image has one */
    const char *initrd;
    const char *kernel_append; /* the image's own kernel command line additions, may be NULL */

    const char *root_disk; /* qcow2 file: the image's base, or --root-disk */
    enum vmm_root_mode root_mode;
    const char *overlay; /* VMM_ROOT_COW: the path where the overlay is to be made */
    const char *backing; /* how the overlay's header names root_disk (what is opened is root_disk), relative to the
                            overlay's directory; NULL: where it is now */

    const char *ram; /* for a backend that needs a file to keep the guest's memory in: a path that start() makes, unless
                        `load` is given. qemu needs none: a machine that boots has anonymous memory, which is faster */
    const struct vmm_load *load; /* NULL: boot; else go on from a saved state, `kernel` and `initrd` being ignored */

    struct vmm_port ports[VMM_MAX_PORTS];
    unsigned port_count;
    /* Memory that the guest sees as a PCI device's (ivshmem: 1af4:1110, BAR 2) and shares with whoever maps the file. It is no
     * part of a saved state. A power of 2, at least a page; 0: none. */
    uint64_t window_size;
    int window_fd; /* a memory file of that size; borrowed */
    int console_fd; /* the VMM's end of a socketpair carrying the guest's console; closed by start(), as ports are */
    int log_fd;     /* the VMM's stderr; borrowed */
};

struct vmm; /* a running machine */

struct vmm_events {
    /* The machine is gone. `wait_status` as from waitpid; `reason` is a sentence ("guest powered off", "qemu was killed
     * by signal 9", "guest kernel panicked"). The callee calls free_vm. */
    void (*exited)(void *data, int wait_status, const char *reason);
    /* The guest's kernel panicked or reset; `exited` follows, and only there may free_vm be called. May be NULL. */
    void (*crashed)(void *data, const char *what);
    /* The host failed at an access to the root disk, and the guest was told: what its programs wrote and have not synced may be
     * lost. `reason`: as strerror has it. May be NULL. */
    void (*disk_failed)(void *data, const char *reason);
};

/* Completion of an asynchronous operation: code 0 or errno, with a sentence. Called exactly once, at once when the
 * operation cannot even begin; with EPIPE when the VMM ends first; not at all after free_vm. A VMM that does not answer
 * keeps it waiting: the caller sets the limit. */
typedef void vmm_done_fn(void *data, int code, const char *sentence);

struct vmm_backend {
    const char *name;
    unsigned capabilities;

    /* Can this backend run here? 0, or -errno with the reason and the fix in *err. May take up to 300 ms. */
    int (*probe)(const struct vmm_config *config, struct err *err);
    /* Lists every option of *config that this backend refuses in one sentence (EOPNOTSUPP), checks the guest
     * architecture against the binary (ENOEXEC) and the values (EINVAL). Starts nothing. */
    int (*check)(const struct vmm_config *config, struct err *err);
    /* Do these values of vmm_config, which somebody else has chosen (NULL: has not), say no more than which machine and
     * processor it is, and which of its devices are there? What is trusted may say more: files of this host that the
     * guest is to see, for one. 0, or EINVAL naming what is refused. */
    int (*check_foreign)(const char *machine, const char *cpu, struct err *err);
    /* Starts the machine; returns when the process has been made, not when the guest is ready. The files of config->load
     * are looked at again, as check() does. */
    int (*start)(struct loop *loop, const struct vmm_config *config, const struct vmm_events *events, void *data,
                 struct vmm **vm, struct err *err);
    void (*pause)(struct vmm *vm, vmm_done_fn *done, void *data);
    void (*resume)(struct vmm *vm, vmm_done_fn *done, void *data);
    /* Full checkpoint of a running (or paused) machine, which then goes on as before; the loop is not blocked while memory
     * is copied. What is written to the ports meanwhile reaches the saved machine or not; too much of it ends in EAGAIN.
     * With `disk_only` only the disk is switched (`ram` and `state` are NULL). One at a time (EBUSY). NULL
     * where the backend cannot, EOPNOTSUPP for a root disk that is not VMM_ROOT_COW. A resume() meanwhile is put off. */
    void (*save)(struct vmm *vm, const struct vmm_save *save, bool disk_only, vmm_saved_fn *done, void *data);
    /* After vmm_save.stopping: goes on with the save, or gives it up with errno value `code` and a sentence. Ignored when
     * no save waits for it. */
    void (*proceed)(struct vmm *vm, int code, const char *sentence);
    /* Everything that a resume needs to find the same again, as flat `key value` lines in a fixed order (vmm, version,
     * machine, cpu, accel, host cpu and TSC, memory, cpus, devices with addresses, ports): two machines whose texts are
     * equal can load each other's state. malloc'd; NULL with *err set. Starts nothing that outlives the call. */
    char *(*shape)(const struct vmm_config *config, struct err *err);
    /* The kernel's command line in full, but for what is measured anew at each start. malloc'd; NULL on ENOMEM or where
     * nothing of that architecture runs. */
    char *(*kernel_options)(const struct vmm_config *config);
    /* Shutdown ladder for a guest that has already been asked by the agent: quit, then SIGKILL after `grace_ms`.
     * `exited` is called as for any other end. */
    void (*stop)(struct vmm *vm, unsigned grace_ms);
    pid_t (*pid)(const struct vmm *vm);
    /* Flat facts for status files, one `key value` per line (backend, accel, machine, cpu, vmm_version). The returned
     * string is owned by the machine. */
    const char *(*describe)(const struct vmm *vm);
    /* Kills the process if it still runs, waits for it, frees. No callback follows. NULL is ignored. */
    void (*free_vm)(struct vmm *vm);
};

extern const struct vmm_backend vmm_qemu;

/* The backend of that name, or NULL with the known names (and the nearest match) in *err. NULL name: the default. */
const struct vmm_backend *vmm_backend_find(const char *name, struct err *err);

#endif
