/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"

static int check_executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

static char *found(const char *path, int rc)
{
    if (rc == 0)
        return strdup(path);
    errno = -rc;
    return NULL;
}

char *program_find(const char *name)
{
    if (strchr(name, '/'))
        return found(name, check_executable(name));
    const char *path = getenv("PATH");
    cleanup_free char *directories = strdup(path ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    int rc = directories ? -ENOENT : -ENOMEM;
    char *rest = directories;
    for (char *directory; rest && (directory = strsep(&rest, ":"));) {
        cleanup_free char *candidate = NULL;
        if (asprintf(&candidate, "%s/%s", *directory ? directory : ".", name) < 0) {
            candidate = NULL;
            rc = -ENOMEM;
            break;
        }
        int this_one = check_executable(candidate);
        if (this_one == 0)
            return steal_pointer(&candidate);
        if (this_one == -EACCES)
            rc = -EACCES;
    }
    return found(name, rc);
}
