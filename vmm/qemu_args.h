/* SPDX-License-Identifier: Apache-2.0 */
/* What the QEMU backend knows about each guest architecture, and the command line it makes of a configuration: a pure
 * function, so that tests can look at it. */
#ifndef GONDOLIN_VMM_QEMU_ARGS_H
#define GONDOLIN_VMM_QEMU_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/argv.h"
#include "vmm/child.h"
#include "vmm/vmm.h"

struct json_object;

struct qemu_arch {
    const char *name;           /* as in image manifests and in qemu-system-NAME */
    const char *package;        /* the Debian package of the binary */
    const char *machine;        /* the default -machine */
    const char *const *machines; /* prefixes of the machine types that can run a sandbox; NULL-terminated */
    const char *tcg_cpu;        /* the default -cpu without KVM */
    const char *kernel_options; /* the built-in kernel command line */
    const char *tcg_kernel_options; /* added without KVM; begins with a space, or is empty */
    uint64_t ram_address;       /* guest physical address where memory begins */
    bool pvpanic;               /* has a pvpanic-pci device */
};

/* The descriptors QEMU inherits, by number. */
enum {
    QEMU_FD_QMP = CHILD_FIRST_FD,
    QEMU_FD_CONSOLE,
    QEMU_FD_OVERLAY, /* VMM_ROOT_MEMORY: the overlay; otherwise /dev/null */
    QEMU_FD_STATE,   /* the device state to load; otherwise /dev/null */
    QEMU_FD_WINDOW,  /* memory that is shared with the guest; otherwise /dev/null */
    QEMU_FD_PORTS,   /* and upwards */
};

enum {
    QEMU_DEFAULT_MEMORY_MIB = 512,
    QEMU_KERNEL_OPTIONS_MAX = 2047, /* COMMAND_LINE_SIZE of Linux on x86 and arm64, less the NUL */
};

/* A configuration with every choice made. */
struct qemu_plan {
    const struct vmm_config *config;
    const struct qemu_arch *arch;
    const char *binary;
    bool kvm;
    uint32_t tsc_khz; /* 0: not known */
};

/* NULL for an architecture that is not supported. `name` NULL: the host's. */
const struct qemu_arch *qemu_arch_find(const char *name);

/* The NULL-terminated names of the supported architectures. */
const char *const *qemu_arch_names(void);

/* The -machine and -cpu that the plan comes to. */
const char *qemu_machine(const struct qemu_plan *plan);
const char *qemu_cpu(const struct qemu_plan *plan);

/* Bytes. */
uint64_t qemu_memory(const struct vmm_config *config);

/* The guest kernel's whole command line, malloc'd; NULL when out of memory. */
char *qemu_kernel_options(const struct qemu_plan *plan);

/* The options of the block node of a disk that the guest writes to; the caller frees them. A throw-away disk's flushes do
 * nothing. */
struct json_object *qemu_disk_node_options(const char *filename, const char *name, bool throw_away);

/* Fills *argv (empty before; free with argv_free, also on failure). Returns 0 or -ENOMEM. */
int qemu_args(const struct qemu_plan *plan, struct argv *argv, struct err *err);

#endif
