/* SPDX-License-Identifier: Apache-2.0 */
/* A growing, NULL-terminated argument vector. An allocation failure is remembered and reported once, at the end, so
 * that the code that lists arguments reads as a list. */
#ifndef GONDOLIN_VMM_ARGV_H
#define GONDOLIN_VMM_ARGV_H

#include <stdbool.h>
#include <stddef.h>

struct argv {
    char **words; /* owned; NULL-terminated once there is one */
    size_t count, capacity;
    bool failed; /* out of memory: some words are missing */
};

/* Adds a copy of `word`. */
void argv_add(struct argv *argv, const char *word);

/* Adds a formatted word. */
void argv_addf(struct argv *argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Frees the words and empties the vector. */
void argv_free(struct argv *argv);

#endif
