/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-ups when the kernel announces devices. The messages are only taken as a reason to look again, so that neither a
 * lost nor a forged one matters. */
#ifndef GONDOLIN_GUEST_UEVENT_H
#define GONDOLIN_GUEST_UEVENT_H

#include <stdbool.h>
#include <stdint.h>

/* A non-blocking, close-on-exec socket that becomes readable with each announcement, or -errno. */
int uevent_open(void);

/* Throws away what has come. */
void uevent_drain(int fd);

/* Waits for the next announcement, until `deadline_ms` (loop_now_ms) at the latest. False when that has passed. */
bool uevent_wait(int fd, uint64_t deadline_ms);

#endif
