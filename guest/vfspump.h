/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the requests of the guest's kernel for host directories to the port gondolin.vfs and the answers back, in a
 * thread of its own that never blocks. One request at a time waits for room in the port; the others wait in the kernel,
 * where the processes behind them can be killed. */
#ifndef GONDOLIN_GUEST_VFSPUMP_H
#define GONDOLIN_GUEST_VFSPUMP_H

#include <stdbool.h>

struct vfspump;

/* Called in the pump's thread when the session is over although nobody has asked for that. */
typedef void vfspump_ended_fn(void *data, const char *why);

/* `port_fd` is borrowed (non-blocking), `fuse_fd` (of /dev/fuse) is taken over, also on failure; it is mounted at `place` (a
 * string that stays). `nonce` is what fs/sync.h wants. NULL with errno. */
struct vfspump *vfspump_start(int port_fd, int fuse_fd, const char *place, const char *nonce, vfspump_ended_fn *ended,
                              void *data);

/* Takes no more requests from the kernel, and waits (at most `limit_ms`) until those that it has taken are answered; what
 * waits for a lock does not count. False: some are not. It stays so until vfspump_release or vfspump_reconnect. */
bool vfspump_hold(struct vfspump *pump, unsigned limit_ms);
void vfspump_release(struct vfspump *pump);

/* Another server has taken up the session; it speaks from `nonce` on. The kernel's connection goes on: what waits for a lock
 * waits on, other requests that are under way fail with EIO. 0, or -errno, after which only vfspump_stop is left. */
int vfspump_reconnect(struct vfspump *pump, const char *nonce);

/* Waits until the kernel has been told of all changes that the host had announced before its last answer. */
void vfspump_settle(struct vfspump *pump);

/* The connection must have been aborted before (umount2 with MNT_FORCE): else this may wait for a process that waits for
 * an answer. NULL is ignored. */
void vfspump_stop(struct vfspump *pump);

#endif
