/* SPDX-License-Identifier: Apache-2.0 */
/* What --bind, --memfs and the verb `bind` say: a host directory, a single host file or memory, shown in the guest.
 *
 *     HOST:GUEST[:OPTION,...]     GUEST[:size=SIZE]
 *
 * A ':' or ',' that belongs to a path or a pattern has a '\' before it. */
#ifndef GONDOLIN_SRC_MOUNT_SPEC_H
#define GONDOLIN_SRC_MOUNT_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/worker_proto.h"
#include "src/err.h"

struct mount_spec {
    char *source; /* absolute, without symlinks; NULL: memory */
    char *target; /* absolute, without "//", ".", ".." and a '/' at the end */
    int fd;       /* of the source, O_PATH; -1: memory */
    bool is_file, read_only, no_exec;
    enum worker_owner owner;
    enum worker_cache cache;
    uint64_t size;   /* of memory, bytes */
    char *patterns;  /* one a line: '-' and what is hidden, '+' and what is hidden behind memory; NULL: none */
    char *options;   /* as given, without source and target; "" where there are none */
};

struct mount_specs {
    struct mount_spec *list; /* sorted by target: outer ones come before what is mounted below them */
    size_t count;
};

/* All begin their sentence with `what` ("--bind", "bind"). 0, or -errno with *err set and, but for mount_spec_open, nothing
 * to free. What --bind says in two steps: reading it, which asks nothing of the host (spec->source is as given), and opening
 * the source, which may block and is refused (-EDEADLK) where the source lies in the file system `avoid`, as in
 * src/host_path.h. */
int mount_spec_read(const char *what, const char *text, struct mount_spec *out, struct err *err);
int mount_spec_open(const char *what, struct mount_spec *spec, dev_t avoid, struct err *err);
int mount_spec_bind(const char *what, const char *text, struct mount_spec *out, struct err *err);
int mount_spec_memory(const char *what, const char *text, struct mount_spec *out, struct err *err);
void mount_spec_free(struct mount_spec *spec);

/* A path without "//" and a '/' at the end. malloc'd; NULL: no memory. */
char *mount_spec_tidy(const char *path);

/* Takes the spec over (it is emptied). -EEXIST: the target is taken; -ENOSPC: there are too many; -ENOMEM. */
int mount_specs_add(struct mount_specs *specs, const char *what, struct mount_spec *spec, struct err *err);
void mount_specs_free(struct mount_specs *specs);

#endif
