/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/loop.h"

enum { KERNEL_GROUP = 1 };

int uevent_open(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int saved = errno;
        close(fd);
        return -saved;
    }
    return fd;
}

void uevent_drain(int fd)
{
    char message[64]; /* cut off: the text does not matter */
    /* ENOBUFS says that some were lost, which is an announcement as good as any. */
    while (recv(fd, message, sizeof message, 0) >= 0 || errno == ENOBUFS || errno == EINTR)
        ;
}

bool uevent_wait(int fd, uint64_t deadline_ms)
{
    uint64_t now = loop_now_ms();
    if (now >= deadline_ms)
        return false;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int n = poll(&wait, 1, (int)(deadline_ms - now));
    uevent_drain(fd);
    return n != 0;
}
