/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the requests of the guest's kernel for host directories to the port gondolin.vfs and the answers back, in a
 * thread of its own that never blocks. One request at a time waits for room in the port; the others wait in the kernel,
 * where the processes behind them can be killed. */
#ifndef GONDOLIN_GUEST_VFSPUMP_H
#define GONDOLIN_GUEST_VFSPUMP_H

struct vfspump;

/* Called in the pump's thread when the session is over although nobody has asked for that. */
typedef void vfspump_ended_fn(void *data, const char *why);

/* `port_fd` is borrowed (non-blocking), `fuse_fd` (of /dev/fuse) is taken over, also on failure. `nonce` is what fs/sync.h
 * wants. NULL with errno. */
struct vfspump *vfspump_start(int port_fd, int fuse_fd, const char *nonce, vfspump_ended_fn *ended, void *data);

/* The connection must have been aborted before (umount2 with MNT_FORCE): else this may wait for a process that waits for
 * an answer. NULL is ignored. */
void vfspump_stop(struct vfspump *pump);

#endif
