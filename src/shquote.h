/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words as text in the quoting of sh(1) (POSIX.1-2017, Shell Command Language, 2.2): the form of `argv` and
 * `env` in a job's directory. Only quoting is understood; nothing is expanded, so $, *, ; and | stand for themselves.
 * */
#ifndef GONDOLIN_SRC_SHQUOTE_H
#define GONDOLIN_SRC_SHQUOTE_H

#include <stddef.h>

/* The NULL-terminated words separated by single spaces, each quoted where it must be; no newline is added. malloc'd,
 * NULL with errno ENOMEM. */
char *shquote_join(char *const *words);

/* Splits text at unquoted blanks and newlines. *words becomes a NULL-terminated array of *count words, in one block
 * with their text: free(*words) releases all. Returns 0; -EINVAL for an unbalanced quote, a backslash at the end or a
 * NUL byte; -ENOMEM. Allocates at most 9 * len + 16 bytes. */
int shquote_split(const char *text, size_t len, char ***words, size_t *count);

#endif
