/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own messages. They go to the kernel's log, which the host shows as the console. */
#ifndef GONDOLIN_GUEST_LOG_H
#define GONDOLIN_GUEST_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 }; /* as in printk */

/* Writes one line to /dev/kmsg, or to standard error where that cannot be opened. errno is preserved. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
