/* SPDX-License-Identifier: Apache-2.0 */
#include "src/holders.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"

enum { NAMED_AT_MOST = 4 };

/* The part of `path` below the mount point ("" for itself), or NULL when it is somewhere else. */
static const char *below(const char *path, const char *mountpoint)
{
    size_t len = strlen(mountpoint);
    if (strncmp(path, mountpoint, len) != 0 || (path[len] != '\0' && path[len] != '/'))
        return NULL;
    return path + len + (path[len] == '/');
}

/* Puts into `what` how the symbolic link /proc/PID/LINK leads into the mount; false when it does not. */
static bool link_holds(const char *pid, const char *link, const char *name, const char *mountpoint, char *what,
                       size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, link);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return false;
    target[len] = '\0';
    const char *inside = below(target, mountpoint);
    if (inside)
        snprintf(what, size, "%s", name ? name : *inside ? inside : "the directory itself");
    return inside != NULL;
}

static bool descriptor_holds(const char *pid, const char *mountpoint, char *what, size_t size)
{
    char path[64], link[NAME_MAX + sizeof "fd/"];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    cleanup_closedir DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(link, sizeof link, "fd/%s", entry->d_name);
        if (entry->d_name[0] != '.' && link_holds(pid, link, NULL, mountpoint, what, size))
            return true;
    }
    return false;
}

static bool mapping_holds(const char *pid, const char *mountpoint, char *what, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    cleanup_fclose FILE *f = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t capacity = 0;
    while (f && getline(&line, &capacity, f) > 0) {
        char *slash = strchr(line, '/');
        if (!slash)
            continue;
        slash[strcspn(slash, "\n")] = '\0';
        const char *inside = below(slash, mountpoint);
        if (inside) {
            snprintf(what, size, "%s", inside);
            return true;
        }
    }
    return false;
}

static bool holds(const char *pid, const char *mountpoint, char *what, size_t size)
{
    return link_holds(pid, "cwd", "working directory", mountpoint, what, size) ||
           link_holds(pid, "root", "root directory", mountpoint, what, size) ||
           descriptor_holds(pid, mountpoint, what, size) || mapping_holds(pid, mountpoint, what, size);
}

static void program_name(const char *pid, char *name, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !fgets(name, (int)size, f))
        snprintf(name, size, "?");
    name[strcspn(name, "\n")] = '\0';
}

static void append_holder(char *text, size_t size, const char *pid, const char *what)
{
    char name[64];
    program_name(pid, name, sizeof name);
    size_t len = strlen(text);
    snprintf(text + len, size - len, "%s%s (pid %s, %.100s)", len ? ", " : "", name, pid, what);
}

size_t holders_describe(const char *mountpoint, pid_t ignored, char *text, size_t size)
{
    size_t found = 0;
    text[0] = '\0';
    cleanup_closedir DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char what[PATH_MAX];
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || pid == ignored || pid == getpid())
            continue;
        if (holds(entry->d_name, mountpoint, what, sizeof what) && ++found <= NAMED_AT_MOST)
            append_holder(text, size, entry->d_name, what);
    }
    if (found > NAMED_AT_MOST) {
        size_t len = strlen(text);
        snprintf(text + len, size - len, " and %zu more", found - NAMED_AT_MOST);
    }
    return found;
}
