/* SPDX-License-Identifier: Apache-2.0 */
/* The way down: SIGTERM to everybody, SIGKILL after a grace, file systems made clean, GOODBYE, power off. */
#ifndef GONDOLIN_GUEST_POWER_H
#define GONDOLIN_GUEST_POWER_H

#include <stdint.h>

#include "guest/session.h"
#include "src/loop.h"

enum power_action { POWER_OFF, POWER_REBOOT };

struct power;

/* `finish` makes the file systems clean; it is called when no other process is left. The session may be set later, or
 * never: then nobody is told. NULL with errno (ENOMEM). */
struct power *power_new(struct loop *loop, void (*finish)(void *data), void *data);
void power_set_session(struct power *power, struct session *session);

/* Starts the ladder. Called again, it only shortens the grace. */
void power_down(struct power *power, enum power_action action, uint64_t grace_ms);

/* To be called after children were reaped: goes on at once when none is left. */
void power_children_changed(struct power *power);

/* For errors outside of the loop: syncs and powers off now. */
void power_off_now(void) __attribute__((noreturn));

#endif
