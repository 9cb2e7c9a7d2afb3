/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_options.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const root_modes[] = {"cow", "memory", "readonly", NULL};
static const char *const accels[] = {"kvm", "tcg", NULL};
static const char *const owners[] = {"user", "guest", NULL};

void mount_options_table(struct mount_options *to, struct option_spec table[MOUNT_OPTIONS_TABLE])
{
    const struct option_spec specs[] = {
        {"config", 0, "FILE", "take options from this file; those given here come first", NULL, OPTION_FILE, &to->config},
        {"image", 'i', "IMAGE", "image to boot: tag, build id or directory (default: default)", NULL, OPTION_REFERENCE,
         &to->image},
        {"from", 0, "CHECKPOINT", "go on from a checkpoint instead of booting an image", NULL, OPTION_STRING, &to->from},
        {"disk", 0, NULL, "with --from: boot the checkpoint's disk instead of going on", NULL, OPTION_FLAG, &to->disk_only},
        {"cold", 0, NULL, "boot, even where the state after an earlier boot is kept", NULL, OPTION_FLAG, &to->cold},
        {"name", 'n', "NAME", "name of the sandbox (default: that of the directory)", NULL, OPTION_STRING, &to->name},
        {"memory", 'm', "SIZE", "memory of the guest, as in 512M or 2G", NULL, OPTION_SIZE, &to->memory},
        {"cpus", 'c', "N", "virtual processors", NULL, OPTION_UNSIGNED, &to->cpus},
        {"owner", 0, "WHO", "whose the guest's files look", owners, OPTION_STRING, &to->owner},
        {"exec", 0, NULL, "let programs under root/ be run on the host", NULL, OPTION_FLAG, &to->exec},
        {"allow-other", 0, NULL, "let other users of the host in, as the files' modes say", NULL, OPTION_FLAG,
         &to->allow_other},
        {"bind", 0, "HOST:GUEST[:OPTION,...]", "show a directory or file of the host in the guest", NULL, OPTION_LIST,
         &to->binds},
        {"memfs", 0, "GUEST[:size=SIZE]", "show an empty directory in the host's memory in the guest", NULL, OPTION_LIST,
         &to->memory_files},
        {"vfs-hook", 0, "PROGRAM", "have a program watch or decide what the guest does in these", NULL, OPTION_STRING,
         &to->vfs_hook},
        {"root-mode", 0, "MODE", "what becomes of writes to the root disk", root_modes, OPTION_STRING, &to->root_mode},
        {"root-disk", 0, "FILE", "boot this disk instead of the image's and write to it", NULL, OPTION_FILE,
         &to->root_disk},
        {"vmm", 0, "NAME", "virtual machine monitor", NULL, OPTION_STRING, &to->vmm},
        {"qemu", 0, "FILE", "QEMU program to use", NULL, OPTION_REFERENCE, &to->qemu},
        {"machine", 0, "TYPE", "machine type, as QEMU names it", NULL, OPTION_STRING, &to->machine},
        {"accel", 0, "NAME", "acceleration instead of what the probe finds", accels, OPTION_STRING, &to->accel},
        {"cpu", 0, "MODEL", "processor model, as QEMU names it", NULL, OPTION_STRING, &to->cpu},
        {"append", 0, "WORDS", "more words for the kernel command line", NULL, OPTION_STRING, &to->append},
        {0},
    };
    static_assert(sizeof specs / sizeof *specs <= MOUNT_OPTIONS_TABLE, "MOUNT_OPTIONS_TABLE holds every option");
    memcpy(table, specs, sizeof specs);
}

void mount_options_inherit(struct mount_options *to, struct mount_options *from)
{
    struct option_spec to_table[MOUNT_OPTIONS_TABLE], from_table[MOUNT_OPTIONS_TABLE];
    mount_options_table(to, to_table);
    mount_options_table(from, from_table);
    for (size_t i = 0; to_table[i].name; i++)
        option_inherit(&to_table[i], &from_table[i]);
}

void mount_options_pass(struct option_list *to, struct option_spec table[MOUNT_OPTIONS_TABLE])
{
    struct mount_options unused;
    mount_options_table(&unused, table);
    for (struct option_spec *o = table; o->name; o++) {
        o->kind = OPTION_PASS;
        o->to = to;
    }
}

void mount_options_free(struct mount_options *options)
{
    option_list_free(&options->binds);
    option_list_free(&options->memory_files);
}
