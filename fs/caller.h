/* SPDX-License-Identifier: Apache-2.0 */
/* Why a process that waits for an answer of ours was woken. The kernel interrupts a request for any signal: for a child
 * that has ended, a window that has changed its size, a stop. Local file systems do not even notice those. */
#ifndef GONDOLIN_FS_CALLER_H
#define GONDOLIN_FS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/* True when the thread is to die of a signal that is pending for it, or has caught one by which people and programs ask it to
 * stop what it does (INT, TERM, HUP, QUIT; with `alarms` ALRM too). True also when nothing can be learned about it. */
bool caller_gives_up(pid_t thread, bool alarms);

/* The decision itself, for a given status file of proc(5). */
bool caller_status_gives_up(const char *status, bool alarms);

#endif
