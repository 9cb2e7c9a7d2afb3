/* SPDX-License-Identifier: Apache-2.0 */
#include "src/libexec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DIRECTORY/PROGRAM if there is such a file, else NULL with errno. */
static char *existing(const char *directory, const char *program)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, program) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    int code = errno;
    free(path);
    errno = code;
    return NULL;
}

/* All programs are built at the top of the tree, whose mark is config.status. */
static char *in_build_tree(const char *program)
{
    char top[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", top, sizeof top - 1);
    if (len < 0)
        return NULL;
    top[len] = '\0';
    *strrchr(top, '/') = '\0';
    char *marker = existing(top, "config.status");
    free(marker);
    return marker ? existing(top, program) : NULL;
}

char *libexec_path(const char *program)
{
    const char *chosen = getenv("GONDOLIN_LIBEXEC");
    if (chosen && *chosen)
        return existing(chosen, program);
    char *found = in_build_tree(program);
    return found ? found : existing(GONDOLIN_LIBEXECDIR, program);
}
