/* SPDX-License-Identifier: Apache-2.0 */
/* Names of sandboxes: by one a sandbox is found, and its guest gets a host name made from it. */
#ifndef GONDOLIN_SRC_SESSION_NAME_H
#define GONDOLIN_SRC_SESSION_NAME_H

#include "src/err.h"

enum { SESSION_NAME_MAX = 64, HOST_NAME_LEN = 64 };

/* Is it a name that somebody may give? 0, or -EINVAL with *err. */
int session_name_check(const char *name, struct err *err);

/* The name of one that is mounted there: the last part of the path, with '-' for what cannot be shown. malloc'd; NULL: no
 * memory. */
char *session_name_of(const char *mountpoint);

/* A host name made from it: letters, digits, '-' and '.', neither of these two at its ends, and never empty. */
void session_host_name(const char *name, char out[static HOST_NAME_LEN + 1]);

#endif
