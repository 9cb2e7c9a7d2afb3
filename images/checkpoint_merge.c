/* SPDX-License-Identifier: Apache-2.0 */
/* One disk out of many: chains would grow without end. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/command.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"

static_assert(CHECKPOINT_DISKS_MAX + 4 <= MANIFEST_MAX_FILES, "all disks and what there is of memory fit into one file");

static int add_disks(void *data, const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    unsigned *count = data;
    (void)directory, (void)err;
    *count += 1 + checkpoint_layers(manifest);
    return 0;
}

int checkpoint_count_disks(const char *store, const struct checkpoint *checkpoint, unsigned *count, struct err *err)
{
    *count = 0;
    return checkpoint_each_below(store, checkpoint->directory, &checkpoint->manifest, add_disks, count, err);
}

/* Takes what `disk` lies on into it, as far as it is above `root`. */
static int pull(const char *disk, const char *root, struct err *err)
{
    const char *const argv[] = {"qemu-img", "rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b", root, disk, NULL};
    const struct command command = {.argv = argv, .package = "qemu-utils"};
    return command_run(&command, NULL, err);
}

static void remove_layers(const char *directory)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    int rc = 0;
    for (unsigned i = 1; rc == 0; i++) {
        checkpoint_disk_name(i, name);
        cleanup_free char *path = files_format("%s/%s", directory, name);
        rc = path ? unlink(path) : -1;
    }
}

int checkpoint_merge_disks(const char *directory, const char *root, const char *backing, struct err *err)
{
    cleanup_free char *path = files_format("%s/" CHECKPOINT_DISK, directory), *merged = files_format("%s/merged", directory);
    cleanup_close int from = path && merged ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    int code = from < 0 ? -errno : files_copy(from, merged, 0600); /* a machine goes on with the file itself */
    if (code < 0)
        return err_errno(err, -code, "merge the disks in %s", directory);
    code = pull(merged, root, err);
    cleanup_close int to = code == 0 ? open(merged, O_RDWR | O_CLOEXEC) : -1;
    if (code == 0)
        code = to < 0 ? err_errno(err, errno, "%s", merged) : qcow2_set_backing(to, backing, err);
    if (code < 0)
        return code;
    remove_layers(directory);
    return rename(merged, path) < 0 ? err_errno(err, errno, "%s", path) : 0;
}
