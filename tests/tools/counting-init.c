/* SPDX-License-Identifier: Apache-2.0 */
/* The only program of a machine that is saved and loaded by save-machine: it counts, keeps each count in memory and on the
 * disk, and answers one-letter commands on its port: c gives the count, v says whether memory and disk are as they
 * should be. The kernel's modules lie in /modules, in the order of /modules/order. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, SLOTS = 4096 /* 16 MiB in memory, and on the disk */ };

static uint64_t slots[SLOTS][PAGE / sizeof(uint64_t)];

static void load_modules(void)
{
    char line[128], path[160];
    FILE *order = fopen("/modules/order", "r");
    while (order && fgets(line, sizeof line, order)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, sizeof path, "/modules/%s", line);
        int fd = open(path, O_RDONLY);
        if (fd >= 0 && syscall(SYS_finit_module, fd, "", 0) < 0)
            perror(path);
        close(fd);
    }
}

/* Opens the port of that name, or returns -1. */
static int open_port(const char *wanted)
{
    char path[300], name[64] = "";
    DIR *ports = opendir("/sys/class/virtio-ports");
    for (struct dirent *entry; ports && (entry = readdir(ports));) {
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(name, sizeof name, file))
            name[strcspn(name, "\n")] = '\0';
        if (file)
            fclose(file);
        if (!strcmp(name, wanted)) {
            snprintf(path, sizeof path, "/dev/%s", entry->d_name);
            return open(path, O_RDWR);
        }
    }
    return -1;
}

/* The largest count so far that belongs into the slot. */
static uint64_t expected(uint64_t count, uint64_t slot)
{
    uint64_t round = count / SLOTS * SLOTS + slot;
    return round <= count ? round : round < SLOTS ? 0 : round - SLOTS;
}

static const char *verify(int disk, uint64_t count)
{
    int drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
    fsync(disk);
    if (drop < 0 || write(drop, "3", 1) != 1)
        return "no drop_caches";
    close(drop);
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        uint64_t wanted = expected(count, slot), stored = 0;
        if (pread(disk, &stored, sizeof stored, (off_t)slot * PAGE) != sizeof stored || stored != wanted)
            return "the disk is wrong";
        for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++) {
            if (slots[slot][i] != wanted)
                return "memory is wrong";
        }
    }
    return "good";
}

static void keep(int disk, uint64_t count)
{
    uint64_t *slot = slots[count % SLOTS];
    for (size_t i = 0; i < PAGE / sizeof *slot; i++)
        slot[i] = count;
    if (pwrite(disk, slot, PAGE, (off_t)(count % SLOTS) * PAGE) != PAGE || (count % 16 == 0 && fsync(disk) < 0))
        perror("disk");
}

int main(void)
{
    const char *const directories[] = {"/proc", "/sys", "/dev"};
    const char *const types[] = {"proc", "sysfs", "devtmpfs"};
    for (int i = 0; i < 3; i++) {
        mkdir(directories[i], 0755);
        mount(types[i], directories[i], types[i], 0, NULL);
    }
    load_modules();
    int port = -1, disk = -1;
    while (port < 0 || disk < 0) {
        usleep(10000);
        port = port < 0 ? open_port("gondolin.ctl") : port;
        disk = disk < 0 ? open("/dev/vda", O_RDWR) : disk;
    }
    struct pollfd command = {.fd = port, .events = POLLIN};
    for (uint64_t count = 1;; count++) {
        char letter, answer[64];
        keep(disk, count);
        if (count == SLOTS / 4 && write(port, "ready\n", 6) != 6)
            perror("port");
        if (poll(&command, 1, 0) <= 0 || read(port, &letter, 1) != 1)
            continue;
        int length = letter == 'v' ? snprintf(answer, sizeof answer, "%s\n", verify(disk, count))
                                   : snprintf(answer, sizeof answer, "%llu\n", (unsigned long long)count);
        if (write(port, answer, (size_t)length) != length)
            perror("port");
    }
}
