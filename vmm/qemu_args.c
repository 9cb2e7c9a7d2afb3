/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/qemu_args.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "src/cleanup.h"

/* PCI slots are pinned: a restored machine has to find its devices where they were saved, and a device that is added
 * some day must not move the others. */
enum pci_slot { SLOT_PORTS = 3, SLOT_ROOT = 4, SLOT_RNG = 5, SLOT_PVPANIC = 6, SLOT_NET = 7 /* reserved */,
                SLOT_WINDOW = 8 };

/* A longer run than TCG's translations of one kernel and its programs fit into is rare; unbounded they may take
 * 1 GiB. */
#define TCG_CACHE_MIB "256"

/* Cold boot under emulation is dominated by what the kernel does for itself. In the order of what they save:
 * cryptomgr.notests (0.4 s and more of cipher self-tests), the initcalls left out (kprobe events, the certificate list,
 * slab's sysfs entries, and cubic, which has the kernel's type information parsed: 0.3 s together), noreplace-smp
 * (0.15 s of patching lock prefixes out, which cost nothing under emulation), and probing for hardware that is not
 * there.
 * init_on_alloc=0: clearing what is about to be overwritten is dear under emulation, a quarter of writing a file.
 * norandmaps: translations are of use at the address that they were made for; with another one each time a program is
 * executed, starting the smallest takes 55 ms, and else 13.
 * lsm: what of security modules needs no policy loaded by somebody; the others take their part of every exec all the same.
 * tsc=reliable: its check against other clocks fails at random under emulation, and the guest then lives on a 4 ms
 * clock. panic=-1 with reboot=t turns a panic into a reset at once, which ends the machine. */
#define COMMON_KERNEL_OPTIONS "quiet console=hvc0 panic=-1 mitigations=off nokaslr audit=0 random.trust_cpu=on " \
    "cryptomgr.notests raid=noautodetect lsm=landlock,yama"
#define X86_KERNEL_OPTIONS COMMON_KERNEL_OPTIONS " reboot=t tsc=reliable no_timer_check 8250.nr_uarts=0 " \
    "i8042.noaux i8042.nokbd i8042.nopnp " \
    "initcall_blacklist=init_kprobe_trace,load_system_certificate_list,slab_sysfs_init,cubictcp_register"

static const char *const x86_machines[] = {"q35", "pc-q35", "pc", "pc-i440fx", NULL};
static const char *const arm_machines[] = {"virt", NULL};

static const struct qemu_arch arches[] = {
    {.name = "x86_64",
     .package = "qemu-system-x86",
     .machine = "q35,usb=off,sata=off,smbus=off,i8042=off,vmport=off,graphics=off,hpet=off",
     .machines = x86_machines,
     /* cx16=off: cmpxchg16b leaves garbage in the flags under QEMU 7.2's TCG, and newer kernels die of it.
      * erms=off, fsrm=off: who sees them copies and clears memory by "rep movsb", of which TCG does one byte at a time. */
     .tcg_cpu = "max,cx16=off,erms=off,fsrm=off",
     .kernel_options = X86_KERNEL_OPTIONS,
     .tcg_kernel_options = " noreplace-smp init_on_alloc=0 norandmaps",
     .pvpanic = true},
    {.name = "aarch64",
     .package = "qemu-system-arm",
     .machine = "virt",
     .machines = arm_machines,
     .tcg_cpu = "max",
     .kernel_options = COMMON_KERNEL_OPTIONS,
     .tcg_kernel_options = " init_on_alloc=0 norandmaps",
     .ram_address = 0x40000000,
     .pvpanic = false},
};

static const char *const arch_names[] = {"x86_64", "aarch64", NULL};

const char *const *qemu_arch_names(void)
{
    return arch_names;
}

const struct qemu_arch *qemu_arch_find(const char *name)
{
    struct utsname host;
    if (!name)
        name = uname(&host) == 0 ? host.machine : "";
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
        if (!strcmp(arches[i].name, name))
            return &arches[i];
    }
    return NULL;
}

const char *qemu_machine(const struct qemu_plan *plan)
{
    return plan->config->machine ? plan->config->machine : plan->arch->machine;
}

const char *qemu_cpu(const struct qemu_plan *plan)
{
    if (plan->config->cpu)
        return plan->config->cpu;
    return plan->kvm ? "host" : plan->arch->tcg_cpu;
}

uint64_t qemu_memory(const struct vmm_config *config)
{
    return config->memory ? config->memory : (uint64_t)QEMU_DEFAULT_MEMORY_MIB << 20;
}

char *qemu_kernel_options(const struct qemu_plan *plan)
{
    const struct vmm_config *c = plan->config;
    char tsc[32] = "";
    if (!plan->kvm && plan->tsc_khz)
        snprintf(tsc, sizeof tsc, " tsc_early_khz=%u", plan->tsc_khz);
    char *text;
    const char *root = c->root_mode == VMM_ROOT_READONLY ? " gondolin.ro" : ""; /* guest/cmdline.h */
    int n = asprintf(&text, "%s%s%s%s%s%s%s%s", plan->arch->kernel_options,
                     plan->kvm ? "" : plan->arch->tcg_kernel_options, tsc, root, c->kernel_append ? " " : "",
                     c->kernel_append ? c->kernel_append : "", c->append ? " " : "", c->append ? c->append : "");
    return n < 0 ? NULL : text;
}

static void add_basics(const struct qemu_plan *plan, struct argv *argv)
{
    const struct vmm_config *c = plan->config;
    const char *const fixed[] = {"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-sandbox",
                                 "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"};
    unsigned cpus = c->cpus ? c->cpus : 1;
    argv_add(argv, plan->binary);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv_add(argv, fixed[i]);
    argv_add(argv, "-machine");
    argv_addf(argv, "%s%s", qemu_machine(plan), c->load ? ",memory-backend=mem,suppress-vmdesc=on" : "");
    argv_add(argv, "-accel");
    argv_addf(argv, "%s", plan->kvm ? "kvm" : cpus == 1 ? "tcg,thread=single,tb-size=" TCG_CACHE_MIB
                                                        : "tcg,thread=multi,tb-size=" TCG_CACHE_MIB);
    argv_add(argv, "-cpu");
    argv_add(argv, qemu_cpu(plan));
    argv_add(argv, "-smp");
    argv_addf(argv, "%u", cpus);
    argv_add(argv, "-m");
    argv_addf(argv, "%lluM", (unsigned long long)(qemu_memory(c) >> 20));
}

static void add_chardev(struct argv *argv, const char *id, int fd)
{
    argv_add(argv, "-chardev");
    argv_addf(argv, "socket,id=%s,fd=%d", id, fd);
}

static void add_ports(const struct vmm_config *c, struct argv *argv)
{
    add_chardev(argv, "qmp", QEMU_FD_QMP);
    argv_add(argv, "-mon");
    argv_add(argv, "chardev=qmp,mode=control");

    argv_add(argv, "-device");
    argv_addf(argv, "virtio-serial-pci-non-transitional,id=ports,addr=%#x,max_ports=%d", SLOT_PORTS, VMM_MAX_PORTS + 1);
    add_chardev(argv, "console", QEMU_FD_CONSOLE);
    argv_add(argv, "-device");
    argv_add(argv, "virtconsole,bus=ports.0,nr=0,chardev=console");
    for (unsigned i = 0; i < c->port_count; i++) {
        char id[16];
        snprintf(id, sizeof id, "port%u", i + 1);
        add_chardev(argv, id, QEMU_FD_PORTS + (int)i);
        argv_add(argv, "-device");
        argv_addf(argv, "virtserialport,bus=ports.0,nr=%u,chardev=%s,name=%s", i + 1, id, c->ports[i].name);
    }
}

static void add_json(struct argv *argv, const char *option, struct json_object *value)
{
    argv_add(argv, option);
    argv_add(argv, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(value);
}

/* A machine that boots keeps its memory in anonymous pages, which are cheaper than a file's; one that is loaded maps the
 * file privately, so that it shares with every other what neither has written. */
static void add_load(const struct vmm_config *c, struct argv *argv)
{
    struct json_object *memory = json_object_new_object();
    json_object_object_add(memory, "qom-type", json_object_new_string("memory-backend-file"));
    json_object_object_add(memory, "id", json_object_new_string("mem"));
    json_object_object_add(memory, "size", json_object_new_int64((int64_t)qemu_memory(c)));
    json_object_object_add(memory, "mem-path", json_object_new_string(c->load->ram));
    json_object_object_add(memory, "share", json_object_new_boolean(false));
    add_json(argv, "-object", memory);
    /* The state is without the section that names the machine; whoever loads has compared the shapes. */
    argv_add(argv, "-global");
    argv_add(argv, "migration.send-configuration=off");
    argv_add(argv, "-incoming");
    argv_addf(argv, "fd:%d", QEMU_FD_STATE);
    if (c->load->paused)
        argv_add(argv, "-S");
}

static struct json_object *file_node(const char *filename, bool throw_away)
{
    struct json_object *file = json_object_new_object();
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(filename));
    json_object_object_add(file, "discard", json_object_new_string("unmap"));
    /* Nobody reads a throw-away disk after a crash of the host, so the guest's flushes need not reach the platter. */
    struct json_object *cache = json_object_new_object();
    json_object_object_add(cache, "direct", json_object_new_boolean(false));
    json_object_object_add(cache, "no-flush", json_object_new_boolean(throw_away));
    json_object_object_add(file, "cache", cache);
    return file;
}

/* Given in full: the name in the overlay's header is for later, when both files are in a checkpoint. */
static struct json_object *base_node(const char *filename)
{
    struct json_object *file = json_object_new_object();
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(filename));
    struct json_object *node = json_object_new_object();
    json_object_object_add(node, "driver", json_object_new_string("qcow2"));
    json_object_object_add(node, "read-only", json_object_new_boolean(true));
    json_object_object_add(node, "file", file);
    return node;
}

struct json_object *qemu_disk_node_options(const char *filename, const char *name, bool throw_away)
{
    struct json_object *node = json_object_new_object();
    json_object_object_add(node, "driver", json_object_new_string("qcow2"));
    json_object_object_add(node, "node-name", json_object_new_string(name));
    json_object_object_add(node, "discard", json_object_new_string("unmap"));
    json_object_object_add(node, "file", file_node(filename, throw_away));
    return node;
}

static void add_root(const struct vmm_config *c, struct argv *argv)
{
    bool read_only = c->root_mode == VMM_ROOT_READONLY;
    bool throw_away = c->root_mode == VMM_ROOT_COW || c->root_mode == VMM_ROOT_MEMORY;
    const char *filename = c->root_mode == VMM_ROOT_COW      ? c->overlay
                           : c->root_mode == VMM_ROOT_MEMORY ? "/dev/fdset/1"
                                                             : c->root_disk;
    if (c->root_mode == VMM_ROOT_MEMORY) {
        argv_add(argv, "-add-fd");
        argv_addf(argv, "fd=%d,set=1", QEMU_FD_OVERLAY);
    }
    struct json_object *node = qemu_disk_node_options(filename, "root", throw_away);
    json_object_object_add(node, "read-only", json_object_new_boolean(read_only));
    if (throw_away)
        json_object_object_add(node, "backing", base_node(c->root_disk));
    add_json(argv, "-blockdev", node);
    /* Errors go to the guest: the default stops the whole machine when the host's disk is full, the agent with it. */
    argv_add(argv, "-device");
    argv_addf(argv, "virtio-blk-pci-non-transitional,id=rootdev,addr=%#x,drive=root,werror=report,rerror=report",
              SLOT_ROOT);
}

static void add_small_devices(const struct qemu_plan *plan, struct argv *argv)
{
    argv_add(argv, "-object");
    argv_add(argv, "rng-builtin,id=entropy");
    argv_add(argv, "-device");
    argv_addf(argv, "virtio-rng-pci-non-transitional,id=rng,addr=%#x,rng=entropy", SLOT_RNG);
    if (plan->arch->pvpanic) {
        argv_add(argv, "-device");
        argv_addf(argv, "pvpanic-pci,id=panic,addr=%#x", SLOT_PVPANIC);
    }
}

/* master=on: it does not stand in the way of saving. */
static void add_window(const struct vmm_config *c, struct argv *argv)
{
    argv_add(argv, "-object");
    argv_addf(argv, "memory-backend-file,id=window,size=%llu,share=on,mem-path=/proc/self/fd/%d",
              (unsigned long long)c->window_size, QEMU_FD_WINDOW);
    argv_add(argv, "-device");
    argv_addf(argv, "ivshmem-plain,memdev=window,master=on,addr=%#x", SLOT_WINDOW);
}

static int add_kernel(const struct qemu_plan *plan, struct argv *argv)
{
    const struct vmm_config *c = plan->config;
    cleanup_free char *options = qemu_kernel_options(plan);
    argv_add(argv, "-kernel");
    argv_add(argv, c->kernel);
    if (c->initrd) {
        argv_add(argv, "-initrd");
        argv_add(argv, c->initrd);
    }
    argv_add(argv, "-append");
    argv_add(argv, options ? options : "");
    return options ? 0 : -ENOMEM;
}

int qemu_args(const struct qemu_plan *plan, struct argv *argv, struct err *err)
{
    const struct vmm_config *c = plan->config;
    add_basics(plan, argv);
    add_ports(c, argv);
    if (c->root_disk)
        add_root(c, argv);
    add_small_devices(plan, argv);
    if (c->window_size)
        add_window(c, argv);

    int rc = 0;
    if (c->load)
        add_load(c, argv);
    else
        rc = add_kernel(plan, argv);
    return rc == 0 && !argv->failed ? 0 : err_set(err, ENOMEM, "start qemu: out of memory");
}
