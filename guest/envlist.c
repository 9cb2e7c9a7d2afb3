/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/envlist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **find(const struct envlist *list, const char *name, size_t name_len)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strncmp(list->entries[i], name, name_len) == 0 && list->entries[i][name_len] == '=')
            return &list->entries[i];
    }
    return NULL;
}

static int put_entry(struct envlist *list, char *entry, size_t name_len)
{
    char **old = find(list, entry, name_len);
    if (old) {
        free(*old);
        *old = entry;
        return 0;
    }
    char **grown = realloc(list->entries, (list->count + 2) * sizeof *grown);
    if (!grown) {
        free(entry);
        return -ENOMEM;
    }
    grown[list->count++] = entry;
    grown[list->count] = NULL;
    list->entries = grown;
    return 0;
}

int envlist_put(struct envlist *list, const char *name, const char *value)
{
    char *entry;
    if (!*name || strchr(name, '='))
        return -EINVAL;
    if (asprintf(&entry, "%s=%s", name, value) < 0)
        return -ENOMEM;
    return put_entry(list, entry, strlen(name));
}

int envlist_merge(struct envlist *list, const struct envlist *from)
{
    for (size_t i = 0; i < from->count; i++) {
        char *entry = strdup(from->entries[i]);
        int rc = entry ? put_entry(list, entry, strcspn(entry, "=")) : -ENOMEM;
        if (rc < 0)
            return rc;
    }
    return 0;
}

const char *envlist_get(const struct envlist *list, const char *name)
{
    size_t name_len = strlen(name);
    char **entry = find(list, name, name_len);
    return entry ? *entry + name_len + 1 : NULL;
}

void envlist_clear(struct envlist *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i]);
    free(list->entries);
    *list = (struct envlist){0};
}
