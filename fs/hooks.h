/* SPDX-License-Identifier: Apache-2.0 */
/* The provider at the top of a mount's stack that has a program (fs/hook.h) watch, or decide about, what the guest does:
 * it sees what is asked for and what comes of it. Operations whose path has more than 4095 bytes fail with ENAMETOOLONG,
 * and once the program is dead those that would be reported, and lookups, with EIO.
 *
 * Operations wait here as long as the program likes, so the server must not do them in its receiving thread
 * (server_config.slow). What they answer may come after news of a change by the host, so it is never to be kept. */
#ifndef GONDOLIN_FS_HOOKS_H
#define GONDOLIN_FS_HOOKS_H

struct hook;
struct vfs;

/* `below`, `hook` and `mount` (the path in the guest, as the program is to read it) are borrowed. NULL with errno ENOMEM. */
struct vfs *hooks_new(struct vfs *below, struct hook *hook, const char *mount);

/* All references must have been given back and all files released. NULL is ignored. */
void hooks_free(struct vfs *vfs);

#endif
