/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/identity.h"

#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "guest/log.h"
#include "src/cleanup.h"

#define MACHINE_ID "/etc/machine-id"

enum { ID_LINE = 33 }; /* bytes: 32 digits and a newline */

void identity_set_clock(uint64_t realtime_ns)
{
    struct timespec now = {.tv_sec = (time_t)(realtime_ns / 1000000000), .tv_nsec = (long)(realtime_ns % 1000000000)};
    if (realtime_ns && clock_settime(CLOCK_REALTIME, &now) < 0)
        log_line(LOG_LEVEL_ERROR, "set clock: %s", strerror(errno));
}

/* Adding to the pool alone does not change what a clone reads next; only the reseed does. */
static void add_entropy(const uint8_t *bytes, size_t len)
{
    cleanup_free struct rand_pool_info *pool = len > 0 ? calloc(1, sizeof *pool + len) : NULL;
    if (!pool)
        return;
    *pool = (struct rand_pool_info){.entropy_count = (int)(8 * len), .buf_size = (int)len};
    memcpy(pool->buf, bytes, len);
    cleanup_close int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        log_line(LOG_LEVEL_ERROR, "reseed random numbers: %s; clones of this machine may repeat them",
                 strerror(errno));
    explicit_bzero(pool->buf, len);
}

/* Returns 0 or -errno. */
static int write_id(const char *path, const char *id)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444);
    if (fd < 0)
        return -errno;
    return dprintf(fd, "%s\n", id) < 0 ? -errno : 0;
}

/* In place where that is possible: a new file costs a clone a fifth of a second before its first job. */
static bool overwrite_id(const char *id)
{
    char line[ID_LINE + 1];
    struct stat st;
    cleanup_close int fd = open(MACHINE_ID, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != ID_LINE)
        return false;
    snprintf(line, sizeof line, "%s\n", id);
    return pwrite(fd, line, ID_LINE, 0) == ID_LINE;
}

static int replace_id(const char *id)
{
    static const char temporary[] = MACHINE_ID ".gondolin";
    if (overwrite_id(id))
        return 0;
    int rc = write_id(temporary, id);
    if (rc == 0 && rename(temporary, MACHINE_ID) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temporary);
    return rc;
}

/* On a read-only root the file is covered by one in memory; where there is no such file, nobody misses it. */
static int cover_id(const char *id)
{
    static const char memory[] = "/run/machine-id";
    umount2(MACHINE_ID, MNT_DETACH);
    int rc = write_id(memory, id);
    if (rc == 0 && mount(memory, MACHINE_ID, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
        rc = -errno;
    return rc;
}

static void set_machine_id(const char *id, bool root_writable)
{
    int rc = root_writable ? replace_id(id) : cover_id(id);
    if (rc < 0 && rc != -ENOENT)
        log_line(LOG_LEVEL_WARNING, "set " MACHINE_ID ": %s", strerror(-rc));
}

void identity_renew(const struct session_config *config)
{
    identity_set_clock(config->realtime_ns);
    add_entropy(config->entropy, config->entropy_len);
    if (config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
        log_line(LOG_LEVEL_ERROR, "set host name %s: %s", config->hostname, strerror(errno));
}

void identity_name_machine(const struct session_config *config, bool root_writable)
{
    if (config->machine_id && config->frozen)
        log_line(LOG_LEVEL_WARNING, "set " MACHINE_ID ": the root file system is frozen");
    else if (config->machine_id)
        set_machine_id(config->machine_id, root_writable);
}
