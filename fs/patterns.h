/* SPDX-License-Identifier: Apache-2.0 */
/* A list of patterns as .gitignore has them: '*', '?' and [...] do not cross a '/', "**" does; a pattern with a '/' in it
 * (not only at its end) is meant from the root on, another one for names in every directory; '!' takes back; the last
 * match decides. A '/' at the end is allowed and says nothing: what is not a directory is matched, too. Letters match in
 * either case, because there are file systems that would find the same file by both. */
#ifndef GONDOLIN_FS_PATTERNS_H
#define GONDOLIN_FS_PATTERNS_H

#include <stdbool.h>

struct patterns;

/* Each line has one character that says what a match means, and a pattern. NULL with errno (EINVAL, ENOMEM). */
struct patterns *patterns_new(const char *lines);

/* The character of the line that decides about `name` in the directory `dir` ("" for the root, "a/b"), or 0. */
char patterns_match(const struct patterns *patterns, const char *dir, const char *name);

/* Whether a path other than names is needed to decide. */
bool patterns_need_path(const struct patterns *patterns);
/* Whether a line speaks of something below the directory dir/name by its path, so that it must not be moved. */
bool patterns_pass_through(const struct patterns *patterns, const char *dir, const char *name);
/* Whether any line has this character. */
bool patterns_have(const struct patterns *patterns, char kind);

#endif
