/* SPDX-License-Identifier: Apache-2.0 */
/* The options that describe a sandbox, shared by the verbs that make one (mount, run). */
#ifndef GONDOLIN_SRC_MOUNT_OPTIONS_H
#define GONDOLIN_SRC_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/options.h"

/* NULL, 0 and false stand for the default. Strings are borrowed from argv or a configuration file. */
struct mount_options {
    const char *image, *name;
    const char *vmm, *qemu, *machine, *accel, *cpu, *append;
    const char *root_disk, *root_mode;
    const char *from;   /* a checkpoint */
    const char *config; /* a file with more options */
    const char *owner;
    const char *vfs_hook; /* a program, and perhaps arguments */
    unsigned cpus;
    uint64_t memory;
    bool exec, allow_other, cold, disk_only;
    struct option_list binds, memory_files; /* to be freed */
};

enum { MOUNT_OPTIONS_TABLE = 23 };

/* Fills `table` (ended by an empty entry) so that parsing fills *to. */
void mount_options_table(struct mount_options *to, struct option_spec table[MOUNT_OPTIONS_TABLE]);

/* Sets what has its default in *to, lists aside, to what it is in *from. */
void mount_options_inherit(struct mount_options *to, struct mount_options *from);

/* The same options collected as words to hand to `gondolin mount`. */
void mount_options_pass(struct option_list *to, struct option_spec table[MOUNT_OPTIONS_TABLE]);

/* Frees what is to be freed of *options. */
void mount_options_free(struct mount_options *options);

#endif
