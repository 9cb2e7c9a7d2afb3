/* SPDX-License-Identifier: Apache-2.0 */
/* What tells this machine from its clones: clock, random numbers, names. */
#ifndef GONDOLIN_GUEST_IDENTITY_H
#define GONDOLIN_GUEST_IDENTITY_H

#include <stdbool.h>

#include "guest/session.h"

/* Sets what the configuration holds. What fails is logged; the rest is done all the same. */
void identity_apply(const struct session_config *config, bool root_writable);

#endif
