/* SPDX-License-Identifier: Apache-2.0 */
/* A list of environment variables as execve wants it. */
#ifndef GONDOLIN_GUEST_ENVLIST_H
#define GONDOLIN_GUEST_ENVLIST_H

#include <stddef.h>

struct envlist {
    char **entries; /* "NAME=value", NULL-terminated once something was put; NULL while empty */
    size_t count;
};

/* Sets a variable, replacing an earlier value. Returns 0, -EINVAL (the name is empty or has a '='), or -ENOMEM. */
int envlist_put(struct envlist *list, const char *name, const char *value);

/* Sets all of `from` in `list`. Returns 0 or -ENOMEM. */
int envlist_merge(struct envlist *list, const struct envlist *from);

/* The value, owned by the list, or NULL. */
const char *envlist_get(const struct envlist *list, const char *name);

/* Frees the entries; the list is empty and usable afterwards. */
void envlist_clear(struct envlist *list);

#endif
