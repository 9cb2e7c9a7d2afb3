/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/ports.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "src/cleanup.h"

#define PORTS_DIR "/sys/class/virtio-ports"

/* A port gets its name some time after it appears. */
static bool has_name(int dir_fd, const char *port, const char *name)
{
    char path[NAME_MAX + 8], text[128];
    snprintf(path, sizeof path, "%s/name", port);
    cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, name) == 0;
}

int ports_open(const char *name)
{
    cleanup_closedir DIR *dir = opendir(PORTS_DIR);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || !has_name(dirfd(dir), entry->d_name, name))
            continue;
        char path[NAME_MAX + 8];
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        return fd >= 0 ? fd : -errno;
    }
    return -ENOENT;
}
