/* SPDX-License-Identifier: Apache-2.0 */
/* A running QEMU, for the files of its backend. */
#ifndef GONDOLIN_VMM_QEMU_MACHINE_H
#define GONDOLIN_VMM_QEMU_MACHINE_H

#include "vmm/qemu_internal.h"
#include "vmm/qmp.h"
#include "vmm/tail.h"

struct qemu_save;

/* A pause or resume that has not been answered. */
struct operation {
    struct operation *next;
    struct vmm *vm;
    const char *command;
    bool sent; /* a resume is kept back while a checkpoint needs the guest to stand still */
    vmm_done_fn *done;
    void *data;
};

struct vmm {
    struct loop *loop;
    const struct vmm_events *events;
    void *data;
    pid_t pid; /* -1 once reaped */
    int pidfd;
    struct watch *end_watch;
    struct qmp *qmp;
    int stderr_fd; /* our end of the pipe; -1 after its end */
    struct watch *stderr_watch;
    int log_fd; /* borrowed */
    struct tail tail;
    struct timer *kill_timer;
    struct operation *operations;

    uint64_t memory;      /* bytes */
    uint64_t ram_address; /* guest physical address of the first byte of it */
    int ram_base;         /* the file that memory was loaded from, or -1 */
    char *disk;           /* the qcow2 file being written to, if saves can switch it; else NULL */
    unsigned disk_number; /* how often it has been switched: qemu_disk_node */
    struct qemu_save *save; /* the one under way, or NULL */

    bool kvm, stop_requested, pause_requested, killed_by_us;
    char cause[128];    /* why it is ending, as far as QMP has told; empty: not known */
    char machine[64];   /* versioned type; empty until QEMU has told */
    char version[32];   /* QEMU's; empty until QEMU has told */
    char settings[512]; /* what is known from the start on, for describe */
    char description[1024];
};

enum { QEMU_NODE_NAME_MAX = 32 }; /* QEMU's own limit */

/* The block node that the guest's disk has been since it was switched `number` times. */
void qemu_disk_node(unsigned number, char name[static QEMU_NODE_NAME_MAX]);

/* Sends the operations that were kept back. May call their callbacks. */
void qemu_send_kept_back(struct vmm *vm);

/* vmm_backend.save. */
void qemu_save(struct vmm *vm, const struct vmm_save *save, bool disk_only, vmm_saved_fn *done, void *data);

/* vmm_backend.proceed. */
void qemu_save_proceed(struct vmm *vm, int code, const char *sentence);

/* Must the guest stand still now? */
bool qemu_save_holds_guest(const struct vmm *vm);

/* QEMU has ended: a save under way is answered with EPIPE, and its files are removed, unless they are complete. */
void qemu_save_ended(struct vmm *vm);

/* As above, without an answer. */
void qemu_save_drop(struct vmm *vm);

#endif
