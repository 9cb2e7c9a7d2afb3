/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

enum { CPUID_TSC = 0x15, MEASURE_NS = 10 * 1000 * 1000, TRIES = 5 };

/* CPUID leaf 0x15: the TSC's ratio to the crystal and the crystal's frequency in Hz (Intel SDM volume 2A, CPUID). Leaf
 * 0x16 is not used: it gives the CPU's nominal frequency, rounded, and that of the TSC may be 1 % off. */
static uint32_t khz_from_cpuid(void)
{
    unsigned denominator = 0, numerator = 0, crystal_hz = 0, unused = 0;
    if (!__get_cpuid(CPUID_TSC, &denominator, &numerator, &crystal_hz, &unused))
        return 0;
    if (!denominator || !numerator || !crystal_hz)
        return 0;
    return (uint32_t)((uint64_t)crystal_hz * numerator / denominator / 1000);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Both clocks at one instant: the reading that was least disturbed of several. */
static void sample(uint64_t *tsc, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t time = now_ns();
        uint64_t after = __rdtsc();
        if (after - before < best) {
            best = after - before;
            *tsc = before + (after - before) / 2;
            *ns = time;
        }
    }
}

static uint32_t khz_measured(void)
{
    uint64_t tsc_begin = 0, tsc_end = 0, ns_begin = 0, ns_end = 0;
    sample(&tsc_begin, &ns_begin);
    const struct timespec wait = {.tv_nsec = MEASURE_NS};
    nanosleep(&wait, NULL);
    sample(&tsc_end, &ns_end);
    if (tsc_end <= tsc_begin || ns_end - ns_begin < MEASURE_NS / 2)
        return 0;
    return (uint32_t)((double)(tsc_end - tsc_begin) * 1e6 / (double)(ns_end - ns_begin));
}

uint32_t accel_tsc_khz(void)
{
    uint32_t khz = khz_from_cpuid();
    return khz ? khz : khz_measured();
}

#else

uint32_t accel_tsc_khz(void)
{
    return 0;
}

#endif
