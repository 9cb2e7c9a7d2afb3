/* SPDX-License-Identifier: Apache-2.0 */
/* The guest agent's binary on the host. */
#ifndef GONDOLIN_IMAGES_AGENT_H
#define GONDOLIN_IMAGES_AGENT_H

#include "src/err.h"

/* Opens $GONDOLIN_GUEST, else the gondolin-guest that belongs to the running program (src/libexec.h), and checks that it
 * is static. A descriptor, or -errno: ENOENT, ENOEXEC. */
int agent_open(struct err *err);

#endif
