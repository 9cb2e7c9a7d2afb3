/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's end of the measurements; static.
 *
 * As the first process of a machine: loads the initramfs's modules, says that it is there on the port gondolin.ctl, and
 * then serves that port (bench/wire.h): what a machine and its channel can do at best, without gondolin.
 *
 * As a program in a sandbox, it prints nanoseconds:
 *   spawn COUNT PROGRAM [ARGUMENT]...   of each fork, exec and wait of the program, one a line
 *   work ...                            of something done to files (bench/work.h) */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/wire.h"
#include "bench/work.h"
#include "guest/log.h"
#include "guest/modules.h"
#include "guest/mounts.h"
#include "guest/ports.h"
#include "guest/uevent.h"
#include "src/err.h"
#include "src/loop.h"
#include "src/proto.h"

enum { PORT_WAIT_MS = 10000 };

static uint8_t buffer[BENCH_CHUNK];

static void give_up(const char *what)
{
    log_line(LOG_LEVEL_ERROR, "%s", what);
    for (;;)
        pause();
}

/* ---- the port ---- */

static int open_port(int uevents)
{
    uint64_t deadline = loop_now_ms() + PORT_WAIT_MS;
    int fd;
    while ((fd = ports_open(PORT_CTL)) < 0) {
        if (!uevent_wait(uevents, deadline))
            give_up("the port did not appear");
    }
    fcntl(fd, F_SETFL, O_RDWR);
    /* The host is connected from the start, but the guest's kernel learns it a moment after the port. */
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    while (poll(&poll_fd, 1, 0) >= 0 && (poll_fd.revents & POLLHUP))
        usleep(500);
    return fd;
}

static void read_whole(int fd, void *out, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (uint8_t *)out + done, len - done);
        if (n <= 0)
            give_up("the port ended");
        done += (size_t)n;
    }
}

static void write_whole(int fd, const void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const uint8_t *)bytes + done, len - done);
        if (n <= 0)
            give_up("the port ended");
        done += (size_t)n;
    }
}

static size_t chunk(size_t left)
{
    return left < sizeof buffer ? left : sizeof buffer;
}

static void serve(int fd)
{
    for (;;) {
        struct bench_request request;
        read_whole(fd, &request, sizeof request);
        size_t left = request.size;
        for (size_t n; left > 0; left -= n) {
            n = chunk(left);
            if (request.what != BENCH_SOURCE)
                read_whole(fd, buffer, n);
            if (request.what != BENCH_SINK)
                write_whole(fd, buffer, n);
        }
        if (request.what == BENCH_SINK)
            write_whole(fd, &request, sizeof request);
    }
}

static void be_init(void)
{
    struct bench_hello hello = {.init_ns = clock_ns(CLOCK_BOOTTIME)};
    struct err err;
    if (mounts_early(&err) < 0)
        give_up(err.text);
    int uevents = uevent_open();
    modules_load("/modules");
    int fd = open_port(uevents);
    hello.port_ns = clock_ns(CLOCK_BOOTTIME);
    write_whole(fd, &hello, sizeof hello);
    serve(fd);
}

/* ---- the guest's own work ---- */

static int spawn(int count, char **argv)
{
    for (int i = 0; i < count; i++) {
        int status;
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        pid_t pid = fork();
        if (pid == 0) {
            execv(argv[0], argv);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
            return 1;
        printf("%llu\n", (unsigned long long)(clock_ns(CLOCK_MONOTONIC) - begin));
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (getpid() == 1)
        be_init();
    if (argc >= 4 && strcmp(argv[1], "spawn") == 0)
        return spawn(atoi(argv[2]), argv + 3);
    int code = argc >= 2 && strcmp(argv[1], "work") == 0 ? work(argc - 2, argv + 2) : 125;
    if (code == 125)
        fputs("usage: gondolin-bench-guest spawn COUNT PROGRAM [ARGUMENT]... | " WORK_USAGE "\n", stderr);
    return code;
}
