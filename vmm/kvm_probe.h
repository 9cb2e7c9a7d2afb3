/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the acceleration probe that may hang: it runs in a child process which can be killed. */
#ifndef GONDOLIN_VMM_KVM_PROBE_H
#define GONDOLIN_VMM_KVM_PROBE_H

enum kvm_probe_step {
    KVM_PROBE_OPEN,    /* open /dev/kvm */
    KVM_PROBE_VERSION, /* KVM_GET_API_VERSION; code: the version if it is not 12 */
    KVM_PROBE_VM,      /* KVM_CREATE_VM */
    KVM_PROBE_MEMORY,  /* the guest's memory */
    KVM_PROBE_VCPU,    /* the virtual CPU and its registers */
    KVM_PROBE_RUN,     /* running it; code: an errno */
    KVM_PROBE_RESULT,  /* it ended other than by the program's last instructions; code: the KVM_EXIT_* reason */
    KVM_PROBE_WORKS,
    KVM_PROBE_UNSUPPORTED, /* there is no program for this architecture */
};

struct kvm_probe_report {
    enum kvm_probe_step step; /* the one that failed, or KVM_PROBE_WORKS */
    int code;                 /* errno unless said otherwise above */
};

/* Runs a short program, through protected into long mode, in a throw-away KVM vCPU and says how far it came. May never
 * return. Makes system calls only (safe after fork). Interface: Documentation/virt/kvm/api.rst of the Linux kernel. */
struct kvm_probe_report kvm_probe_run(void);

#endif
