/* SPDX-License-Identifier: Apache-2.0 */
/* The user ids of a process in a new user namespace. */
#ifndef GONDOLIN_IMAGES_CONTAIN_USERS_H
#define GONDOLIN_IMAGES_CONTAIN_USERS_H

#include <stdbool.h>
#include <sys/types.h>

enum contain_users {
    CONTAIN_ONE_USER,  /* only the caller's own id exists there, as root */
    CONTAIN_MANY_USERS, /* ids 0 to 65535 or so: the caller's and its subordinate ones, subuid(5) */
};

/* Maps the ids of `pid` if it has a `new_namespace`; without one, tells what it can use as it is. */
enum contain_users contain_users(pid_t pid, bool new_namespace);

#endif
