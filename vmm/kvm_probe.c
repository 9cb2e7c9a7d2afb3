/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>


static struct kvm_probe_report failed(enum kvm_probe_step step, int code)
{
    return (struct kvm_probe_report){.step = step, .code = code};
}

#ifdef __x86_64__

/* Guest-physical memory: three levels of page tables that map the first 2 MiB onto themselves, the segment descriptors,
 * then the program. */
enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, GDT = 0x4000, MEMORY_SIZE = 0x8000 };
#define PROGRAM 0x5000
enum { PAGE_PRESENT = 1, PAGE_WRITABLE = 2, PAGE_LARGE = 0x80 };
enum { CR0_PE = 1, RFLAGS_RESERVED = 2 };
enum { SELECTOR_CODE64 = 8, SELECTOR_CODE32 = 16, SELECTOR_DATA = 24 };
enum { ANSWER_PORT = 0x10, ANSWER = 42 };
enum { MAX_CPUID_ENTRIES = 256 };

static const uint64_t descriptors[] = {
    0,
    0x00af9b000000ffff, /* SELECTOR_CODE64 */
    0x00cf9b000000ffff, /* SELECTOR_CODE32 */
    0x00cf93000000ffff, /* SELECTOR_DATA */
};

/* What every boot does: computes in protected mode, switches to long mode, computes there, talks to a device and halts.
 * The loops are there for their length. Hosts exist whose KVM (pvm, on machines without VT-x and AMD-V) runs this
 * code instruction by instruction in an emulator: correctly, but several hundred times too slowly to boot anything.
 * It needs 0.8 s for this program; a real one less than 1 ms. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
__asm__(".pushsection .rodata\n"
        "kvm_probe_program:\n"
        "    .code32\n"
        "    movl $500000, %ecx\n"
        "1:  decl %ecx\n"
        "    jnz 1b\n"
        "    movl $0x1000, %eax\n" /* PML4 */
        "    movl %eax, %cr3\n"
        "    movl %cr4, %eax\n"
        "    orl $0x20, %eax\n" /* physical address extension */
        "    movl %eax, %cr4\n"
        "    movl $0xc0000080, %ecx\n" /* the EFER register: long mode enable */
        "    rdmsr\n"
        "    orl $0x100, %eax\n"
        "    wrmsr\n"
        "    movl %cr0, %eax\n"
        "    orl $0x80000000, %eax\n" /* paging */
        "    movl %eax, %cr0\n"
        "    ljmp $8, $" TEXT(PROGRAM) " + (2f - kvm_probe_program)\n"
        "2:  .code64\n"
        "    movl $500000, %ecx\n"
        "3:  decl %ecx\n"
        "    jnz 3b\n"
        "    movl $21, %eax\n"
        "    addq %rax, %rax\n"
        "    outb %al, $0x10\n" /* ANSWER to ANSWER_PORT */
        "    hlt\n"
        "4:\n"
        "    .balign 4\n"
        "kvm_probe_program_size:\n"
        "    .long 4b - kvm_probe_program\n"
        "    .popsection\n");

extern const uint8_t kvm_probe_program[];
extern const uint32_t kvm_probe_program_size;

struct machine {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
};

static struct kvm_probe_report open_kvm(struct machine *m)
{
    m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm < 0)
        return failed(KVM_PROBE_OPEN, errno);
    int version = ioctl(m->kvm, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return failed(KVM_PROBE_VERSION, version);
    m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0);
    return m->vm < 0 ? failed(KVM_PROBE_VM, errno) : failed(KVM_PROBE_WORKS, 0);
}

static void put_entry(uint8_t *memory, size_t at, uint64_t entry)
{
    memcpy(memory + at, &entry, sizeof entry);
}

static struct kvm_probe_report add_memory(struct machine *m)
{
    m->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->memory == MAP_FAILED)
        return failed(KVM_PROBE_MEMORY, errno);
    put_entry(m->memory, PML4, PDPT | PAGE_PRESENT | PAGE_WRITABLE);
    put_entry(m->memory, PDPT, PD | PAGE_PRESENT | PAGE_WRITABLE);
    put_entry(m->memory, PD, PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE);
    memcpy(m->memory + GDT, descriptors, sizeof descriptors);
    memcpy(m->memory + PROGRAM, kvm_probe_program, kvm_probe_program_size);

    struct kvm_userspace_memory_region slot = {.memory_size = MEMORY_SIZE, .userspace_addr = (uintptr_t)m->memory};
    if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return failed(KVM_PROBE_MEMORY, errno);
    return failed(KVM_PROBE_WORKS, 0);
}

static void enter_protected_mode(struct kvm_sregs *s)
{
    const struct kvm_segment code = {.limit = 0xffffffff, .selector = SELECTOR_CODE32, .present = 1, .type = 11,
                                     .s = 1, .db = 1, .g = 1};
    const struct kvm_segment data = {.limit = 0xffffffff, .selector = SELECTOR_DATA, .present = 1, .type = 3, .s = 1,
                                     .db = 1, .g = 1};
    s->cs = code;
    s->ds = s->es = s->fs = s->gs = s->ss = data;
    s->gdt.base = GDT;
    s->gdt.limit = sizeof descriptors - 1;
    s->cr0 |= CR0_PE;
}

/* Without a CPUID table the CPU has no long mode. */
static int copy_cpuid(const struct machine *m)
{
    _Alignas(struct kvm_cpuid2) uint8_t
        bytes[sizeof(struct kvm_cpuid2) + MAX_CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
    struct kvm_cpuid2 *table = (struct kvm_cpuid2 *)bytes;
    memset(bytes, 0, sizeof bytes);
    table->nent = MAX_CPUID_ENTRIES;
    return ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, table) < 0 ? -1 : ioctl(m->vcpu, KVM_SET_CPUID2, table);
}

static struct kvm_probe_report add_vcpu(struct machine *m)
{
    m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
    int size = m->vcpu < 0 ? -1 : ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof *m->run)
        return failed(KVM_PROBE_VCPU, size < 0 ? errno : EPROTO);
    m->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);

    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = PROGRAM, .rflags = RFLAGS_RESERVED};
    if (m->run == MAP_FAILED || copy_cpuid(m) < 0 || ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return failed(KVM_PROBE_VCPU, errno);
    enter_protected_mode(&sregs);
    if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(m->vcpu, KVM_SET_REGS, &regs) < 0)
        return failed(KVM_PROBE_VCPU, errno);
    return failed(KVM_PROBE_WORKS, 0);
}

static int run_vcpu(struct machine *m)
{
    int rc;
    do
        rc = ioctl(m->vcpu, KVM_RUN, 0);
    while (rc < 0 && errno == EINTR);
    return rc;
}

static struct kvm_probe_report run_program(struct machine *m)
{
    if (run_vcpu(m) < 0)
        return failed(KVM_PROBE_RUN, errno);
    const struct kvm_run *run = m->run;
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != ANSWER_PORT ||
        *((const uint8_t *)run + run->io.data_offset) != ANSWER)
        return failed(KVM_PROBE_RESULT, (int)run->exit_reason);
    if (run_vcpu(m) < 0)
        return failed(KVM_PROBE_RUN, errno);
    if (run->exit_reason != KVM_EXIT_HLT)
        return failed(KVM_PROBE_RESULT, (int)run->exit_reason);
    return failed(KVM_PROBE_WORKS, 0);
}

struct kvm_probe_report kvm_probe_run(void)
{
    static struct kvm_probe_report (*const steps[])(struct machine *) = {open_kvm, add_memory, add_vcpu, run_program};
    struct machine m = {.kvm = -1, .vm = -1, .vcpu = -1};
    struct kvm_probe_report report = {.step = KVM_PROBE_WORKS};
    for (size_t i = 0; i < sizeof steps / sizeof *steps && report.step == KVM_PROBE_WORKS; i++)
        report = steps[i](&m);
    return report;
}

#else

struct kvm_probe_report kvm_probe_run(void)
{
    return failed(KVM_PROBE_UNSUPPORTED, 0);
}

#endif
