/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GONDOLIN_BENCH_CLOCK_H
#define GONDOLIN_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif
