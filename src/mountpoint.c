/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"

extern char **environ;

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Mount points in mountinfo have space, tab, newline and backslash as three octal digits; undone in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

struct mount {
    char *mountpoint;
    const char *source; /* of an offline one */
    uint64_t device;
    bool ours, offline;
};

/* proc(5): "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS". */
static bool parse_mountinfo(char *line, struct mount *mount)
{
    static const char type[] = " - " MOUNT_FS_TYPE " ", offline[] = " - fuse." MOUNT_OFFLINE_SUBTYPE " ";
    char *separator = strstr(line, " - ");
    char *field = line;
    unsigned major, minor;
    for (int i = 0; i < 4; i++) {
        field = strchr(field, ' ');
        if (!field)
            return false;
        field++;
    }
    char *end = strchr(field, ' ');
    if (!separator || !end || separator < end || sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2)
        return false;
    *end = '\0';
    unescape(field);
    *mount = (struct mount){.mountpoint = field, .device = makedev(major, minor),
                            .ours = strncmp(separator, type, strlen(type)) == 0,
                            .offline = strncmp(separator, offline, strlen(offline)) == 0};
    if (mount->offline) {
        char *source = separator + strlen(offline);
        source[strcspn(source, " \n")] = '\0';
        unescape(source);
        mount->source = source;
    }
    return true;
}

/* Calls `visit` for every mount of this namespace, until it says false. */
static void each_mount(bool (*visit)(const struct mount *mount, void *data), void *data)
{
    cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
    cleanup_free char *line = NULL;
    size_t size = 0;
    struct mount mount;
    while (f && getline(&line, &size, f) > 0)
        if (parse_mountinfo(line, &mount) && !visit(&mount, data))
            return;
}

struct top {
    const char *path;
    struct mount mount;
};

/* Later lines are stacked on top of earlier ones. */
static bool visit_path(const struct mount *mount, void *data)
{
    struct top *top = data;
    if (strcmp(mount->mountpoint, top->path) == 0)
        top->mount = (struct mount){.device = mount->device, .ours = mount->ours, .offline = mount->offline};
    return true;
}

bool mountpoint_is_gondolin(const char *path)
{
    struct top top = {.path = path};
    each_mount(visit_path, &top);
    return top.mount.ours;
}

bool mountpoint_is_offline(const char *path)
{
    struct top top = {.path = path};
    each_mount(visit_path, &top);
    return top.mount.offline;
}

uint64_t mountpoint_device(const char *path)
{
    struct top top = {.path = path};
    each_mount(visit_path, &top);
    return top.mount.device;
}

struct search {
    uint64_t device;
    const char *preferred; /* may be NULL */
    char *found;           /* malloc'd */
};

static bool visit_device(const struct mount *mount, void *data)
{
    struct search *search = data;
    bool best = search->preferred && strcmp(mount->mountpoint, search->preferred) == 0;
    if (!mount->ours || mount->device != search->device || (search->found && !best))
        return true;
    free(search->found);
    search->found = strdup(mount->mountpoint);
    return !best;
}

char *mountpoint_locate(uint64_t device, const char *recorded)
{
    struct search search = {.device = device, .preferred = recorded};
    if (device)
        each_mount(visit_device, &search);
    return search.found;
}

void mountpoint_clear_dead(uint64_t device)
{
    char *path;
    bool more = true;
    while (more && (path = mountpoint_locate(device, NULL))) {
        more = mountpoint_is_dead(path) && mountpoint_unmount(path, true, NULL) == 0;
        free(path);
    }
}

/* Who shows a checkpoint's disk has its work directory locked, and that is what the mount says it comes from. Only where
 * nobody has is the mount asked: a living one may take its time. */
static bool is_abandoned(const char *work)
{
    cleanup_close int fd = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? errno == ENOENT : flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static bool visit_offline(const struct mount *mount, void *data)
{
    char **found = data;
    if (mount->offline && is_abandoned(mount->source) && mountpoint_is_dead(mount->mountpoint))
        *found = strdup(mount->mountpoint);
    return !*found;
}

void mountpoint_clear_offline(void)
{
    bool more = true;
    while (more) {
        cleanup_free char *path = NULL;
        each_mount(visit_offline, &path);
        more = path && mountpoint_unmount(path, true, NULL) == 0;
    }
}

bool mountpoint_is_dead(const char *path)
{
    struct statfs fs;
    /* Not stat(2), which the kernel may answer by itself. ECONNABORTED: the connection ended while we asked. */
    return statfs(path, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Runs fusermount3 with its messages in `said`. Returns its wait status or -errno. */
static int run_fusermount(const char *path, bool detach, char *said, size_t size)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    cleanup_close int out = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    const char *argv[] = {"fusermount3", detach ? "-uz" : "-u", "--", path, NULL};
    pid_t pid;
    int rc = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc != 0)
        return -rc;

    size_t len = 0;
    for (ssize_t n = 1; n > 0;) {
        n = read(out, said + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    said[len] = '\0';
    said[strcspn(said, "\n")] = '\0';
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static int unmount_as_user(const char *path, bool detach, struct err *err)
{
    char said[512];
    int status = run_fusermount(path, detach, said, sizeof said);
    if (status < 0)
        return err_set(err, -status, "fusermount3 cannot be run (%s); install it with: apt-get install fuse3",
                       strerror(-status));
    if (status == 0)
        return 0;
    int code = strstr(said, strerror(EBUSY)) ? EBUSY : strstr(said, "not found") ? EINVAL : EPERM;
    return err_set(err, code, "%s", *said ? said : "fusermount3 failed");
}

int mountpoint_unmount(const char *path, bool detach, struct err *err)
{
    if (umount2(path, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) == 0)
        return 0;
    if (errno == EPERM)
        return unmount_as_user(path, detach, err);
    return err_errno(err, errno, "%s", path);
}
