/* SPDX-License-Identifier: Apache-2.0 */
/* The programs a user of the guest finds on the default PATH. */
#ifndef GONDOLIN_GUEST_PROGRAMS_H
#define GONDOLIN_GUEST_PROGRAMS_H

#include <stddef.h>

/* The PATH of jobs that set no other. */
#define PROGRAMS_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { PROGRAMS_MAX = 65536 }; /* more are left out */

struct programs {
    char **names; /* sorted, each once */
    size_t count;
};

/* Lists the regular files in the directories of `path` that somebody may execute. What cannot be read is left out. */
void programs_list(const char *path, struct programs *out);
void programs_clear(struct programs *programs);

#endif
