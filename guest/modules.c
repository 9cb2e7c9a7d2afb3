/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/modules.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

#include "guest/log.h"
#include "src/cleanup.h"

static void load(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        log_line(LOG_LEVEL_ERROR, "load module %s: %s", path, strerror(errno));
}

void modules_load(const char *directory)
{
    char path[PATH_MAX], line[NAME_MAX + 2];
    snprintf(path, sizeof path, "%s/order", directory);
    cleanup_fclose FILE *order = fopen(path, "re");
    while (order && fgets(line, sizeof line, order)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] && line[0] != '#')
            load(directory, line);
    }
}
