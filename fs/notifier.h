/* SPDX-License-Identifier: Apache-2.0 */
/* Writes cache invalidations to /dev/fuse from a thread of its own: the kernel takes an inode's lock for them, which a
 * process may hold that waits for an answer of ours. */
#ifndef GONDOLIN_FS_NOTIFIER_H
#define GONDOLIN_FS_NOTIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct notifier;

/* `fd` is borrowed and must stay open until notifier_free. NULL with errno. */
struct notifier *notifier_new(int fd);
/* Tells the thread to stop; messages not yet written are dropped. It may still wait in the kernel for a lock whose holder
 * waits for an answer of ours, so go on answering until notifier_join says true. */
void notifier_stop(struct notifier *notifier);
/* True when the thread has ended (or there is none); the notifier is then freed. */
bool notifier_join(struct notifier *notifier);

/* Queues a copy of a whole notification. With a full queue (or no memory) it is dropped and counted: caches then stay
 * wrong until their timeout. */
void notifier_send(struct notifier *notifier, const void *message, size_t len);
uint64_t notifier_dropped(struct notifier *notifier);

/* Calls `done(data)`, in the notifier's thread, once everything queued before has been written. */
void notifier_fence(struct notifier *notifier, void (*done)(void *data), void *data);

#endif
