/* SPDX-License-Identifier: Apache-2.0 */
#include "images/contain_mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"

/* `keep` is looked up before it is hidden, and attached again below the new /tmp. */
static bool private_tmp(const char *keep)
{
    char real[PATH_MAX];
    bool hidden = keep && realpath(keep, real) && strncmp(real, "/tmp/", 5) == 0;
    cleanup_close int kept = -1;

    if (hidden) {
        kept = open_tree(AT_FDCWD, real, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (kept < 0)
            return false;
    }
    if (mount("gondolin", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
        return false;
    if (hidden && (files_make_directories(real, 0700) < 0 ||
                   move_mount(kept, "", AT_FDCWD, real, MOVE_MOUNT_F_EMPTY_PATH) < 0)) {
        umount2("/tmp", MNT_DETACH);
        return false;
    }
    return true;
}

/* A read-only overlay of a directory that has just "modules" in it over /lib. */
static void provide_lib_modules(const char *scratch)
{
    char lib[PATH_MAX];
    if (files_exists("/lib/modules") || !realpath("/lib", lib))
        return;
    cleanup_free char *upper = files_format("%s/lib", scratch), *modules = files_format("%s/lib/modules", scratch);
    cleanup_free char *options = files_format("lowerdir=%s/lib:%s", scratch, lib);
    if (upper && modules && options && mkdir(upper, 0755) == 0 && mkdir(modules, 0755) == 0)
        mount("gondolin", lib, "overlay", MS_NODEV, options);
}

static void replace_by_copy(const char *program, const char *scratch)
{
    char real[PATH_MAX];
    if (!realpath(program, real))
        return;
    cleanup_close int from = open(real, O_RDONLY | O_CLOEXEC);
    cleanup_free char *copy = files_format("%s/%s", scratch, strrchr(real, '/') + 1);
    if (from >= 0 && copy && files_copy(from, copy, 0755) == 0)
        mount(copy, real, NULL, MS_BIND, NULL);
}

void contain_mounts(const char *keep, bool foreign_owners)
{
    char scratch[] = "/tmp/gondolin-XXXXXX";

    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !private_tmp(keep))
        return;
    /* The umask of a careful user would make the copies useless to others. */
    mode_t before = umask(022);
    if (mkdtemp(scratch) && chmod(scratch, 0755) == 0) {
        provide_lib_modules(scratch);
        if (foreign_owners) {
            replace_by_copy("/bin/mount", scratch);
            replace_by_copy("/bin/umount", scratch);
        }
    }
    umask(before);
}
