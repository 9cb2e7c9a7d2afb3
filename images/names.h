/* SPDX-License-Identifier: Apache-2.0 */
/* A growing list of strings, NULL-terminated, so that it can be an argv. */
#ifndef GONDOLIN_IMAGES_NAMES_H
#define GONDOLIN_IMAGES_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Start with {0}. `list` is NULL while empty, else list[count] is NULL. */
struct names {
    char **list;
    size_t count;
    bool failed; /* memory ran out once: the list is not complete */
};

/* Appends a copy of `name`, or the formatted string. On ENOMEM sets `failed`, for one check at the end. */
void names_add(struct names *names, const char *name);
void names_addf(struct names *names, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends each element of a NULL-terminated array (NULL: none). */
void names_add_all(struct names *names, const char *const *more);

bool names_has(const struct names *names, const char *name);

/* By byte value, for output that does not depend on the order of a directory. */
void names_sort(struct names *names);

/* All in one string, separated by ", "; malloc'd, NULL on ENOMEM. */
char *names_join(const struct names *names);

void names_free(struct names *names);

#endif
