/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be the same where a machine's state is loaded. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/vmm.h"

static char directory[32], binary[64];

static void set_up(void)
{
    static const char program[] = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'QEMU emulator version 7.2.22 (x)'\n"
                                  "else echo 'q35  Standard PC (alias of pc-q35-7.2)'; fi\n";
    strcpy(directory, "/tmp/test-qshape-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    setenv("XDG_RUNTIME_DIR", directory, 1);
    snprintf(binary, sizeof binary, "%s/qemu-system-x86_64", directory);
    int fd = open(binary, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    cr_assert_eq(write(fd, program, sizeof program - 1), (ssize_t)sizeof program - 1);
    close(fd);
}

static void tear_down(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(qemu_shape, .init = set_up, .fini = tear_down, .timeout = 20);

static char *shape_with(const char *accel)
{
    const struct vmm_config config = {.binary = binary, .arch = "x86_64", .kernel = "/k", .root_disk = "/d",
                                      .overlay = "/o", .accel = accel, .memory = 1 << 28};
    struct err err = {0};
    char *shape = vmm_backend_find("qemu", &err)->shape(&config, &err);
    cr_assert_not_null(shape, "%s", err.text);
    return shape;
}

Test(qemu_shape, an_emulated_machine_does_not_depend_on_the_processor)
{
    char *shape = shape_with("tcg");
    cr_expect(strstr(shape, "version 7.2.22 (x)\n"));
    cr_expect(strstr(shape, "machine pc-q35-7.2,"), "the alias is resolved");
    cr_expect(strstr(shape, "memory 268435456\n"));
    cr_expect(strstr(shape, "host_cpu -\n"));
    free(shape);
}

Test(qemu_shape, with_kvm_the_processor_and_its_features_count)
{
    char *shape = shape_with("kvm"), *again = shape_with("kvm");
    cr_expect_str_eq(shape, again);
#ifdef __x86_64__
    char *line = strstr(shape, "host_cpu ");
    cr_assert_not_null(line);
    cr_expect_neq(line[strlen("host_cpu ")], '-');
    cr_expect(strstr(line, " 1:0,0,"), "its features, without the core that was asked");
    cr_expect(strstr(line, " 7:0,"));
#endif
    free(shape);
    free(again);
}
