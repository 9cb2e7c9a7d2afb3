/* SPDX-License-Identifier: Apache-2.0 */
#include "images/contain_mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"

/* `keep` is looked up before it is hidden, and attached again below the new /tmp. */
static void private_tmp(const char *keep)
{
    char real[PATH_MAX];
    bool hidden = keep && realpath(keep, real) && strncmp(real, "/tmp/", 5) == 0;
    cleanup_close int kept = -1;

    if (hidden) {
        kept = open_tree(AT_FDCWD, real, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (kept < 0)
            return;
    }
    if (mount("gondolin", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
        return;
    if (hidden && (files_make_directories(real, 0700) < 0 ||
                   move_mount(kept, "", AT_FDCWD, real, MOVE_MOUNT_F_EMPTY_PATH) < 0))
        umount2("/tmp", MNT_DETACH);
}

/* A read-only overlay of a directory that has just "modules" in it over /lib. */
static void provide_lib_modules(void)
{
    char lib[PATH_MAX], upper[] = "/tmp/gondolin-lib-XXXXXX";

    if (files_exists("/lib/modules") || !realpath("/lib", lib) || !mkdtemp(upper))
        return;
    cleanup_free char *modules = files_format("%s/modules", upper);
    cleanup_free char *options = files_format("lowerdir=%s:%s", upper, lib);
    chmod(upper, 0755);
    if (modules && options && mkdir(modules, 0755) == 0)
        mount("gondolin", lib, "overlay", MS_NODEV, options);
}

void contain_mounts(const char *keep)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return;
    private_tmp(keep);
    provide_lib_modules();
}
