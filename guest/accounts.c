/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/accounts.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "src/cleanup.h"

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

/* A whole string of digits below 2^32 - 1, which is the id that means "no change" to the kernel. */
static bool number(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value < UINT32_MAX; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (at == text || *at || value >= UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static void fill_user(struct account *out, const struct passwd *user)
{
    out->uid = user->pw_uid;
    out->gid = user->pw_gid;
    copy(out->name, sizeof out->name, user->pw_name);
    copy(out->home, sizeof out->home, *user->pw_dir ? user->pw_dir : "/");
    copy(out->shell, sizeof out->shell, *user->pw_shell ? user->pw_shell : "/bin/sh");
}

static int find_user(const char *path, const char *name, struct account *out, struct err *err)
{
    uint32_t uid = 0;
    bool numeric = number(name, &uid);
    cleanup_fclose FILE *file = fopen(path, "re");
    const struct passwd *user;
    while (file && (user = fgetpwent(file))) {
        if (numeric ? user->pw_uid == uid : strcmp(user->pw_name, name) == 0) {
            fill_user(out, user);
            return 0;
        }
    }
    if (!numeric)
        return err_set(err, ENOENT, "user %s: not in %s; use a user of the guest or a number", name, path);
    *out = (struct account){.uid = uid, .gid = 0, .home = "/", .shell = "/bin/sh"};
    copy(out->name, sizeof out->name, uid == 0 ? "root" : name);
    return 0;
}

static bool is_member(const struct group *group, const char *user)
{
    for (char **member = group->gr_mem; *member; member++) {
        if (strcmp(*member, user) == 0)
            return true;
    }
    return false;
}

/* An explicit group replaces the user's own and its supplementary ones. */
static int find_group(const char *path, const char *name, struct account *out, struct err *err)
{
    uint32_t gid = 0;
    bool numeric = number(name, &gid);
    cleanup_fclose FILE *file = fopen(path, "re");
    const struct group *group;
    while (!numeric && file && (group = fgetgrent(file))) {
        if (strcmp(group->gr_name, name) == 0) {
            gid = group->gr_gid;
            numeric = true;
        }
    }
    if (!numeric)
        return err_set(err, ENOENT, "group %s: not in %s; use a group of the guest or a number", name, path);
    out->gid = gid;
    return 0;
}

static void find_memberships(const char *path, struct account *out)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    const struct group *group;
    while (file && out->group_count < ACCOUNT_MAX_GROUPS && (group = fgetgrent(file))) {
        if (group->gr_gid != out->gid && is_member(group, out->name))
            out->groups[out->group_count++] = group->gr_gid;
    }
}

int account_find(const struct account_files *files, const char *spec, struct account *out, struct err *err)
{
    char name[512];
    *out = (struct account){0};
    if (snprintf(name, sizeof name, "%s", spec ? spec : "0") >= (int)sizeof name)
        return err_set(err, ENOENT, "user: the name is longer than %zu bytes", sizeof name - 1);
    char *group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    int rc = find_user(files->passwd, name, out, err);
    if (rc < 0)
        return rc;
    if (group)
        return find_group(files->group, group, out, err);
    find_memberships(files->group, out);
    return 0;
}
