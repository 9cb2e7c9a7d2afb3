/* SPDX-License-Identifier: Apache-2.0 */
#include "images/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(struct names *names, char *string)
{
    char **list = string ? reallocarray(names->list, names->count + 2, sizeof *list) : NULL;
    if (!list) {
        free(string);
        names->failed = true;
        return;
    }
    list[names->count++] = string;
    list[names->count] = NULL;
    names->list = list;
}

void names_add(struct names *names, const char *name)
{
    take(names, strdup(name));
}

void names_addf(struct names *names, const char *format, ...)
{
    va_list ap;
    char *string;

    va_start(ap, format);
    if (vasprintf(&string, format, ap) < 0)
        string = NULL;
    va_end(ap);
    take(names, string);
}

void names_add_all(struct names *names, const char *const *more)
{
    for (; more && *more; more++)
        names_add(names, *more);
}

bool names_has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names)
{
    if (names->count > 1)
        qsort(names->list, names->count, sizeof *names->list, compare);
}

char *names_join(const struct names *names)
{
    size_t length = 1;
    for (size_t i = 0; i < names->count; i++)
        length += strlen(names->list[i]) + 2;
    char *text = calloc(1, length), *end = text;
    for (size_t i = 0; text && i < names->count; i++)
        end = stpcpy(stpcpy(end, i ? ", " : ""), names->list[i]);
    return text;
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
    *names = (struct names){0};
}
