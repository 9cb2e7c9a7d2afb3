/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin-bin MNT/bin/NAME FILE [ARGUMENT]..., as the kernel calls it for a file of bin/ (src/bin_dir.c): runs NAME in the
 * guest as gondolin exec would. `-` instead of the first stands for FILE itself. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/job_client.h"

/* Cuts "MNT/bin/NAME" in two. */
static bool split(char *path, char **name)
{
    char *slash = strrchr(path, '/');
    if (!slash || !slash[1])
        return false;
    *name = slash + 1;
    *slash = '\0';
    slash = strrchr(path, '/');
    if (!slash || strcmp(slash, "/bin") != 0)
        return false;
    *slash = '\0';
    return true;
}

/* The same directory as the guest sees it; NULL: none of its directories. */
static const char *guest_directory(char *directory, const char *mountpoint)
{
    size_t len = strlen(mountpoint);
    if (strncmp(directory, mountpoint, len) != 0 || strncmp(directory + len, "/root", 5) != 0)
        return NULL;
    const char *rest = directory + len + 5;
    return *rest == '\0' ? "/" : *rest == '/' ? rest : NULL;
}

static bool on_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return verb_refused("bin", "this program is run by the files in a sandbox's bin/");
    const char *given = strcmp(argv[1], "-") == 0 ? argv[2] : argv[1];
    cleanup_free char *path = given == argv[2] ? realpath(given, NULL) : strdup(given);
    char *name;
    if (!path || !split(path, &name))
        return verb_refused("bin", "%s: not a file in a sandbox's bin/", given);
    cleanup_free char *here = getcwd(NULL, 0);
    argv[2] = name;
    const struct job_request request = {
        .verb = name,
        .mountpoint = path,
        .argv = argv + 2,
        .cwd = here ? guest_directory(here, path) : NULL,
        .tty = on_terminal(),
    };
    int code = job_client_run(&request);
    job_client_leave(code);
    return code;
}
