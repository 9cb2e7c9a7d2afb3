/* SPDX-License-Identifier: Apache-2.0 */
/* The private mounts of a process in a new mount namespace. */
#ifndef GONDOLIN_IMAGES_CONTAIN_MOUNTS_H
#define GONDOLIN_IMAGES_CONTAIN_MOUNTS_H

/* Makes mounts private; gives /tmp a fresh tmpfs (libguestfs as root keeps its sockets there and nowhere else) in which
 * the directory `keep` stays visible; provides an empty /lib/modules where there is none, because supermin copies it
 * even when told of another kernel. What cannot be done is left undone: who needs it will say so. */
void contain_mounts(const char *keep);

#endif
