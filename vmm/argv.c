/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(struct argv *argv, char *word)
{
    if (word && argv->count + 2 > argv->capacity) {
        size_t capacity = argv->capacity ? 2 * argv->capacity : 32;
        char **grown = realloc(argv->words, capacity * sizeof *grown);
        if (grown) {
            argv->words = grown;
            argv->capacity = capacity;
        }
    }
    if (!word || argv->count + 2 > argv->capacity) {
        free(word);
        argv->failed = true;
        return;
    }
    argv->words[argv->count++] = word;
    argv->words[argv->count] = NULL;
}

void argv_add(struct argv *argv, const char *word)
{
    take(argv, strdup(word));
}

void argv_addf(struct argv *argv, const char *fmt, ...)
{
    char *word;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&word, fmt, ap) < 0)
        word = NULL;
    va_end(ap);
    take(argv, word);
}

void argv_free(struct argv *argv)
{
    for (size_t i = 0; i < argv->count; i++)
        free(argv->words[i]);
    free(argv->words);
    *argv = (struct argv){0};
}
