/* SPDX-License-Identifier: Apache-2.0 */
#include "images/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_begin(struct interrupt *interrupt)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, &interrupt->before) < 0)
        return -errno;
    interrupt->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (interrupt->fd >= 0)
        return 0;
    int code = errno;
    sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
    return -code;
}

void interrupt_end(struct interrupt *interrupt)
{
    close(interrupt->fd);
    sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
}

int interrupt_wait(const struct interrupt *interrupt, int fd, short events)
{
    struct pollfd fds[] = {{.fd = interrupt->fd, .events = POLLIN}, {.fd = fd, .events = events}};
    int n;
    while ((n = poll(fds, 2, fd < 0 ? 0 : -1)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return -errno;
    return fds[0].revents ? -EINTR : 0;
}

int interrupt_look(const struct interrupt *interrupt)
{
    return interrupt ? interrupt_wait(interrupt, -1, 0) : 0;
}
