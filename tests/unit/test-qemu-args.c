/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/qemu_args.h"

static struct vmm_config config;
static struct qemu_plan plan;
static struct argv argv;

static void set_up(void)
{
    config = (struct vmm_config){.kernel = "/i/vmlinux",
                                 .initrd = "/i/initramfs.cpio",
                                 .root_disk = "/i/rootfs.qcow2",
                                 .overlay = "/run/a,b=c\"d.qcow2",
                                 .ports = {{.name = "gondolin.ctl"}, {.name = "gondolin.root"}},
                                 .port_count = 2};
    plan = (struct qemu_plan){.config = &config, .arch = qemu_arch_find("x86_64"), .binary = "qemu",
                              .tsc_khz = 2500000};
}

static void tear_down(void)
{
    argv_free(&argv);
}

TestSuite(qemu_args, .init = set_up, .fini = tear_down);

static void build(void)
{
    argv_free(&argv);
    cr_assert_eq(qemu_args(&plan, &argv, NULL), 0);
}

/* The n-th value of an option, or NULL. */
static const char *value(const char *option, int n)
{
    for (size_t i = 1; i + 1 < argv.count; i++) {
        if (!strcmp(argv.words[i], option) && n-- == 0)
            return argv.words[i + 1];
    }
    return NULL;
}

static int occurrences(const char *text)
{
    int count = 0;
    for (size_t i = 0; i < argv.count; i++)
        count += strstr(argv.words[i], text) != NULL;
    return count;
}

static struct json_object *disk(void)
{
    struct json_object *node = json_tokener_parse(value("-blockdev", 0));
    cr_assert_not_null(node);
    return node;
}

static const char *at(struct json_object *node, const char *name, const char *inner)
{
    struct json_object *found = json_object_object_get(node, name);
    if (inner)
        found = json_object_object_get(found, inner);
    return json_object_get_string(found);
}

Test(qemu_args, nothing_but_what_is_named_exists)
{
    build();
    cr_assert_str_eq(argv.words[0], "qemu");
    cr_assert_eq(occurrences("-nodefaults"), 1);
    cr_assert_eq(occurrences("-no-user-config"), 1);
    cr_assert_eq(occurrences("-no-reboot"), 1);
    cr_assert_eq(occurrences("net"), 0);
    cr_assert_eq(occurrences("path="), 0, "no socket has a name");
    cr_assert_str_eq(value("-display", 0), "none");
    cr_assert_str_eq(value("-mon", 0), "chardev=qmp,mode=control");
    cr_assert_null(value("-mon", 1));
    cr_assert_str_eq(value("-sandbox", 0),
                     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

Test(qemu_args, ports_have_pinned_numbers_names_and_descriptors)
{
    build();
    cr_assert_str_eq(value("-chardev", 0), "socket,id=qmp,fd=3");
    cr_assert_str_eq(value("-chardev", 1), "socket,id=console,fd=4");
    cr_assert_str_eq(value("-chardev", 2), "socket,id=port1,fd=8");
    cr_assert_str_eq(value("-chardev", 3), "socket,id=port2,fd=9");
    cr_assert_null(value("-chardev", 4));
    cr_assert_str_eq(value("-device", 0), "virtio-serial-pci-non-transitional,id=ports,addr=0x3,max_ports=9");
    cr_assert_str_eq(value("-device", 1), "virtconsole,bus=ports.0,nr=0,chardev=console");
    cr_assert_str_eq(value("-device", 3), "virtserialport,bus=ports.0,nr=2,chardev=port2,name=gondolin.root");
}

Test(qemu_args, memory_is_shared_when_asked_for)
{
    build();
    cr_assert_eq(occurrences("ivshmem"), 0);
    config.window_size = 8192;
    config.window_fd = 99;
    build();
    cr_assert_str_eq(value("-object", 1), "memory-backend-file,id=window,size=8192,share=on,mem-path=/proc/self/fd/7");
    cr_assert_eq(occurrences("ivshmem-plain,memdev=window,master=on"), 1);
}

Test(qemu_args, every_pci_device_is_pinned)
{
    config.window_size = 8192;
    build();
    for (int i = 0; value("-device", i); i++) {
        const char *device = value("-device", i);
        cr_assert(strstr(device, "addr=") || strstr(device, "bus=ports.0"), "%s", device);
    }
}

Test(qemu_args, emulation_by_default_and_kvm_by_the_plan)
{
    build();
    cr_assert(strstr(value("-accel", 0), "tcg,thread=single"));
    cr_assert_str_eq(value("-cpu", 0), "max,cx16=off,erms=off,fsrm=off");
    cr_assert(strstr(value("-append", 0), " tsc_early_khz=2500000"));
    config.cpus = 2;
    build();
    cr_assert(strstr(value("-accel", 0), "tcg,thread=multi"));
    plan.kvm = true;
    build();
    cr_assert_str_eq(value("-accel", 0), "kvm");
    cr_assert_str_eq(value("-cpu", 0), "host");
    cr_assert_null(strstr(value("-append", 0), "tsc_early_khz"));
    cr_assert_null(strstr(value("-append", 0), "noreplace-smp"));
}

Test(qemu_args, options_replace_defaults)
{
    build();
    cr_assert_str_eq(value("-m", 0), "512M");
    cr_assert_str_eq(value("-smp", 0), "1");
    config.memory = (uint64_t)3 << 30;
    config.cpus = 4;
    config.machine = "pc-q35-7.1";
    config.cpu = "Haswell";
    build();
    cr_assert_str_eq(value("-m", 0), "3072M");
    cr_assert_str_eq(value("-smp", 0), "4");
    cr_assert_str_eq(value("-machine", 0), "pc-q35-7.1");
    cr_assert_str_eq(value("-cpu", 0), "Haswell");
}

Test(qemu_args, kernel_options_come_built_in_image_user)
{
    config.kernel_append = "from=image";
    config.append = "from=user";
    plan.tsc_khz = 0;
    build();
    const char *line = value("-append", 0);
    const char *image = strstr(line, " from=image from=user");
    cr_assert(image && image[strlen(" from=image from=user")] == '\0');
    cr_assert(strstr(line, "quiet console=hvc0 panic=-1 "));
    cr_assert_null(strstr(line, "tsc_early_khz"));
    cr_assert_str_eq(value("-kernel", 0), "/i/vmlinux");
    cr_assert_str_eq(value("-initrd", 0), "/i/initramfs.cpio");
}

Test(qemu_args, the_overlay_is_throw_away_and_its_name_cannot_inject_options)
{
    build();
    struct json_object *node = disk();
    cr_assert_str_eq(at(node, "file", "filename"), config.overlay);
    cr_assert_str_eq(at(node, "read-only", NULL), "false");
    cr_assert(json_object_get_boolean(
        json_object_object_get(json_object_object_get(json_object_object_get(node, "file"), "cache"), "no-flush")));
    json_object_put(node);
    cr_assert_eq(occurrences("werror=report,rerror=report"), 1);
}

Test(qemu_args, each_root_mode_opens_the_right_file)
{
    config.root_mode = VMM_ROOT_MEMORY;
    build();
    struct json_object *node = disk();
    cr_assert_str_eq(at(node, "file", "filename"), "/dev/fdset/1");
    cr_assert_str_eq(value("-add-fd", 0), "fd=5,set=1");
    json_object_put(node);

    config.root_mode = VMM_ROOT_READONLY;
    build();
    node = disk();
    cr_assert_str_eq(at(node, "file", "filename"), "/i/rootfs.qcow2");
    cr_assert_str_eq(at(node, "read-only", NULL), "true");
    json_object_put(node);

    config.root_mode = VMM_ROOT_PERSISTENT;
    build();
    node = disk();
    cr_assert_str_eq(at(node, "file", "filename"), "/i/rootfs.qcow2");
    cr_assert_str_eq(at(node, "read-only", NULL), "false");
    cr_assert_not(json_object_get_boolean(json_object_object_get(
                      json_object_object_get(json_object_object_get(node, "file"), "cache"), "no-flush")),
                  "a persistent disk's flushes are honoured");
    json_object_put(node);
}

Test(qemu_args, architectures)
{
    cr_assert_null(qemu_arch_find("riscv64"));
    cr_assert_not_null(qemu_arch_find(NULL));
    for (const char *const *name = qemu_arch_names(); *name; name++)
        cr_assert_not_null(qemu_arch_find(*name), "%s", *name);
    plan.arch = qemu_arch_find("aarch64");
    build();
    cr_assert_str_eq(value("-machine", 0), "virt");
    cr_assert_eq(occurrences("pvpanic"), 0);
    cr_assert_eq(occurrences("8250"), 0);
}
