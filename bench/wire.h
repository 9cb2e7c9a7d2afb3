/* SPDX-License-Identifier: Apache-2.0 */
/* What bench/port.c asks of bench/guest.c over a raw port. */
#ifndef GONDOLIN_BENCH_WIRE_H
#define GONDOLIN_BENCH_WIRE_H

#include <stdint.h>

enum { BENCH_CHUNK = 128 * 1024 }; /* as large as a message of the file protocol gets */

/* The guest's first bytes: its clock (CLOCK_BOOTTIME) when init began and when the port was open. */
struct bench_hello {
    uint64_t init_ns, port_ns;
};

enum bench_what {
    BENCH_ECHO = 1,   /* `size` bytes follow; they come back */
    BENCH_SINK = 2,   /* `size` bytes follow; then the request comes back */
    BENCH_SOURCE = 3, /* `size` bytes come */
};

struct bench_request {
    uint32_t what;
    uint32_t size;
};

#endif
