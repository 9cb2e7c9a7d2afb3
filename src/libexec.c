/* SPDX-License-Identifier: Apache-2.0 */
#include "src/libexec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DIRECTORY/SUB/PROGRAM if there is such a file, else NULL with errno. */
static char *existing(const char *directory, const char *sub, const char *program)
{
    char *path;
    if (asprintf(&path, "%s/%s%s%s", directory, sub, *sub ? "/" : "", program) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    int code = errno;
    free(path);
    errno = code;
    return NULL;
}

static char *in_build_tree(const char *program)
{
    static const char *const folders[] = {"src", "guest", "fs", "net"};
    char top[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", top, sizeof top - 1);
    if (len < 0)
        return NULL;
    top[len] = '\0';
    *strrchr(top, '/') = '\0';
    char *marker = existing(top, "", "config.status");
    free(marker);
    char *found = NULL;
    for (size_t i = 0; marker && !found && i < sizeof folders / sizeof *folders; i++)
        found = existing(top, folders[i], program);
    return found;
}

char *libexec_path(const char *program)
{
    const char *chosen = getenv("GONDOLIN_LIBEXEC");
    if (chosen && *chosen)
        return existing(chosen, "", program);
    char *found = in_build_tree(program);
    return found ? found : existing(GONDOLIN_LIBEXECDIR, "", program);
}
