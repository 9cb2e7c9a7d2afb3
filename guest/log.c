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

    /* Opened anew each time: messages are rare, and /dev changes under the agent while it starts. */
    cleanup_close int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        dprintf(fd, "<%d>gondolin-guest: %s\n", level, text);
    else
        dprintf(STDERR_FILENO, "gondolin-guest: %s\n", text);
    errno = saved;
}
