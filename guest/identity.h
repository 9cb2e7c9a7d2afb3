/* SPDX-License-Identifier: Apache-2.0 */
/* What tells this machine from its clones: clock, random numbers, names. */
#ifndef GONDOLIN_GUEST_IDENTITY_H
#define GONDOLIN_GUEST_IDENTITY_H

#include <stdbool.h>

#include "guest/session.h"

/* Nanoseconds since 1970; 0: leaves it. */
void identity_set_clock(uint64_t realtime_ns);

/* Clock, random numbers and host name: at once, before anybody can look. What fails is logged; the rest is done all the
 * same. */
void identity_renew(const struct session_config *config);

/* /etc/machine-id, which may have to wait for the disk. */
void identity_name_machine(const struct session_config *config, bool root_writable);

#endif
