/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin-bench-port FD echo|sink|source COUNT SIZE: asks COUNT times for SIZE bytes of the machine whose port is the
 * socket FD (bench/wire.h), and prints the nanoseconds that each took, one a line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/wire.h"

static uint8_t buffer[BENCH_CHUNK];

static void check(ssize_t n)
{
    if (n > 0)
        return;
    perror("gondolin-bench-port: the machine's port");
    exit(1);
}

static void receive(int fd, size_t len)
{
    for (ssize_t n; len > 0; len -= (size_t)n) {
        n = read(fd, buffer, len < sizeof buffer ? len : sizeof buffer);
        check(n);
    }
}

static void transmit(int fd, size_t len)
{
    for (ssize_t n; len > 0; len -= (size_t)n) {
        n = write(fd, buffer, len < sizeof buffer ? len : sizeof buffer);
        check(n);
    }
}

/* Request and data in one write, as a message of a protocol would be. */
static void ask(int fd, const struct bench_request *request)
{
    size_t data = request->what == BENCH_SOURCE ? 0 : request->size;
    size_t first = data < sizeof buffer - sizeof *request ? data : sizeof buffer - sizeof *request;
    memcpy(buffer, request, sizeof *request);
    transmit(fd, sizeof *request + first);
    transmit(fd, data - first);
    receive(fd, request->what == BENCH_SINK ? sizeof *request : request->size);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {[BENCH_ECHO] = "echo", [BENCH_SINK] = "sink", [BENCH_SOURCE] = "source"};
    struct bench_request request = {.what = BENCH_ECHO};
    if (argc != 5) {
        fputs("usage: gondolin-bench-port FD echo|sink|source COUNT SIZE\n", stderr);
        return 125;
    }
    while (request.what < BENCH_SOURCE && strcmp(names[request.what], argv[2]) != 0)
        request.what++;
    request.size = (uint32_t)strtoul(argv[4], NULL, 10);
    for (long count = atol(argv[3]); count > 0; count--) {
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        ask(atoi(argv[1]), &request);
        printf("%llu\n", (unsigned long long)(clock_ns(CLOCK_MONOTONIC) - begin));
    }
    return 0;
}
