/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent of a machine says, and what that means for the sandbox. */
#ifndef GONDOLIN_SRC_MACHINE_LINK_H
#define GONDOLIN_SRC_MACHINE_LINK_H

#include "src/machine.h"

/* Begins to talk to the agent at the other end of `fd`, which is taken over. NULL with errno. */
struct agent_link *machine_link(struct machine *machine, int fd);

#endif
