/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "src/cleanup.h"

void log_line(enum log_level level, const char *fmt, ...)
{
    int saved = errno;
    char text[900]; /* the kernel cuts a record at about 1000 bytes */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);

    char line[1000];
    /* Opened anew each time: messages are rare, and /dev changes under the agent while it starts. */
    cleanup_close int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (kmsg >= 0)
        snprintf(line, sizeof line, "<%d>gondolin-guest: %s\n", level, text);
    else
        snprintf(line, sizeof line, "gondolin-guest: %s\n", text);
    /* One write for each record, which rules out dprintf: it also seeks, and the device refuses that. */
    if (write(kmsg >= 0 ? kmsg : STDERR_FILENO, line, strlen(line)) < 0) {
        /* There is nowhere left to complain. */
    }
    errno = saved;
}
