/* SPDX-License-Identifier: Apache-2.0 */
/* Which acceleration really works here. A /dev/kvm that opens, creates machines and then hangs every guest exists on
 * paravirtual hosts, so the probe runs guest code under a deadline. */
#ifndef GONDOLIN_VMM_ACCEL_H
#define GONDOLIN_VMM_ACCEL_H

#include <stdbool.h>
#include <stdint.h>

struct accel_verdict {
    bool kvm;         /* KVM ran guest code to completion in time */
    char reason[192]; /* why (not), for people: "/dev/kvm: guest code did not finish within 200 ms" */
    char fix[192];    /* what the user can do about it; may be empty */
    unsigned took_ms;
};

/* Runs a short program, through protected into long mode, in a throw-away KVM vCPU, in a child process that is killed
 * after 100 ms of CPU time or 200 ms. GONDOLIN_ACCEL=kvm or tcg in the environment is taken as the verdict, untested.
 */
void accel_probe(struct accel_verdict *verdict);

/* The same for a start that is to be quick: a probe that ran into its limit is not repeated until the host is booted anew
 * or /dev/kvm is another (vmm/accel_memory.h). accel_probe tells the truth of the moment, and corrects that one's. */
void accel_decide(struct accel_verdict *verdict);

/* The host's TSC frequency in kHz (CPUID leaf 0x15 where present, else measured against CLOCK_MONOTONIC_RAW for
 * about 10 ms), or 0 where there is no TSC. */
uint32_t accel_tsc_khz(void);

/* Sets LIBGUESTFS_BACKEND=direct and, unless KVM works, LIBGUESTFS_BACKEND_SETTINGS=force_tcg in this process's
 * environment, where the user has not set them. */
void accel_apply_to_libguestfs(const struct accel_verdict *verdict);

#endif
