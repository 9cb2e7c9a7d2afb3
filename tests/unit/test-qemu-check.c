/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/vmm.h"

static char directory[32], binary[64], disk[64];
static struct vmm_config config;

static void make_file(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

static void set_up(void)
{
    strcpy(directory, "/tmp/test-qcheck-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(binary, sizeof binary, "%s/qemu-system-x86_64", directory);
    snprintf(disk, sizeof disk, "%s/disk.qcow2", directory);
    make_file(binary, "#!/bin/sh\n[ $2 = help ] && echo \"q35 pc-q35-7.2 pc Haswell max\"\n", 0700);
    make_file(disk, "QFI\xfb and the rest", 0600);
    config = (struct vmm_config){.binary = binary, .arch = "x86_64", .kernel = disk, .root_disk = disk,
                                 .overlay = "overlay"};
    setenv("GONDOLIN_ACCEL", "tcg", 1);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(qemu_check, .init = set_up, .fini = tear_down, .timeout = 20);

static void accepted(void)
{
    struct err err = {0};
    cr_assert_eq(vmm_qemu.check(&config, &err), 0, "%s", err.text);
}

static void refused(int code, const char *part)
{
    struct err err = {0};
    int rc = vmm_qemu.check(&config, &err);
    cr_assert_eq(rc, -code, "%d: %s", rc, err.text);
    cr_assert(strstr(err.text, part), "%s", err.text);
}

Test(qemu_check, defaults_pass)
{
    accepted();
    config.root_disk = NULL;
    accepted();
}

Test(qemu_check, machines)
{
    const char *const fine[] = {"q35", "pc-q35-7.2", "q35,hpet=on", "pc"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        config.machine = fine[i];
        accepted();
    }
    config.machine = "microvm";
    refused(EOPNOTSUPP, "--machine microvm: a sandbox runs on q35");
    config.machine = "q355";
    refused(EOPNOTSUPP, "--machine q355");
    config.machine = "pc-q35-99";
    refused(EINVAL, "--machine pc-q35-99: no such machine");
}

static void foreign(const char *machine, const char *cpu, const char *refused_for)
{
    struct err err = {0};
    int rc = vmm_qemu.check_foreign(machine, cpu, &err);
    cr_expect_eq(rc, refused_for ? -EINVAL : 0, "%s %s: %d %s", machine, cpu, rc, err.text);
    cr_expect(!refused_for || strstr(err.text, refused_for), "%s %s: %s", machine, cpu, err.text);
}

Test(qemu_check, what_a_checkpoint_may_choose)
{
    foreign(NULL, NULL, NULL);
    foreign("q35", "max", NULL);
    foreign("q35,usb=off,sata=off,smbus=off,i8042=off,vmport=off,graphics=off,hpet=off", "max,cx16=off,erms=off", NULL);
    foreign("pc-q35-7.2,smm=auto,hpet=on", "Haswell-v4,+avx,-fsgsbase", NULL);
    foreign("q35,kernel=/etc/shadow", NULL, "\"kernel=/etc/shadow\"");
    foreign("q35,usb=off,initrd=/etc/shadow,hpet=off", NULL, "\"initrd=/etc/shadow\"");
    foreign("q35,firmware=x", NULL, "firmware");
    foreign("q35,usb=off,,kernel=x", NULL, "may not choose \"\"");
    foreign("q35,usb=/etc/shadow", NULL, "usb=");
    foreign("q35,usb.x=on", NULL, "usb.x");
    foreign("q35,usb", NULL, "may not choose");
    foreign("q35,", NULL, "may not choose");
    foreign("kernel=/etc/shadow,type=q35", NULL, "type of machine");
    foreign("type=q35", NULL, "type of machine");
    foreign(NULL, "max,x=/etc/shadow", "cpu");
    foreign(NULL, "max -kernel", "cpu");
    foreign(NULL, "-max", "cpu");
}

Test(qemu_check, cpus_and_acceleration)
{
    config.cpu = "Haswell,-avx";
    accepted();
    config.cpu = "Hasswell";
    refused(EINVAL, "--cpu Hasswell: no such CPU");
    config.cpu = "host";
    refused(EOPNOTSUPP, "--cpu host needs --accel kvm");
    config.cpu = NULL;
    config.accel = "kvm";
    refused(EOPNOTSUPP, "--accel kvm: GONDOLIN_ACCEL=tcg is set");
    config.accel = "kmv";
    refused(EINVAL, "did you mean \"kvm\"?");
    config.accel = "hyperv";
    refused(EINVAL, "known: kvm, tcg");
    setenv("GONDOLIN_ACCEL", "kvm", 1);
    config.accel = "kvm";
    config.cpu = "max";
    accepted();
}

Test(qemu_check, sizes)
{
    config.cpus = 65;
    refused(EINVAL, "--cpus 65: at most 64");
    config.cpus = 0;
    config.memory = 1000;
    refused(EINVAL, "--memory 1000 bytes: at least 128M");
    config.memory = ((uint64_t)256 << 20) + 4096;
    refused(EINVAL, "must be a multiple of 1M");
    config.memory = (uint64_t)1 << 50;
    refused(EINVAL, "this host has");
}

Test(qemu_check, kernel_command_lines)
{
    static char much[4096];
    config.append = "a=b\nc";
    refused(EINVAL, "control characters");
    memset(much, 'x', sizeof much - 1);
    config.append = much;
    refused(EINVAL, "at most 2047 are possible");
}

Test(qemu_check, files)
{
    config.kernel = "/no/such/vmlinux";
    refused(ENOENT, "kernel /no/such/vmlinux: No such file");
    config.kernel = disk;
    make_file(disk, "raw data", 0600);
    refused(EINVAL, "is not a qcow2 file");
    make_file(disk, "", 0600);
    refused(EINVAL, "is not a qcow2 file");
    config.root_disk = "/no/such/disk";
    refused(ENOENT, "/no/such/disk");
    config.root_mode = VMM_ROOT_PERSISTENT;
    refused(ENOENT, "/no/such/disk");
}

Test(qemu_check, what_is_loaded_is_looked_at_when_it_starts)
{
    struct err err = {0};
    struct vmm *vm = NULL;
    struct loop *loop = loop_new();
    const struct vmm_events events = {.exited = NULL};
    const struct vmm_load load = {.ram = disk, .state = disk};
    config.load = &load;
    config.console_fd = -1;
    refused(EINVAL, "the machine");
    cr_assert_eq(vmm_qemu.start(loop, &config, &events, NULL, &vm, &err), -EINVAL, "%s", err.text);
    cr_expect(strstr(err.text, "bytes, the machine"), "%s", err.text);
    cr_expect_null(vm);
    loop_free(loop);
}

Test(qemu_check, the_binary_must_fit_the_image)
{
    char other[64];
    config.arch = "aarch64";
    refused(ENOEXEC, "emulates x86_64, but the image is for aarch64: use qemu-system-aarch64");
    config.arch = "riscv64";
    refused(ENOEXEC, "riscv64");
    config.arch = "x86_64";
    snprintf(other, sizeof other, "%s/qemu-system-x86_64-mine", directory);
    cr_assert_eq(rename(binary, other), 0);
    config.binary = other;
    accepted();
    snprintf(binary, sizeof binary, "%s/my-qemu", directory);
    cr_assert_eq(rename(other, binary), 0);
    config.binary = binary;
    refused(ENOEXEC, "does not answer as a QEMU");
    make_file(binary, "#!/bin/sh\necho '{\"return\": {\"arch\": \"x86_64\"}}'\n", 0700);
    accepted();
    config.binary = "/no/such/qemu";
    refused(ENOENT,
            "--qemu /no/such/qemu: no such program; for x86_64 guests install: apt-get install qemu-system-x86");
    config.binary = disk;
    refused(EACCES, "cannot be executed");
}

Test(qemu_check, all_refused_options_are_in_one_sentence)
{
    struct err err = {0};
    config.machine = "microvm";
    config.cpu = "Hasswell";
    config.cpus = 1000;
    config.memory = 1;
    config.append = "\t";
    cr_assert_eq(vmm_qemu.check(&config, &err), -EOPNOTSUPP);
    const char *const named[] = {"--machine microvm", "--cpu Hasswell", "--cpus 1000", "--memory 1", "--append"};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        cr_assert(strstr(err.text, named[i]), "%s is missing in: %s", named[i], err.text);
}
