/* SPDX-License-Identifier: Apache-2.0 */
#include "images/contain_users.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/command.h"
#include "images/files.h"
#include "src/cleanup.h"

/* The first range of subordinate ids that `path` has for this user: lines of "name-or-uid:first:count". */
static bool subordinate_range(const char *path, unsigned long *first, unsigned long *count)
{
    const struct passwd *entry = getpwuid(getuid());
    cleanup_fclose FILE *file = fopen(path, "re");
    char line[256], name[128];
    char uid[24];

    snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%127[^:]:%lu:%lu", name, first, count) != 3 || *count == 0)
            continue;
        if (strcmp(name, uid) == 0 || (entry && strcmp(name, entry->pw_name) == 0))
            return true;
    }
    return false;
}

/* Ids other than one's own can only be mapped by the setuid programs newuidmap(1) and newgidmap(1). */
static bool map_with(const char *program, pid_t pid, unsigned own, const char *ranges)
{
    unsigned long first, count;
    if (!subordinate_range(ranges, &first, &count))
        return false;
    if (count > 65535)
        count = 65535;

    char pid_text[24], own_text[24], first_text[24], count_text[24];
    snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    snprintf(own_text, sizeof own_text, "%u", own);
    snprintf(first_text, sizeof first_text, "%lu", first);
    snprintf(count_text, sizeof count_text, "%lu", count);
    const char *const argv[] = {program, pid_text, "0", own_text, "1", "1", first_text, count_text, NULL};
    return command_run(&(struct command){.argv = argv}, NULL, NULL) == 0;
}

static void write_proc(pid_t pid, const char *name, const char *text)
{
    cleanup_free char *path = files_format("/proc/%d/%s", (int)pid, name);
    cleanup_close int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        (void)!write(fd, text, strlen(text));
}

enum contain_users contain_users(pid_t pid, bool new_namespace)
{
    char map[64];

    if (!new_namespace)
        return geteuid() == 0 ? CONTAIN_MANY_USERS : CONTAIN_ONE_USER;
    if (map_with("newuidmap", pid, getuid(), "/etc/subuid") && map_with("newgidmap", pid, getgid(), "/etc/subgid"))
        return CONTAIN_MANY_USERS;
    /* If only the user ids could be mapped, that stays: the file can be written once. The group then is one's own. */
    snprintf(map, sizeof map, "0 %u 1", (unsigned)getuid());
    write_proc(pid, "uid_map", map);
    write_proc(pid, "setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)getgid());
    write_proc(pid, "gid_map", map);
    return CONTAIN_ONE_USER;
}
