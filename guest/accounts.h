/* SPDX-License-Identifier: Apache-2.0 */
/* Who a job runs as, read from the passwd and group files directly: a static program cannot use NSS, and a sandbox's
 * users are local. Formats: passwd(5), group(5). */
#ifndef GONDOLIN_GUEST_ACCOUNTS_H
#define GONDOLIN_GUEST_ACCOUNTS_H

#include <sys/types.h>

#include "src/err.h"

enum { ACCOUNT_MAX_GROUPS = 64 };

struct account {
    uid_t uid;
    gid_t gid;
    gid_t groups[ACCOUNT_MAX_GROUPS]; /* supplementary; more than this are left out */
    int group_count;
    char name[64];  /* the number as text when the passwd file does not know it */
    char home[256]; /* "/" when unknown */
    char shell[256];
};

struct account_files {
    const char *passwd, *group;
};

/* Looks up "user" or "user:group", each a name or a number (NULL: user 0). A number that is in no file is taken as it
 * is, with group 0, as container engines do; so does user 0 work without a passwd file. Returns 0, or -ENOENT (no such
 * user or group) with *err set. */
int account_find(const struct account_files *files, const char *spec, struct account *out, struct err *err);

#endif
