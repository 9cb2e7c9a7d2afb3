/* SPDX-License-Identifier: Apache-2.0 */
#include "src/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_size(unsigned *rows, unsigned *columns)
{
    static const int fds[] = {STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        struct winsize size;
        if (ioctl(fds[i], TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
            *rows = size.ws_row;
            *columns = size.ws_col;
            return true;
        }
    }
    return false;
}

void terminal_make_raw(struct terminal *terminal)
{
    if (terminal->raw || tcgetattr(STDIN_FILENO, &terminal->saved) < 0)
        return;
    struct termios raw = terminal->saved;
    cfmakeraw(&raw);
    terminal->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void terminal_restore(struct terminal *terminal)
{
    if (terminal->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
    terminal->raw = false;
}
