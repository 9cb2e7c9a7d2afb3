/* SPDX-License-Identifier: Apache-2.0 */
/* Serves the guest's root file system to the host on the port gondolin.root, in a thread of its own: the FUSE wire
 * protocol, answered by fs/server from fs/hostdir. Other file systems mounted in the guest (/proc, /dev, /tmp, ...) are
 * not part of it; their mount points show what lies below. */
#ifndef GONDOLIN_GUEST_ROOTSERVE_H
#define GONDOLIN_GUEST_ROOTSERVE_H

#include <stdbool.h>
#include <stdint.h>

struct rootserve;

/* Called once, from the serving thread, when it gives up because the host sent an impossible message or the port
 * failed. The session's state is gone by then and the port is closed; rootserve_stop has still to be called. */
typedef void rootserve_ended_fn(void *data, const char *why);

/* Starts serving "/" as it is mounted now (so after the root has its final mount options) on the port, whose fd is taken
 * over. While the host is not connected the thread sleeps; each new connection, and each INIT, begins a fresh session.
 * Costs one file descriptor for each node and each file the host knows: raise RLIMIT_NOFILE before, and put it back for
 * jobs. NULL with errno on failure (the fd then stays open). */
struct rootserve *rootserve_start(int port_fd, rootserve_ended_fn *ended, void *data);

/* Sends the notices of all that the guest's processes have changed up to now, so that whatever is sent to the host after
 * this call is known to come later. Returns how many notices this service has sent so far. May be called from any
 * thread. */
uint64_t rootserve_flush_notices(struct rootserve *rootserve);
/* Sends no more notices until rootserve_release, and is not in the middle of a message. To be called, as is release, while
 * no request is being served; rootserve_flush_notices must not be called in between. Returns the notices sent so far. */
uint64_t rootserve_hold(struct rootserve *rootserve);
void rootserve_release(struct rootserve *rootserve);
/* Whether changes by the guest's processes are noticed at all. */
bool rootserve_watches(const struct rootserve *rootserve);

/* Ends the thread and closes everything, so that the root can be unmounted or made read-only. NULL is ignored. */
void rootserve_stop(struct rootserve *rootserve);

#endif
