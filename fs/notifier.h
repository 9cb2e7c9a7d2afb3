/* SPDX-License-Identifier: Apache-2.0 */
/* Writes cache invalidations to /dev/fuse from a thread of its own: the kernel takes an inode's lock for them, which a
 * process may hold that waits for an answer of ours. */
#ifndef GONDOLIN_FS_NOTIFIER_H
#define GONDOLIN_FS_NOTIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct notifier;

/* `fd` is borrowed and must stay open until notifier_join. NULL with errno. */
struct notifier *notifier_new(int fd);
/* Tells the thread to stop; messages not yet written are dropped. It may still wait in the kernel for a lock whose holder
 * waits for an answer of ours, so go on answering until notifier_join says true. */
void notifier_stop(struct notifier *notifier);
/* True when the thread has ended (or there is none); the notifier is then freed. */
bool notifier_join(struct notifier *notifier);

/* Queues a copy of a whole message. With a full queue it is dropped, unless it `must` go; caches then stay wrong until
 * something is done about it: see notifier_overflowed. */
void notifier_send(struct notifier *notifier, const void *message, size_t len, bool must);
/* One notice (of any number of messages) ends here. */
void notifier_end(struct notifier *notifier);

/* Readable (an eventfd, to be read) each time the queue has been written out, and when notice `awaited` has been. */
int notifier_event_fd(const struct notifier *notifier);
void notifier_await(struct notifier *notifier, uint64_t awaited);
/* Notices that have been written (or dropped) so far. */
uint64_t notifier_written(struct notifier *notifier);
/* Nothing is queued or being written. */
bool notifier_idle(struct notifier *notifier);
/* True once after messages were dropped. */
bool notifier_overflowed(struct notifier *notifier);

#endif
