/* SPDX-License-Identifier: Apache-2.0 */
/* The private mounts of a process in a new mount namespace. */
#ifndef GONDOLIN_IMAGES_CONTAIN_MOUNTS_H
#define GONDOLIN_IMAGES_CONTAIN_MOUNTS_H

#include <stdbool.h>

/* Makes mounts private; gives /tmp a fresh tmpfs (libguestfs as root keeps its sockets there and nowhere else) in which
 * the directory `keep` stays visible; provides an empty /lib/modules where there is none, because supermin copies it
 * even when told of another kernel. With `foreign_owners` (in a user namespace, where the system's files seem to belong to
 * nobody) mount(8) and umount(8) are plain copies: supermin copies owners and modes as it sees them, and a set-user-id
 * mount of nobody's cannot mount anything in the appliance. What cannot be done is left undone: who needs it will say so. */
void contain_mounts(const char *keep, bool foreign_owners);

#endif
