/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/window.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/cleanup.h"

#define DEVICES "/sys/bus/pci/devices"

enum { VENDOR = 0x1af4, DEVICE = 0x1110 }; /* QEMU's docs/specs/ivshmem-spec.txt */

static long read_number(int dir_fd, const char *device, const char *name)
{
    char path[NAME_MAX + 16], text[16] = "";
    snprintf(path, sizeof path, "%s/%s", device, name);
    cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof text - 1) > 0 ? strtol(text, NULL, 0) : -1;
}

/* Who maps a device's memory has to enable it first. */
static bool enable(int dir_fd, const char *device)
{
    char path[NAME_MAX + 16];
    snprintf(path, sizeof path, "%s/enable", device);
    cleanup_close int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "1", 1) == 1;
}

/* The second name is for memory that is no registers: the processor need not write it through at once. */
static uint8_t *map(int dir_fd, const char *device, enum window_half half)
{
    char path[NAME_MAX + 16];
    snprintf(path, sizeof path, "%s/resource2_wc", device);
    cleanup_close int fd = openat(dir_fd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        snprintf(path, sizeof path, "%s/resource2", device);
        fd = openat(dir_fd, path, O_RDWR | O_CLOEXEC);
    }
    if (fd < 0)
        return NULL;
    void *memory = mmap(NULL, WINDOW_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, fd, half);
    return memory == MAP_FAILED ? NULL : memory;
}

uint8_t *window_map(enum window_half half)
{
    cleanup_closedir DIR *dir = opendir(DEVICES);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const char *device = entry->d_name;
        if (device[0] != '.' && read_number(dirfd(dir), device, "vendor") == VENDOR &&
            read_number(dirfd(dir), device, "device") == DEVICE)
            return enable(dirfd(dir), device) ? map(dirfd(dir), device, half) : NULL;
    }
    return NULL;
}
