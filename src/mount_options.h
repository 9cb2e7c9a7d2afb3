/* SPDX-License-Identifier: Apache-2.0 */
/* The options that describe a sandbox, shared by the verbs that make one (mount, run). */
#ifndef GONDOLIN_SRC_MOUNT_OPTIONS_H
#define GONDOLIN_SRC_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/options.h"

/* NULL, 0 and false stand for the default. Strings are borrowed from argv. */
struct mount_options {
    const char *image, *name;
    const char *vmm, *qemu, *machine, *accel, *cpu, *append;
    const char *root_disk, *root_mode;
    const char *from; /* a checkpoint */
    const char *owner;
    unsigned cpus;
    uint64_t memory;
    bool exec, allow_other, cold, disk_only;
    struct option_list binds, memory_files; /* to be freed */
};

enum { MOUNT_OPTIONS_TABLE = 21 };

/* Fills `table` (ended by an empty entry) so that parsing fills *to. */
void mount_options_table(struct mount_options *to, struct option_spec table[MOUNT_OPTIONS_TABLE]);

/* The same options collected as words to hand to `gondolin mount`. */
void mount_options_pass(struct option_list *to, struct option_spec table[MOUNT_OPTIONS_TABLE]);

#endif
