/* SPDX-License-Identifier: Apache-2.0 */
#include "src/session_name.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "src/printable.h"

static const char host_name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";

int session_name_check(const char *name, struct err *err)
{
    char shown[SESSION_NAME_MAX + 1];
    if (!*name)
        return err_set(err, EINVAL, "--name: the name is empty");
    if (strlen(name) > SESSION_NAME_MAX)
        return err_set(err, EINVAL, "--name %.20s...: longer than %d bytes", name, SESSION_NAME_MAX);
    printable_copy(shown, sizeof shown, name, strlen(name));
    if (strchr(name, '/') || strcmp(shown, name) != 0)
        return err_set(err, EINVAL, "--name %s: a name has neither \"/\" nor control characters in it", shown);
    return 0;
}

char *session_name_of(const char *mountpoint)
{
    const char *slash = strrchr(mountpoint, '/');
    const char *base = slash && slash[1] ? slash + 1 : "sandbox";
    char *name = strdup(base);
    if (!name)
        return NULL;
    printable(name, strlen(name));
    for (size_t i = 0; name[i]; i++)
        if (name[i] != base[i])
            name[i] = '-';
    return name;
}

static bool is_edge(char c)
{
    return c == '-' || c == '.';
}

void session_host_name(const char *name, char out[static HOST_NAME_LEN + 1])
{
    size_t len = 0;
    for (; *name && len < HOST_NAME_LEN; name++) {
        char c = strchr(host_name_characters, *name) ? *name : '-';
        if (len || !is_edge(c))
            out[len++] = c;
    }
    while (len && is_edge(out[len - 1]))
        len--;
    out[len] = '\0';
    if (!len)
        strcpy(out, "sandbox");
}
